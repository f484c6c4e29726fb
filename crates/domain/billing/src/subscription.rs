//! Which plan a tenant is on.

use portico_kernel::{TenantId, Timestamp};
use serde::{Deserialize, Serialize};

/// Whether a subscription gives its plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum SubscriptionStatus {
    /// In force.
    Active,
    /// Ended.
    Canceled,
}

impl SubscriptionStatus {
    /// The word for it in JSON and in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Canceled => "canceled",
        }
    }

    /// The status of this name.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Active, Self::Canceled].into_iter().find(|status| status.as_str() == text)
    }
}

/// Which plan a tenant is on; exactly one for each tenant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Subscription {
    /// Whose.
    pub tenant_id: TenantId,
    /// Id of the plan.
    pub plan: String,
    /// Whether it is in force.
    pub status: SubscriptionStatus,
    /// When it began.
    pub created_at: Timestamp,
    /// Last change.
    pub updated_at: Timestamp,
}
