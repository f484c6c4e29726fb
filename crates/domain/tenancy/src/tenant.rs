//! A company or person whose data is kept apart from everybody else's.

use portico_kernel::{TenantId, Timestamp};
use serde::{Deserialize, Serialize};

/// Whether a tenant can be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum TenantStatus {
    /// In use.
    #[default]
    Active,
    /// Locked by the operator.
    Suspended,
    /// Deleted; kept for the audit trail. Its sites do not answer.
    Deleted,
}

impl TenantStatus {
    /// The word for it in JSON and in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Suspended => "suspended",
            Self::Deleted => "deleted",
        }
    }

    /// The status of this name.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Active, Self::Suspended, Self::Deleted].into_iter().find(|status| status.as_str() == text)
    }
}

/// A company or person whose data is kept apart from everybody else's.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Tenant {
    /// UUIDv7.
    pub id: TenantId,
    /// Display name.
    pub name: String,
    /// Reserved for the tenant among all tenants and sites.
    pub subdomain: String,
    /// Whether it can be used.
    pub status: TenantStatus,
    /// Id of the plan it is subscribed to, for instance `free`. Kept by billing; read-only here.
    pub plan: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// Last change.
    pub updated_at: Timestamp,
    /// Counts changes, for optimistic locking and `ETag`.
    #[serde(skip)]
    pub version: i64,
}
