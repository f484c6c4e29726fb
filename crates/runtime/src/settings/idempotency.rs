//! Settings of idempotent requests (`Idempotency-Key`).

use std::time::Duration;

use documented::DocumentedFields;
use serde::{Deserialize, Serialize};

use super::{Problems, sources::duration};

/// Idempotent requests (`Idempotency-Key`).
#[derive(Clone, Debug, Deserialize, Serialize, DocumentedFields)]
#[serde(deny_unknown_fields, default)]
pub struct Idempotency {
    /// How long a response is kept.
    #[serde(with = "duration")]
    pub retention: Duration,
    /// Time without a renewal after which a request counts as aborted, and may be carried out again.
    #[serde(with = "duration")]
    pub lease: Duration,
}

impl Default for Idempotency {
    fn default() -> Self {
        Self { retention: Duration::from_secs(24 * 3600), lease: Duration::from_secs(10) }
    }
}

impl Idempotency {
    /// Validates the settings.
    ///
    /// # Errors
    /// With the setting that is invalid.
    pub fn check(&self) -> Result<(), Problems> {
        let mut problems = Problems::default();
        let (second, minute, hour) =
            (Duration::from_secs(1), Duration::from_secs(60), Duration::from_secs(3600));
        if !(second..=minute).contains(&self.lease) {
            problems.add("idempotency.lease must be between one second and one minute");
        }
        if !(hour..=hour * 24 * 30).contains(&self.retention) {
            problems.add("idempotency.retention must be between one hour and 30 days");
        }
        problems.into_result()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_sane() {
        let check = |retention, lease| {
            let (retention, lease) = (Duration::from_secs(retention), Duration::from_secs(lease));
            Idempotency { retention, lease }.check().is_ok()
        };
        assert!(Idempotency::default().check().is_ok());
        assert!(check(3600, 1) && check(30 * 24 * 3600, 60));
        assert!(!check(3599, 10) && !check(31 * 24 * 3600, 10));
        assert!(!check(24 * 3600, 0) && !check(24 * 3600, 61));
    }
}
