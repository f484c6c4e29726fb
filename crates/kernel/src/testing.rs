//! Time and randomness for the unit tests of the crates of domains.

use std::sync::{
    Arc,
    atomic::{AtomicU8, Ordering},
};

use ::time::{Duration, OffsetDateTime};

use crate::{Clock, Env, Random, Timestamp};

/// Stands still, at 2026-09-21T14:13:20Z.
struct Fixed;

impl Clock for Fixed {
    fn now(&self) -> Timestamp {
        Timestamp::new(OffsetDateTime::UNIX_EPOCH + Duration::seconds(1_790_000_000))
    }
}

/// Counts, so that two ids differ.
struct Counting {
    next: AtomicU8,
    step: u8,
}

impl Random for Counting {
    fn fill(&self, buffer: &mut [u8]) {
        buffer.fill_with(|| self.next.fetch_add(self.step, Ordering::Relaxed));
    }
}

/// A clock that stands still, and random bytes that count: 1, 2, 3 and so on.
pub fn env() -> Env {
    counting_by(1)
}

/// The same, with random bytes that count in steps.
pub fn counting_by(step: u8) -> Env {
    counting(Arc::new(Fixed), step)
}

/// The same as [`env`], with another clock.
pub fn env_at(clock: Arc<dyn Clock>) -> Env {
    counting(clock, 1)
}

fn counting(clock: Arc<dyn Clock>, step: u8) -> Env {
    Env::new(clock, Arc::new(Counting { next: AtomicU8::new(1), step }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_stands_still_and_bytes_count() {
        assert_eq!(env().now(), Timestamp::from_unix_seconds(1_790_000_000).unwrap());
        assert_eq!((env().random_bytes::<3>(), counting_by(7).random_bytes::<3>()), ([1, 2, 3], [1, 8, 15]));
    }
}
