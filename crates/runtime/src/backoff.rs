//! Backoff of background loops that fail, and its log messages.

use std::{
    error::Error,
    time::{Duration, Instant},
};

use crate::logging::chain;

/// First and longest pause after a failure. Short enough that work resumes within five seconds after the cause is gone.
const PAUSES: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(3));

/// Time between two warnings while the failures last.
const WARN_EVERY: Duration = Duration::from_secs(60);

/// Consecutive failures of one loop. The first is logged, then one a minute, and the recovery.
#[derive(Debug)]
pub struct Backoff {
    what: &'static str,
    failing: Option<Failing>,
}

#[derive(Debug)]
struct Failing {
    since: Instant,
    warned_at: Instant,
    times: u64,
    pause: Duration,
}

impl Backoff {
    /// For a loop whose failures are logged as `what`.
    pub const fn new(what: &'static str) -> Self {
        Self { what, failing: None }
    }

    /// Records a failure. Returns the pause before the next attempt.
    pub fn failed(&mut self, error: &dyn Error) -> Duration {
        let (pause, warn) = self.failed_at(Instant::now());
        if warn {
            let times = self.failing.as_ref().map_or(1, |failing| failing.times);
            tracing::warn!(error = %chain(error), times, "{}; trying again", self.what);
        }
        pause
    }

    fn failed_at(&mut self, now: Instant) -> (Duration, bool) {
        let Some(failing) = &mut self.failing else {
            self.failing = Some(Failing { since: now, warned_at: now, times: 1, pause: PAUSES.0 });
            return (PAUSES.0, true);
        };
        failing.times += 1;
        failing.pause = (failing.pause * 2).min(PAUSES.1);
        let warn = now >= failing.warned_at + WARN_EVERY;
        if warn {
            failing.warned_at = now;
        }
        (failing.pause, warn)
    }

    /// Records a success: the next failure is logged as the first one again.
    pub fn succeeded(&mut self) {
        if let Some(failing) = self.failing.take() {
            let seconds = failing.since.elapsed().as_secs();
            tracing::info!(times = failing.times, seconds, "{}: over", self.what);
        }
    }

    /// Whether the latest attempt failed.
    pub const fn is_failing(&self) -> bool {
        self.failing.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_bound_and_trouble_is_told_once_a_minute() {
        let (mut backoff, start) = (Backoff::new("nothing works"), Instant::now());
        let mut warned = Vec::new();
        let mut at = start;
        for round in 0..50 {
            let (pause, warn) = backoff.failed_at(at);
            assert!(pause >= PAUSES.0 && pause <= PAUSES.1);
            if warn {
                warned.push(round);
            }
            at += pause;
        }
        assert_eq!(warned[0], 0);
        assert!((2..=3).contains(&warned.len()), "{warned:?} in {:?}", at - start);
        backoff.succeeded();
        assert!(!backoff.is_failing());
        assert_eq!(backoff.failed_at(at), (PAUSES.0, true), "the next trouble is new");
    }
}
