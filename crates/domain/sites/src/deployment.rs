//! Publishing: rendering a site to files and switching it over to them.

mod snapshot;
mod use_cases;
mod worker;

pub use snapshot::{SnapshotContext, SnapshotParts};
pub use use_cases::{BuildDeployment, Deployments};

use portico_kernel::{DeploymentId, SiteId, TenantId, Timestamp};
use serde::{Deserialize, Serialize};

/// Status of a deployment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum DeploymentStatus {
    /// Waits for a worker.
    #[default]
    Queued,
    /// A worker renders and stores files.
    Building,
    /// Was switched over to. Whether it answers now is in `Site.liveDeploymentId`.
    Live,
    /// Could not be built; the site is as before.
    Failed,
}

impl DeploymentStatus {
    /// Whether a worker still has to work on it.
    pub const fn is_unfinished(self) -> bool {
        matches!(self, Self::Queued | Self::Building)
    }

    /// Name in JSON and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Building => "building",
            Self::Live => "live",
            Self::Failed => "failed",
        }
    }

    /// The status of this name.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Queued, Self::Building, Self::Live, Self::Failed]
            .into_iter()
            .find(|status| status.as_str() == text)
    }
}

/// One rendering and publication of a site.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Deployment {
    /// UUIDv7.
    pub id: DeploymentId,
    /// The tenant.
    #[serde(skip)]
    pub tenant: TenantId,
    /// The site.
    pub site_id: SiteId,
    /// Status.
    pub status: DeploymentStatus,
    /// Percentage, 0 to 100.
    pub progress: i32,
    /// Why it failed, for the customer.
    pub error: Option<String>,
    /// When it was requested.
    pub created_at: Timestamp,
    /// When a worker began.
    pub started_at: Option<Timestamp>,
    /// When it went live or failed.
    pub finished_at: Option<Timestamp>,
    /// When its files were deleted, because there were enough newer ones. It cannot be rolled back to any more.
    pub cleaned_at: Option<Timestamp>,
}
