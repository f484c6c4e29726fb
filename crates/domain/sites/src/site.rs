//! A website of a tenant.

use portico_kernel::{DeploymentId, SiteId, TenantId, Timestamp};
use serde::{Deserialize, Serialize};

/// Where a site stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum SiteStatus {
    /// Never published.
    #[default]
    Draft,
    /// Answers at its address.
    Published,
    /// Offered for sale; answers as a demo.
    ForSale,
    /// Sold.
    Sold,
    /// Locked by the operator; does not answer.
    Suspended,
}

impl SiteStatus {
    /// Every status.
    pub const ALL: [Self; 5] = [Self::Draft, Self::Published, Self::ForSale, Self::Sold, Self::Suspended];

    /// The word for it in JSON and in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Published => "published",
            Self::ForSale => "for_sale",
            Self::Sold => "sold",
            Self::Suspended => "suspended",
        }
    }

    /// The status of this name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }
}

/// A website of a tenant.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Site {
    /// UUIDv7.
    pub id: SiteId,
    /// Whose.
    pub tenant_id: TenantId,
    /// Display name.
    pub name: String,
    /// Answers at `{subdomain}.{sites.domain}`.
    pub subdomain: String,
    /// Own domain, once connected.
    pub custom_domain: Option<String>,
    /// Where it stands.
    pub status: SiteStatus,
    /// The deployment that answers now.
    pub live_deployment_id: Option<DeploymentId>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Last change.
    pub updated_at: Timestamp,
    /// Counts changes, for optimistic locking and `ETag`.
    #[serde(skip)]
    pub version: i64,
}
