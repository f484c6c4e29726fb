//! How many jobs to run at once, and to claim ahead.

use std::time::Duration;

/// Work that is claimed ahead, in time. Short, because other processes cannot take claimed jobs.
const AHEAD: Duration = Duration::from_millis(100);

/// Maximum number of jobs claimed ahead: for the time of a claim, which is mostly that of making it durable, while another one is
/// under way.
const MOST: usize = 380;

/// Maximum number of jobs of one claim.
const CLAIM: usize = 128;

/// While requests wait: the longest time from the begin of a job to that of the next one that is due, where there is a free worker slot.
const YIELD: Duration = Duration::from_millis(250);

/// Worker slots to be used now, where `running` jobs run and the latest one began `since`. While requests of this process wait, jobs run
/// one at a time: they would take the processors that the answers need. Nothing starves: one job runs always, and beside one that takes
/// long the next one begins after [`YIELD`].
pub fn slots(concurrency: usize, running: usize, requests_wait: bool, since: Duration) -> usize {
    match requests_wait {
        false => concurrency,
        true if since >= YIELD => concurrency.min(running + 1),
        true => concurrency.min(1),
    }
}

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

    /// How many jobs to claim now for `concurrency` worker slots, where `running` run and `claimed` wait for one or are asked for by claims
    /// under way: those for free slots, and as many as follow at once. A claim costs the same for one job as for many, so nothing is
    /// claimed while more than half of what is to wait does.
    pub fn wanted(&self, concurrency: usize, running: usize, claimed: usize) -> usize {
        let ahead = self.ahead(concurrency);
        if claimed > ahead / 2 {
            return 0;
        }
        (concurrency + ahead).saturating_sub(running + claimed).min(CLAIM)
    }

    /// How many jobs `concurrency` worker slots would run in the time that is claimed ahead.
    fn ahead(&self, concurrency: usize) -> usize {
        let rounds = (AHEAD.as_micros() / self.average.as_micros().max(1)) as usize;
        // Jobs that take longer than half of the time are not claimed ahead.
        if rounds < 2 { 0 } else { rounds.saturating_mul(concurrency).min(MOST) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn while_requests_wait_jobs_run_one_at_a_time_and_none_waits_for_a_slot_forever() {
        let moment = Duration::from_millis(1);
        for running in 0..=4 {
            assert_eq!(slots(4, running, false, moment), 4, "nobody waits");
            assert_eq!(slots(4, running, true, moment), 1);
        }
        // The first job never ends, nor do those that come after it: all four slots are taken within a second.
        let (mut running, mut waited) = (1, Duration::ZERO);
        while running < 4 {
            assert_eq!(slots(4, running, true, YIELD - moment), 1);
            assert_eq!(slots(4, running, true, YIELD), running + 1, "one more, not all of them");
            running += 1;
            waited += YIELD;
        }
        assert!(waited < Duration::from_secs(1));
        assert_eq!(slots(4, 4, true, Duration::from_secs(60)), 4, "never more than there are");
        assert_eq!([slots(1, 0, true, moment), slots(1, 1, true, YIELD)], [1, 1]);
    }

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

    #[test]
    fn a_claim_is_for_free_slots_at_once_and_for_many_short_jobs_while_another_one_is_under_way() {
        let mut pace = Pace::default();
        assert_eq!([pace.wanted(4, 0, 0), pace.wanted(4, 3, 0), pace.wanted(4, 4, 0)], [4, 1, 0]);
        assert_eq!(pace.wanted(4, 0, 4), 0, "they are asked for");
        for _ in 0..10 {
            pace.note(Duration::from_micros(200));
        }
        let mut claimed = Vec::new();
        while let wanted @ 1.. = pace.wanted(4, 4, claimed.iter().sum()) {
            claimed.push(wanted);
        }
        assert_eq!(claimed, [CLAIM, CLAIM], "two at a time");
        assert_eq!(pace.wanted(4, 4, MOST / 2 + 1), 0, "not for the few that have begun since");
        assert_eq!(pace.wanted(4, 4, MOST / 2), CLAIM);
    }
}
