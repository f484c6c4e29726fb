//! Settings of admission control.

use std::time::Duration;

use documented::DocumentedFields;
use portico_runtime::settings::{Problems, sources::duration};
use serde::{Deserialize, Serialize};

/// Limits on concurrent work, and on the wait for it.
#[derive(Clone, Debug, Deserialize, Serialize, DocumentedFields)]
#[serde(deny_unknown_fields, default)]
pub struct Admission {
    /// Concurrent reads. Default: a third of the connections to Postgres; on SQLite four for each processor.
    pub reads: Option<usize>,
    /// Concurrent changes. Default: the same; on SQLite two for each processor.
    pub writes: Option<usize>,
    /// Concurrent requests that hash a password. Default: two for each processor.
    pub logins: Option<usize>,
    /// The longest wait of reads and changes in the queue. A request whose expected wait exceeds it is refused at once; in a queue
    /// that has stood for as long, one whose expected wait exceeds a quarter of it.
    #[serde(with = "duration")]
    pub wait: Duration,
}

impl Default for Admission {
    fn default() -> Self {
        Self { reads: None, writes: None, logins: None, wait: Duration::from_secs(1) }
    }
}

impl Admission {
    /// Fails if a setting is invalid.
    pub fn check(&self) -> Result<(), Problems> {
        let mut problems = Problems::default();
        if [self.reads, self.writes, self.logins].contains(&Some(0)) {
            problems.add("admission.reads, admission.writes and admission.logins must be 1 or more");
        }
        if !(Duration::from_millis(10)..=Duration::from_secs(60)).contains(&self.wait) {
            problems.add("admission.wait must be between 10 ms and one minute");
        }
        problems.into_result()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_a_place_at_least_and_a_bound_at_most() {
        let check = |places, millis| {
            let wait = Duration::from_millis(millis);
            Admission { writes: places, wait, ..Admission::default() }.check().is_ok()
        };
        assert!(Admission::default().check().is_ok());
        assert!(check(None, 10) && check(Some(1), 60_000));
        assert!(!check(Some(0), 1000) && !check(None, 9) && !check(None, 60_001));
    }
}
