//! Settings of tenants.

use std::time::Duration;

use documented::DocumentedFields;
use portico_runtime::settings::sources::duration;
use serde::{Deserialize, Serialize};

/// Tenants.
#[derive(Clone, Debug, Deserialize, Serialize, DocumentedFields)]
#[serde(deny_unknown_fields, default)]
pub struct Tenancy {
    /// Maximum number of tenants that one user may own.
    pub max_owned_tenants: u64,
    /// Time between the request to delete a tenant and the deletion; 0s deletes at once.
    #[serde(with = "duration")]
    pub deletion_grace: Duration,
}

impl Default for Tenancy {
    fn default() -> Self {
        Self { max_owned_tenants: 20, deletion_grace: Duration::from_secs(14 * 24 * 3600) }
    }
}

impl Tenancy {
    /// How long a tenant can be restored after its deletion was requested.
    pub fn grace(&self) -> time::Duration {
        self.deletion_grace.try_into().unwrap_or(time::Duration::MAX)
    }
}
