//! Counting actions against a limit: the port to a rate limiter.

use std::{num::NonZeroU32, time::Duration};

use async_trait::async_trait;

/// How much may be done: so much at once, and as much again in each period, evenly spread (the generic cell rate
/// algorithm, as in ATM Forum Traffic Management 4.0).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Quota {
    most: NonZeroU32,
    period: Duration,
}

impl Quota {
    /// So many a minute; at least one.
    pub fn per_minute(most: u32) -> Self {
        Self::new(most, Duration::from_secs(60))
    }

    /// So many an hour; at least one.
    pub fn per_hour(most: u32) -> Self {
        Self::new(most, Duration::from_secs(3600))
    }

    fn new(most: u32, period: Duration) -> Self {
        Self { most: NonZeroU32::new(most).unwrap_or(NonZeroU32::MIN), period }
    }

    /// How many may be done at once after a period without any.
    pub fn most(self) -> NonZeroU32 {
        self.most
    }

    /// The time after which one more is allowed, in whole microseconds. Every limiter counts with it, so that they agree.
    pub fn interval(self) -> Duration {
        let period = u64::try_from(self.period.as_micros()).unwrap_or(u64::MAX);
        Duration::from_micros(period.div_ceil(u64::from(self.most.get())).max(1))
    }
}

/// Result of counting against a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Whether it may be done.
    pub allowed: bool,
    /// How many may be done at once.
    pub limit: u32,
    /// How many more could follow at once.
    pub remaining: u32,
    /// Seconds until all of `limit` is available again; for what is refused, until one is.
    pub reset: u64,
}

impl Verdict {
    /// It may be done, and after that all of the quota is there again in `full`.
    pub fn allowed(quota: Quota, full: Duration) -> Self {
        let limit = quota.most().get();
        let used = full.as_micros().div_ceil(quota.interval().as_micros());
        let remaining = limit.saturating_sub(u32::try_from(used).unwrap_or(u32::MAX));
        Self { allowed: true, limit, remaining, reset: whole_seconds(full) }
    }

    /// It may not be done before `wait` is over.
    pub fn refused(quota: Quota, wait: Duration) -> Self {
        Self { allowed: false, limit: quota.most().get(), remaining: 0, reset: whole_seconds(wait).max(1) }
    }
}

fn whole_seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

/// Counts actions by name. The count of one name does not affect another.
#[async_trait]
pub trait RateLimiter: Send + Sync {
    /// Counts one action under a name, if the quota has one left. The quota of a name may differ from call to call.
    ///
    /// MUST NOT allow more than the quota, also under concurrency. MUST count nothing when it refuses. MUST answer also when the
    /// state shared with other processes is unavailable: then, the quota is that of the process.
    async fn count(&self, name: &str, quota: Quota) -> Verdict;

    /// Forgets the names whose quota is full again. Called now and then, so that memory stays bounded.
    fn forget_idle(&self);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quota_is_spread_evenly_over_its_period() {
        assert_eq!(Quota::per_minute(60).interval(), Duration::from_secs(1));
        assert_eq!(Quota::per_hour(7).interval(), Duration::from_micros(514_285_715));
        assert_eq!(Quota::per_minute(0), Quota::per_minute(1), "nobody is shut out by a zero");
        assert_eq!(Quota::per_minute(u32::MAX).interval(), Duration::from_micros(1));
    }

    #[test]
    fn a_verdict_tells_what_is_left_and_when_more_is() {
        let quota = Quota::per_minute(3);
        let first = Verdict::allowed(quota, Duration::from_secs(20));
        assert_eq!((first.allowed, first.limit, first.remaining, first.reset), (true, 3, 2, 20));
        let last = Verdict::allowed(quota, Duration::from_secs(60));
        assert_eq!((last.remaining, last.reset), (0, 60));
        // A unit that is still being restored does not count.
        assert_eq!(Verdict::allowed(quota, Duration::from_millis(20_001)).remaining, 1);
        let refused = Verdict::refused(quota, Duration::from_micros(1));
        assert_eq!((refused.allowed, refused.remaining, refused.reset), (false, 0, 1));
    }
}
