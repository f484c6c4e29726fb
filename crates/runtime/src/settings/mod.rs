//! Settings of the runtime, and parsing of values.

use std::{
    fmt::{self, Display},
    time::Duration,
};

use documented::DocumentedFields;
use serde::{Deserialize, Serialize};

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

/// What is wrong with settings: a line for each problem, with the setting and what would do.
#[derive(Debug, Default)]
pub struct Problems(Vec<String>);

impl Problems {
    /// Adds a problem.
    pub fn add(&mut self, problem: impl Into<String>) {
        self.0.push(problem.into());
    }

    /// Adds what is wrong according to another check; several problems have a line each.
    pub fn note<T>(&mut self, found: Result<T, impl Display>) {
        if let Err(wrong) = found {
            self.0.extend(format!("{wrong:#}").lines().map(str::to_owned));
        }
    }

    /// Fails if there are any.
    ///
    /// # Errors
    /// With all of them.
    pub fn into_result(self) -> Result<(), Self> {
        if self.0.is_empty() { Ok(()) } else { Err(self) }
    }
}

impl Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

impl std::error::Error for Problems {}

/// Background jobs.
#[derive(Clone, Debug, Deserialize, Serialize, DocumentedFields)]
#[serde(deny_unknown_fields, default)]
pub struct Worker {
    /// Jobs run concurrently.
    pub concurrency: usize,
    /// Duration of a lease: a job of a dead worker is free again after this time.
    #[serde(with = "duration")]
    pub lease: Duration,
    /// Interval of polling for jobs and webhooks that are due without an announcement, such as retries. Commits are announced, also those
    /// of other instances: readers of the event log poll only for what is held up or, while announcements do not arrive, for everything.
    #[serde(with = "duration")]
    pub poll: Duration,
    /// Port at which `portico worker` serves its health and metrics; 0 takes any free one. Default: none.
    pub port: Option<u16>,
}

impl Default for Worker {
    fn default() -> Self {
        Self { concurrency: 4, lease: Duration::from_secs(20), poll: Duration::from_secs(1), port: None }
    }
}
