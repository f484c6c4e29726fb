//! Time and randomness that a test controls.

use std::sync::{
    Arc,
    atomic::{AtomicI64, AtomicU64, Ordering},
};

use portico_kernel::{Clock, Env, Random, Timestamp};
use time::Duration;

/// 2026-01-01T00:00:00Z: where the clock of a test stands unless it says otherwise.
const START: i64 = 1_767_225_600_000_000;

/// A clock that stands still until a test moves it.
#[derive(Debug)]
pub struct FixedClock(AtomicI64);

impl FixedClock {
    /// Stands at `now`.
    pub fn at(now: Timestamp) -> Self {
        Self(AtomicI64::new(now.unix_micros()))
    }

    /// Moves to `now`, forwards or backwards.
    pub fn set(&self, now: Timestamp) {
        self.0.store(now.unix_micros(), Ordering::SeqCst);
    }

    /// Moves on by `duration` and returns the new time.
    pub fn advance(&self, duration: Duration) -> Timestamp {
        self.set(self.now() + duration);
        self.now()
    }
}

impl Default for FixedClock {
    fn default() -> Self {
        Self(AtomicI64::new(START))
    }
}

impl Clock for FixedClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_micros(self.0.load(Ordering::SeqCst))
            .expect("a time that was stored is in range")
    }
}

/// The same bytes for the same seed, in the order of the calls; no two calls for eight bytes or more answer the same.
#[derive(Debug)]
pub struct SeededRandom(AtomicU64);

impl SeededRandom {
    /// Starts the sequence that belongs to `seed`.
    pub fn new(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }

    /// SplitMix64 (Steele, Lea, Flood 2014): a bijection of a counter, so no word repeats.
    fn next_word(&self) -> u64 {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut word = self.0.fetch_add(STEP, Ordering::SeqCst).wrapping_add(STEP);
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }
}

impl Random for SeededRandom {
    fn fill(&self, buffer: &mut [u8]) {
        for chunk in buffer.chunks_mut(8) {
            chunk.copy_from_slice(&self.next_word().to_le_bytes()[..chunk.len()]);
        }
    }
}

/// An [`Env`] together with the clock that moves it. Make one for each test: a second one repeats its ids.
#[derive(Clone)]
pub struct TestEnv {
    /// What use cases and adapters take.
    pub env: Env,
    /// Moves the time of [`TestEnv::env`].
    pub clock: Arc<FixedClock>,
}

impl TestEnv {
    /// Stands at `now`; the random values belong to `seed`.
    pub fn new(now: Timestamp, seed: u64) -> Self {
        let clock = Arc::new(FixedClock::at(now));
        Self { env: Env::new(Arc::clone(&clock) as Arc<dyn Clock>, Arc::new(SeededRandom::new(seed))), clock }
    }
}

impl Default for TestEnv {
    fn default() -> Self {
        Self::new(FixedClock::default().now(), 1)
    }
}

impl std::ops::Deref for TestEnv {
    type Target = Env;
    fn deref(&self) -> &Env {
        &self.env
    }
}

/// An environment that stands at 2026-01-01T00:00:00Z, with values that are the same in every run.
pub fn env() -> TestEnv {
    TestEnv::default()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use portico_kernel::PageId;

    use super::*;

    #[test]
    fn time_moves_only_when_told() {
        let env = env();
        let start = env.now();
        assert_eq!(env.now(), start);
        assert_eq!(env.clock.advance(Duration::minutes(15)) - start, Duration::minutes(15));
        env.clock.set(start);
        assert_eq!(env.now(), start);
        assert_eq!(start.to_string(), "2026-01-01T00:00:00Z");
    }

    #[test]
    fn random_values_repeat_for_a_seed_and_never_within_it() {
        let ids = |seed| {
            let env = TestEnv::new(FixedClock::default().now(), seed);
            (0..1000).map(|_| env.new_id()).collect::<Vec<PageId>>()
        };
        assert_eq!(ids(7), ids(7));
        assert_ne!(ids(7), ids(8));
        assert_eq!(ids(7).into_iter().collect::<HashSet<_>>().len(), 1000);
    }
}
