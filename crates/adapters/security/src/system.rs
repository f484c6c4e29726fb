//! The only source of time and randomness from the operating system.

use std::{cell::RefCell, sync::Arc};

use portico_kernel::{Clock, Env, Random, Timestamp};
use time::OffsetDateTime;

/// The clock of the machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is where everybody else's time comes from")]
    fn now(&self) -> Timestamp {
        Timestamp::new(OffsetDateTime::now_utc())
    }
}

/// Longest value that is taken from a [`Pool`]. Keys of the installation, tokens and salts are longer, and are never in memory before they
/// are needed.
const SHORT: usize = 15;

/// Random bytes of the operating system that this thread has asked for in advance: a system call for each request id would take longer
/// than making the rest of it.
struct Pool {
    bytes: [u8; 480],
    /// How many are not handed out yet; they are the first ones.
    left: usize,
}

thread_local! {
    static POOL: RefCell<Pool> = const { RefCell::new(Pool { bytes: [0; 480], left: 0 }) };
}

impl Pool {
    /// Hands out bytes, each of them once.
    fn take(&mut self, buffer: &mut [u8]) {
        if self.left < buffer.len() {
            fill_from_system(&mut self.bytes);
            self.left = self.bytes.len();
        }
        let rest = self.left - buffer.len();
        let taken = &mut self.bytes[rest..self.left];
        buffer.copy_from_slice(taken);
        taken.fill(0);
        self.left = rest;
    }
}

/// The operating system's source of cryptographically secure random bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemRandom;

impl Random for SystemRandom {
    fn fill(&self, buffer: &mut [u8]) {
        match buffer.len() {
            0..=SHORT => POOL.with_borrow_mut(|pool| pool.take(buffer)),
            _ => fill_from_system(buffer),
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "this is where everybody else's randomness comes from")]
fn fill_from_system(buffer: &mut [u8]) {
    // Without randomness no secret is safe, and there is no error value to return.
    if getrandom::fill(buffer).is_err() {
        std::process::abort();
    }
}

/// Time and randomness of the machine.
pub fn system_env() -> Env {
    Env::new(Arc::new(SystemClock), Arc::new(SystemRandom))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_is_plausible_and_secrets_differ() {
        let env = system_env();
        let before = env.now();
        assert!(before.unix_seconds() > 1_750_000_000 && env.now() >= before);
        assert_ne!(env.secret(), env.secret());
        let (first, second): (portico_kernel::UserId, portico_kernel::UserId) = (env.new_id(), env.new_id());
        assert_ne!(first, second);
    }

    #[test]
    fn short_values_are_handed_out_once_and_wiped() {
        let mut pool = Pool { bytes: [0; 480], left: 0 };
        let mut seen = std::collections::HashSet::new();
        for _ in 0..1000 {
            let mut value = [0; 10];
            pool.take(&mut value);
            assert!(seen.insert(value), "{value:?} came twice");
            assert!(pool.bytes[pool.left..].iter().all(|byte| *byte == 0));
        }
        let [mut first, mut second] = [[0; 7]; 2];
        SystemRandom.fill(&mut first);
        SystemRandom.fill(&mut second);
        assert_ne!(first, second);
    }
}
