//! What a tenant may use up: meters and features, and the port through which a use case takes from the plan.
//!
//! Billing decides how much there is, the use case that uses something up takes it in its own unit of work. Meters and features are
//! listed here, and not by the domains, because a plan has a limit for each, and every domain takes from them.

use std::borrow::Cow;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::{Fault, Kind, StoreError, TenantId};

/// What is counted against a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Meter {
    /// Sites that exist.
    Sites,
    /// Bytes in assets and in texts: pages with their versions, messages of visitors, answers in the wizard.
    Storage,
    /// Texts generated in a billing period.
    AiGenerations,
    /// Domains connected to sites.
    CustomDomains,
    /// Bytes that published sites sent in a billing period. Counted, and enforced only where the operator sets so.
    Bandwidth,
    /// Members of the tenant. Their rows are the count.
    Members,
    /// API keys that are not revoked, expired ones included: they can be prolonged. Their rows are the count.
    ApiKeys,
}

impl Meter {
    /// Every meter.
    pub const ALL: [Self; 7] = [
        Self::Sites,
        Self::Storage,
        Self::AiGenerations,
        Self::CustomDomains,
        Self::Bandwidth,
        Self::Members,
        Self::ApiKeys,
    ];

    /// Name in JSON and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sites => "sites",
            Self::Storage => "storage",
            Self::AiGenerations => "ai_generations",
            Self::CustomDomains => "custom_domains",
            Self::Bandwidth => "bandwidth",
            Self::Members => "members",
            Self::ApiKeys => "api_keys",
        }
    }

    /// Whether it begins at zero in every billing period.
    pub const fn is_monthly(self) -> bool {
        matches!(self, Self::AiGenerations | Self::Bandwidth)
    }

    /// Whether its rows are the count, so that nothing is taken or given back, see [`Headroom`].
    pub const fn counts_rows(self) -> bool {
        matches!(self, Self::Members | Self::ApiKeys)
    }
}

/// A part of a plan that is included or not, and is not counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feature {
    /// Website templates that are marked as premium.
    PremiumTemplates,
}

impl Feature {
    /// Name in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PremiumTemplates => "premium_templates",
        }
    }
}

/// What the tenant's plan includes, over one unit of work. A use case checks its permission first.
#[async_trait]
pub trait Entitlements: Send {
    /// Counts `amount` against the tenant's plan. MUST hold under concurrency: units of work that commit never overshoot together.
    /// The counter stays locked until the unit of work ends, so it is taken late.
    ///
    /// # Errors
    /// `QuotaExceeded` or `UnverifiedStorage`, and nothing is counted; `NoPlan`.
    async fn take(&mut self, tenant: TenantId, meter: Meter, amount: u64) -> Result<(), EntitlementError>;

    /// Gives back what was taken before, in the unit of work that frees it.
    async fn release(&mut self, tenant: TenantId, meter: Meter, amount: u64) -> Result<(), EntitlementError>;

    /// Gives back what the tenant `from` took, and counts what the tenant `to` gets for it, whatever its plan includes. MUST lock the
    /// counters of both in one order, so that two units of work in opposite directions do not wait for each other.
    async fn transfer(
        &mut self,
        meter: Meter,
        from: (TenantId, u64),
        to: (TenantId, u64),
    ) -> Result<(), EntitlementError>;

    /// Checks that the tenant's plan has a feature.
    ///
    /// # Errors
    /// `PlanRequired`; `NoPlan`.
    async fn require(&mut self, tenant: TenantId, feature: Feature) -> Result<(), EntitlementError>;
}

/// How much the tenant's plan leaves of a meter whose rows are the count, over one unit of work. Whatever removes the rows gives them
/// back.
#[async_trait]
pub trait Headroom: Send {
    /// Checks that there is room for one more than there was before the unit of work has added `added` of them. Sure where the unit of
    /// work has held the row of the tenant since before it added them: no two that commit overshoot together. In one statement where
    /// there is room.
    ///
    /// # Errors
    /// `QuotaExceeded`; `NoPlan`.
    async fn check_room(
        &mut self,
        tenant: TenantId,
        meter: Meter,
        added: u64,
    ) -> Result<(), EntitlementError>;
}

/// Why a plan does not allow something.
#[derive(Debug, thiserror::Error)]
pub enum EntitlementError {
    /// The plan does not include more.
    #[error("quota exceeded: {} {used} of {limit}", meter.as_str())]
    QuotaExceeded {
        /// What is used up.
        meter: Meter,
        /// What the plan includes.
        limit: u64,
        /// What is used now.
        used: u64,
        /// Id of the cheapest plan that includes it.
        plan: Option<String>,
    },
    /// The limit of storage that holds until an owner of the tenant has verified their address.
    #[error("storage of an unverified tenant: {used} of {limit}")]
    UnverifiedStorage {
        /// Bytes allowed until then.
        limit: u64,
        /// Bytes that are used now.
        used: u64,
    },
    /// The plan does not have the feature.
    #[error("plan required: {}", feature.as_str())]
    PlanRequired {
        /// What is missing.
        feature: Feature,
        /// Id of the cheapest plan that has it.
        plan: Option<String>,
    },
    /// The tenant has no subscription.
    #[error("no subscription")]
    NoPlan,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Fault for EntitlementError {
    fn kind(&self) -> Kind {
        match self {
            Self::QuotaExceeded { .. } | Self::UnverifiedStorage { .. } | Self::PlanRequired { .. } => {
                Kind::Quota
            }
            Self::NoPlan => Kind::NotFound,
            Self::Store(error) => error.kind(),
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::QuotaExceeded { .. } | Self::UnverifiedStorage { .. } => "quota_exceeded",
            Self::PlanRequired { .. } => "plan_required",
            Self::NoPlan => "not_found",
            Self::Store(error) => error.code(),
        }
    }

    fn detail(&self) -> Cow<'static, str> {
        match self {
            Self::QuotaExceeded { meter, limit, used, plan } => format!(
                "Your plan includes {limit} {}, and {used} are used. {}",
                meter.as_str(),
                remedy(plan.as_deref())
            )
            .into(),
            Self::UnverifiedStorage { limit, used } => format!(
                "Until an email address of an owner is verified there is room for {limit} bytes, and {used} are used."
            )
            .into(),
            Self::PlanRequired { feature, plan } => format!(
                "Your plan does not have {}. {}",
                feature.as_str().replace('_', " "),
                remedy(plan.as_deref())
            )
            .into(),
            Self::NoPlan => "There is no such subscription.".into(),
            Self::Store(error) => error.detail(),
        }
    }

    fn members(&self) -> Vec<(&'static str, serde_json::Value)> {
        match self {
            Self::QuotaExceeded { meter, limit, used, plan } => vec![
                ("meter", meter.as_str().into()),
                ("limit", (*limit).into()),
                ("used", (*used).into()),
                ("plan", plan.clone().into()),
            ],
            Self::UnverifiedStorage { limit, used } => vec![
                ("meter", Meter::Storage.as_str().into()),
                ("limit", (*limit).into()),
                ("used", (*used).into()),
                ("plan", serde_json::Value::Null),
            ],
            Self::PlanRequired { feature, plan } => {
                vec![("feature", feature.as_str().into()), ("plan", plan.clone().into())]
            }
            Self::NoPlan => Vec::new(),
            Self::Store(error) => error.members(),
        }
    }
}

fn remedy(plan: Option<&str>) -> Cow<'static, str> {
    match plan {
        Some(plan) => format!("Upgrade to the plan {plan} to go on.").into(),
        None => "Contact us to go on.".into(),
    }
}
