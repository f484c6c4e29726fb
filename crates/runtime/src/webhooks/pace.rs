//! Concurrency and rate of calls to one receiver.

use std::time::{Duration, Instant};

/// Initial number of concurrent calls to a receiver without history.
const FIRST: usize = 4;

/// A receiver that takes longer than this counts as slow.
const SLOW: Duration = Duration::from_secs(2);

/// How far a receiver may fall behind its rate and still catch up.
const SLACK: Duration = Duration::from_millis(50);

/// Adapts to the receiver: one more concurrent call for each success, half as many after a failure.
pub struct Pace {
    width: usize,
    most: usize,
    strained: bool,
    interval: Option<Duration>,
    next: Instant,
}

impl Pace {
    /// With this maximum of concurrent calls. A receiver that was failing begins with one.
    pub fn new(most: usize, failing: bool) -> Self {
        let most = most.max(1);
        let width = if failing { 1 } else { FIRST.min(most) };
        Self { width, most, strained: failing, interval: None, next: Instant::now() }
    }

    /// Sets the maximum number of calls per second.
    pub fn set_rate(&mut self, per_second: Option<u32>) {
        self.interval = per_second.filter(|rate| *rate > 0).map(|rate| Duration::from_secs(1) / rate);
    }

    /// Number of concurrent calls.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Whether the receiver has been failing or slow lately: then its calls must not use the permits of others.
    pub fn is_strained(&self) -> bool {
        self.strained
    }

    /// Time until the next call may be made; zero also reserves that call.
    pub fn turn(&mut self, now: Instant) -> Duration {
        let Some(interval) = self.interval else { return Duration::ZERO };
        let next = now.checked_sub(SLACK).map_or(self.next, |earliest| self.next.max(earliest));
        if next > now {
            return next - now;
        }
        self.next = next + interval;
        Duration::ZERO
    }

    /// Records a completed call.
    pub fn note(&mut self, succeeded: bool, took: Duration) {
        self.strained = !succeeded || took > SLOW;
        self.width = if succeeded { (self.width + 1).min(self.most) } else { (self.width / 2).max(1) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_receivers_get_more_at_once_and_failing_ones_less() {
        let mut pace = Pace::new(16, false);
        assert_eq!((pace.width(), pace.is_strained()), (4, false));
        for _ in 0..20 {
            pace.note(true, Duration::ZERO);
        }
        assert_eq!(pace.width(), 16);
        for width in [8, 4, 2, 1, 1] {
            pace.note(false, Duration::ZERO);
            assert_eq!((pace.width(), pace.is_strained()), (width, true));
        }
        pace.note(true, Duration::from_secs(3));
        assert!(pace.is_strained(), "it answers, but slowly");
        pace.note(true, Duration::from_millis(3));
        assert_eq!((pace.width(), pace.is_strained()), (3, false));
        assert_eq!(Pace::new(16, true).width(), 1);
        assert_eq!(Pace::new(0, false).width(), 1);
    }

    #[test]
    fn the_rate_is_kept_over_any_second() {
        let begin = Instant::now() + Duration::from_secs(1);
        let mut pace = Pace::new(16, false);
        pace.set_rate(Some(100));
        let (mut now, mut calls) = (begin, 0);
        while now < begin + Duration::from_secs(2) {
            match pace.turn(now) {
                Duration::ZERO => calls += 1,
                wait => now += wait,
            }
        }
        assert!((200..=206).contains(&calls), "{calls}");
        // Idle time is not accumulated.
        now += Duration::from_secs(60);
        let burst = (0..100).take_while(|_| pace.turn(now).is_zero()).count();
        assert!(burst <= 6, "{burst}");
        pace.set_rate(None);
        assert!((0..100).all(|_| pace.turn(now).is_zero()));
    }
}
