//! Settings of rate limits.

use std::collections::BTreeMap;

use anyhow::bail;
use serde::Deserialize;

/// Rate limits, in requests a minute. Instances that share a Redis share them; else each process has its own.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RateLimit {
    /// Whether there are any. Load tests switch them off.
    pub enabled: bool,
    /// For each address without a valid token.
    pub per_address: u32,
    /// For each signed-in user.
    pub per_user: u32,
    /// For each API key that has no limit of its own.
    pub per_key: u32,
    /// For each address on routes that guess at secrets, send mail, or cost money.
    pub sensitive: u32,
    /// What is different on a plan, by its id.
    pub plans: BTreeMap<String, PlanLimits>,
}

/// Rate limits of those who act in a tenant on a plan, in requests a minute. What is absent is as for everybody.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PlanLimits {
    /// For each member.
    pub per_user: Option<u32>,
    /// For each API key that has no limit of its own.
    pub per_key: Option<u32>,
}

impl Default for RateLimit {
    fn default() -> Self {
        Self {
            enabled: true,
            per_address: 100,
            per_user: 100,
            per_key: 600,
            sensitive: 10,
            plans: BTreeMap::new(),
        }
    }
}

impl RateLimit {
    /// Errors with what is wrong.
    pub fn check(&self) -> anyhow::Result<()> {
        let general = [self.per_address, self.per_user, self.per_key, self.sensitive];
        let of_plans = self.plans.values().flat_map(|plan| [plan.per_user, plan.per_key]).flatten();
        if general.into_iter().chain(of_plans).any(|limit| limit == 0) {
            bail!("rate limits must be 1 or more; switch them off with rate_limit.enabled = false");
        }
        Ok(())
    }

    /// For a member of a tenant on this plan.
    pub fn for_user(&self, plan: Option<&str>) -> u32 {
        self.plan(plan).and_then(|limits| limits.per_user).unwrap_or(self.per_user)
    }

    /// For a key without a limit of its own, of a tenant on this plan.
    pub fn for_key(&self, plan: Option<&str>) -> u32 {
        self.plan(plan).and_then(|limits| limits.per_key).unwrap_or(self.per_key)
    }

    /// Whether it matters for users on which plan a tenant is.
    pub fn users_differ(&self) -> bool {
        self.plans.values().any(|limits| limits.per_user.is_some())
    }

    fn plan(&self, plan: Option<&str>) -> Option<&PlanLimits> {
        self.plans.get(plan?)
    }
}
