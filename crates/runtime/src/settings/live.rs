//! Settings of live updates.

use std::time::Duration;

use documented::DocumentedFields;
use serde::{Deserialize, Serialize};

use super::{Problems, sources::duration};

/// Live updates.
#[derive(Clone, Debug, Deserialize, Serialize, DocumentedFields)]
#[serde(deny_unknown_fields, default)]
pub struct Live {
    /// Idle time after which a stream sends a heartbeat.
    #[serde(with = "duration")]
    pub heartbeat: Duration,
    /// Maximum number of streams of this process.
    pub max_streams: usize,
    /// Maximum number of streams of a tenant in this process.
    pub per_tenant: usize,
    /// Maximum number of streams of a user or an API key in this process.
    pub per_caller: usize,
}

impl Default for Live {
    fn default() -> Self {
        Self { heartbeat: Duration::from_secs(15), max_streams: 1000, per_tenant: 100, per_caller: 10 }
    }
}

impl Live {
    /// Validates the settings.
    ///
    /// # Errors
    /// With the setting that is invalid.
    pub fn check(&self) -> Result<(), Problems> {
        let mut problems = Problems::default();
        if !(Duration::from_millis(100)..=Duration::from_secs(600)).contains(&self.heartbeat) {
            problems.add("live.heartbeat must be between 100 ms and ten minutes");
        }
        if self.per_tenant == 0 || self.per_caller == 0 || self.max_streams == 0 {
            problems.add("live.max_streams, live.per_tenant and live.per_caller must be 1 or more");
        }
        problems.into_result()
    }
}
