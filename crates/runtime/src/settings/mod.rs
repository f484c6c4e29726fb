//! Settings of the runtime, and parsing of values.

use std::time::Duration;

use serde::Deserialize;

use self::sources::duration;

mod idempotency;
mod live;
pub mod sources;
mod telemetry;
mod webhooks;

pub use idempotency::Idempotency;
pub use live::Live;
pub use telemetry::Telemetry;
pub use webhooks::Webhooks;

/// Background jobs.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Worker {
    /// Jobs run concurrently.
    pub concurrency: usize,
    /// Duration of a lease: a job of a dead worker is free again after this time.
    #[serde(deserialize_with = "duration")]
    pub lease: Duration,
    /// Interval of polling for jobs that were not announced (of other instances, or retries).
    #[serde(deserialize_with = "duration")]
    pub poll: Duration,
    /// Port at which `portico worker` serves its health and metrics; 0 takes any free one. Default: none.
    pub port: Option<u16>,
}

impl Default for Worker {
    fn default() -> Self {
        Self { concurrency: 4, lease: Duration::from_secs(20), poll: Duration::from_secs(1), port: None }
    }
}
