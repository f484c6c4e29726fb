//! Settings of Redis, which instances share besides the database.

use std::time::Duration;

use documented::DocumentedFields;
use portico_runtime::settings::{
    Problems,
    sources::{duration, masked},
};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

/// Redis, or Valkey: shared by instances besides the database.
#[derive(Clone, Debug, Deserialize, Serialize, DocumentedFields)]
#[serde(deny_unknown_fields, default)]
pub struct Redis {
    /// `redis://:password@host:6379/0` or `rediss://…`. Default: none, each process has its own cache and rate limits.
    #[serde(serialize_with = "masked")]
    pub url: Option<SecretString>,
    /// How long a request waits for Redis before it continues without; Redis is then not used for a second.
    #[serde(with = "duration")]
    pub timeout: Duration,
}

impl Default for Redis {
    fn default() -> Self {
        Self { url: None, timeout: Duration::from_millis(250) }
    }
}

impl Redis {
    /// Fails if a setting is invalid.
    pub(super) fn check(&self) -> Result<(), Problems> {
        let mut problems = Problems::default();
        if !(Duration::from_millis(1)..=Duration::from_secs(5)).contains(&self.timeout) {
            problems.add("redis.timeout must be between 1ms and 5s");
        }
        if let Some(url) = &self.url {
            problems.note(portico_cache::Redis::check(url.expose_secret()).map_err(|error| {
                format!("redis.url: {error}; it has to be like redis://host:6379/0 or rediss://…")
            }));
        }
        problems.into_result()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_to_wait_is_bounded() {
        let of = |timeout| Redis { timeout, ..Redis::default() };
        assert!(Redis::default().check().is_ok() && of(Duration::from_secs(5)).check().is_ok());
        assert!(of(Duration::ZERO).check().is_err() && of(Duration::from_secs(6)).check().is_err());
    }
}
