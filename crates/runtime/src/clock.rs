//! The time, shared by all processes on one database.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Instant,
};

use portico_kernel::{Clock, Timestamp};
use time::Duration;

/// Differences below this count as equal, in microseconds.
const EQUAL: i64 = 1_000_000;

/// Differences above this count as different; the gap between the two avoids flapping.
const DIFFERENT: i64 = 2_000_000;

/// The clock of this machine, corrected by that of the database where the two differ.
pub struct SharedClock {
    machine: Arc<dyn Clock>,
    /// Microseconds by which the database is ahead; 0 when the two agree.
    ahead: AtomicI64,
}

impl SharedClock {
    /// Uses `machine` uncorrected until a time of the database is known.
    pub fn new(machine: Arc<dyn Clock>) -> Self {
        Self { machine, ahead: AtomicI64::new(0) }
    }

    /// Adjusts the correction: the database returned `now` to a query sent at `asked`.
    pub fn heard(&self, now: Timestamp, asked: Instant) {
        let took = i64::try_from(asked.elapsed().as_micros()).unwrap_or(i64::MAX);
        // The time was read at some moment between query and answer.
        let ahead = now.unix_micros() - self.machine.now().unix_micros() + took / 2;
        let known = self.ahead.load(Ordering::Relaxed);
        let is_same = (ahead - known).abs() <= EQUAL.max(took);
        let agrees = ahead.abs() <= if known == 0 { DIFFERENT } else { EQUAL };
        let new = match (is_same, agrees) {
            (_, true) => 0,
            (true, false) => known,
            (false, false) => ahead,
        };
        if new != known {
            self.ahead.store(new, Ordering::Relaxed);
            tracing::warn!(
                seconds = new as f64 / 1e6,
                "the clock of this machine differs from that of the database, which counts"
            );
        }
    }
}

impl Clock for SharedClock {
    fn now(&self) -> Timestamp {
        let now = self.machine.now();
        match self.ahead.load(Ordering::Relaxed) {
            0 => now,
            ahead => now + Duration::microseconds(ahead),
        }
    }
}

/// Detects that the clock was set back.
pub struct TimeWatch {
    at: Instant,
    time: Timestamp,
}

impl TimeWatch {
    /// Starts from the current time.
    pub fn new(time: Timestamp) -> Self {
        Self { at: Instant::now(), time }
    }

    /// By how much the clock was set back since the last call, beyond the tolerated difference between clocks.
    pub fn set_back(&mut self, now: Timestamp) -> Option<Duration> {
        const TOLERANCE: Duration = Duration::seconds(10);
        let passed = Duration::try_from(self.at.elapsed()).unwrap_or(Duration::ZERO);
        let missing = self.time + passed - now;
        (self.at, self.time) = (Instant::now(), now);
        (missing > TOLERANCE).then_some(missing)
    }
}

#[cfg(test)]
mod tests {
    use portico_testkit::FixedClock;

    use super::*;

    #[test]
    fn the_database_counts_where_the_clocks_differ() {
        let machine = Arc::new(FixedClock::default());
        let clock = SharedClock::new(machine.clone());
        let seconds = |seconds: i64| Duration::seconds(seconds);
        let real = machine.now();
        for (differs, counts) in
            [(0, 0), (1, 0), (-1, 0), (3600, 3600), (3600, 3600), (3601, 3600), (-5, -5), (0, 0), (1, 0)]
        {
            clock.heard(real + seconds(differs), Instant::now());
            let ahead = clock.now() - real;
            assert!((ahead - seconds(counts)).abs() < Duration::milliseconds(100), "{differs}: {ahead}");
        }
        machine.set(real - seconds(3600));
        clock.heard(real, Instant::now());
        assert!((clock.now() - real).abs() < Duration::milliseconds(100), "set back, and put right");
    }

    #[test]
    fn going_back_is_noticed_once() {
        let machine = FixedClock::default();
        let mut watch = TimeWatch::new(machine.now());
        assert_eq!(watch.set_back(machine.advance(seconds(1))), None);
        assert_eq!(watch.set_back(machine.advance(seconds(3600))), None, "ahead");
        let back = watch.set_back(machine.advance(seconds(-3600))).unwrap();
        assert!((back - seconds(3600)).abs() < seconds(1), "{back}");
        assert_eq!(watch.set_back(machine.now()), None);
        assert_eq!(watch.set_back(machine.advance(seconds(-2))), None, "clocks are put right by seconds");
    }

    fn seconds(seconds: i64) -> Duration {
        Duration::seconds(seconds)
    }
}
