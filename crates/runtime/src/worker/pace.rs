//! How many jobs to claim ahead.

use std::time::Duration;

/// Work that is claimed ahead, in time. Short, because other processes cannot take claimed jobs.
const AHEAD: Duration = Duration::from_millis(100);

/// Maximum number of jobs claimed ahead.
const MOST: usize = 124;

/// Recent duration of jobs. A claim costs a transaction, whether for one job or for a hundred: short jobs are claimed many
/// at a time, long ones only for free worker slots.
pub struct Pace {
    average: Duration,
}

impl Default for Pace {
    /// Without history, nothing is claimed ahead.
    fn default() -> Self {
        Self { average: AHEAD }
    }
}

impl Pace {
    /// Records the duration of a job. Recent ones weigh most: a long one stops claiming ahead at once.
    pub fn note(&mut self, took: Duration) {
        self.average = (self.average + took.min(Duration::from_secs(3600))) / 2;
    }

    /// How many jobs `concurrency` worker slots would run in the time that is claimed ahead.
    pub fn ahead(&self, concurrency: usize) -> usize {
        let rounds = (AHEAD.as_micros() / self.average.as_micros().max(1)) as usize;
        // Jobs that take longer than half of the time are not claimed ahead.
        if rounds < 2 { 0 } else { rounds.saturating_mul(concurrency).min(MOST) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_jobs_are_claimed_many_at_a_time_and_long_ones_are_not() {
        let mut pace = Pace::default();
        assert_eq!(pace.ahead(4), 0, "nothing is known yet");
        for _ in 0..10 {
            pace.note(Duration::from_micros(200));
        }
        assert_eq!(pace.ahead(4), MOST);
        for _ in 0..10 {
            pace.note(Duration::from_millis(20));
        }
        assert!((16..=20).contains(&pace.ahead(4)), "{}", pace.ahead(4));
        pace.note(Duration::from_secs(5));
        assert_eq!(pace.ahead(4), 0, "one long job is enough");
        pace.note(Duration::MAX);
        for _ in 0..30 {
            pace.note(Duration::ZERO);
        }
        assert_eq!(pace.ahead(usize::MAX), MOST);
    }
}
