//! The only source of time and randomness from the operating system.

use std::sync::Arc;

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

/// The operating system's source of cryptographically secure random bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemRandom;

impl Random for SystemRandom {
    #[expect(clippy::disallowed_methods, reason = "this is where everybody else's randomness comes from")]
    fn fill(&self, buffer: &mut [u8]) {
        // Without randomness no secret is safe, and there is no error value to return.
        if getrandom::fill(buffer).is_err() {
            std::process::abort();
        }
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
}
