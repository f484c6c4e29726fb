//! Settings of rate limits.

use std::collections::BTreeMap;

use documented::DocumentedFields;
use portico_runtime::settings::Problems;
use serde::{Deserialize, Serialize};

/// Rate limits, in requests per minute. Instances with a common Redis share them; else each process has its own.
#[derive(Clone, Debug, Deserialize, Serialize, DocumentedFields)]
#[serde(deny_unknown_fields, default)]
pub struct RateLimit {
    /// Whether rate limits are enabled. Load tests disable them.
    pub enabled: bool,
    /// For each address without a valid token, in a minute.
    pub per_address: u32,
    /// For each signed-in user, in a minute (ADR 36).
    pub per_user: u32,
    /// For each API key without its own limit, in a minute.
    pub per_key: u32,
    /// For each address and path, in a minute, on routes that allow guessing secrets, send mail, or cost money.
    pub sensitive: u32,
    /// For each user, in a minute, of what they ask the payment provider for: purchases, changes of plans and their previews, and pages.
    pub checkouts: u32,
    /// For each address, in a minute, on routes for webhooks that a payment provider signs: it sends all of them from a few addresses.
    pub signed: u32,
    /// Overrides for plans, by their ids.
    pub plans: BTreeMap<String, PlanLimits>,
}

/// Rate limits in tenants on a plan, in requests per minute. Absent ones are the defaults.
#[derive(Clone, Debug, Default, Deserialize, Serialize, DocumentedFields)]
#[serde(deny_unknown_fields, default)]
pub struct PlanLimits {
    /// For each member. Default: the general limit.
    pub per_user: Option<u32>,
    /// For each API key without its own limit. Default: the general limit.
    pub per_key: Option<u32>,
}

impl Default for RateLimit {
    fn default() -> Self {
        Self {
            enabled: true,
            per_address: 100,
            // A page of a portal makes eight calls; a person opens one every two seconds at most.
            per_user: 300,
            per_key: 600,
            sensitive: 10,
            checkouts: 10,
            // Twice as many as come in when a provider sends a thousand in a second.
            signed: 120_000,
            plans: BTreeMap::new(),
        }
    }
}

impl RateLimit {
    /// Fails if a setting is invalid.
    pub fn check(&self) -> Result<(), Problems> {
        let mut problems = Problems::default();
        let general =
            [self.per_address, self.per_user, self.per_key, self.sensitive, self.checkouts, self.signed];
        let of_plans = self.plans.values().flat_map(|plan| [plan.per_user, plan.per_key]).flatten();
        if general.into_iter().chain(of_plans).any(|limit| limit == 0) {
            problems.add("rate limits must be 1 or more; switch them off with rate_limit.enabled = false");
        }
        problems.into_result()
    }

    /// For a member of a tenant on this plan.
    pub fn for_user(&self, plan: Option<&str>) -> u32 {
        self.plan(plan).and_then(|limits| limits.per_user).unwrap_or(self.per_user)
    }

    /// For a key without a limit of its own, of a tenant on this plan.
    pub fn for_key(&self, plan: Option<&str>) -> u32 {
        self.plan(plan).and_then(|limits| limits.per_key).unwrap_or(self.per_key)
    }

    fn plan(&self, plan: Option<&str>) -> Option<&PlanLimits> {
        self.plans.get(plan?)
    }
}
