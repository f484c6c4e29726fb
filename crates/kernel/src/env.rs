//! What a use case may take from the outside world without a port of its own: time, randomness, and the operator's names.

use std::sync::Arc;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use uuid::Uuid;

use crate::{Id, Timestamp};

/// Source of the current time. Tests set it.
pub trait Clock: Send + Sync {
    /// Now.
    fn now(&self) -> Timestamp;
}

/// A cryptographically secure source of random bytes. Tests make it predictable.
pub trait Random: Send + Sync {
    /// MUST fill the whole buffer with bytes an attacker cannot guess.
    fn fill(&self, buffer: &mut [u8]);
}

/// Time, randomness and the names that the operator reserves, passed to every use case that needs them.
#[derive(Clone)]
pub struct Env {
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    reserved: Arc<[String]>,
}

impl Env {
    /// Bundles a clock and a source of randomness.
    pub fn new(clock: Arc<dyn Clock>, random: Arc<dyn Random>) -> Self {
        Self { clock, random, reserved: Arc::default() }
    }

    /// The same, with the operator's own names, which no site may have, see [`crate::name::Subdomain::wish`].
    #[must_use]
    pub fn reserving(self, names: impl IntoIterator<Item = String>) -> Self {
        Self { reserved: names.into_iter().collect(), ..self }
    }

    /// Names of the operator's own.
    pub fn reserved(&self) -> &[String] {
        &self.reserved
    }

    /// Now.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// A new UUIDv7 (RFC 9562 section 5.7): sorts by time of creation, to the microsecond (section 6.2, method 3).
    pub fn new_id<T>(&self) -> Id<T> {
        let mut tail = [0; 10];
        self.random.fill(&mut tail);
        let micros = self.now().unix_micros().max(0) as u64;
        // The 12 bits behind the milliseconds count 1/4096 of one; 62 random bits follow.
        let fraction = (micros % 1000) * 4096 / 1000;
        tail[0] = (fraction >> 8) as u8;
        tail[1] = fraction as u8;
        Id::from_uuid(uuid::Builder::from_unix_timestamp_millis(micros / 1000, &tail).into_uuid())
    }

    /// A random UUIDv4, where an id must not reveal its time of creation.
    pub fn random_uuid(&self) -> Uuid {
        uuid::Builder::from_random_bytes(self.random_bytes()).into_uuid()
    }

    /// `N` random bytes.
    pub fn random_bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.random.fill(&mut bytes);
        bytes
    }

    /// A secret of 256 bits as 43 characters of unpadded base64url, for links and tokens.
    pub fn secret(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.random_bytes::<32>())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, Ordering};

    use super::*;

    struct Ticking(AtomicI64);
    impl Clock for Ticking {
        fn now(&self) -> Timestamp {
            Timestamp::from_unix_micros(self.0.fetch_add(1, Ordering::Relaxed)).unwrap()
        }
    }

    struct Constant(u8);
    impl Random for Constant {
        fn fill(&self, buffer: &mut [u8]) {
            buffer.fill(self.0);
        }
    }

    #[test]
    fn ids_sort_by_time_to_the_microsecond() {
        let env =
            Env::new(Arc::new(Ticking(AtomicI64::new(1_795_000_000_000_000))), Arc::new(Constant(0xff)));
        let ids: Vec<Id<()>> = (0..3000).map(|_| env.new_id()).collect();
        assert!(ids.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(ids.iter().all(|id| id.uuid().get_version_num() == 7));
    }
}
