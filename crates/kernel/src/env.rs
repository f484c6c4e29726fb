//! What a use case may take from the outside world without a port of its own: time and randomness.

use std::sync::Arc;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use uuid::Uuid;

use crate::{Id, Timestamp};

/// Tells the time. Tests set it.
pub trait Clock: Send + Sync {
    /// Now.
    fn now(&self) -> Timestamp;
}

/// A cryptographically secure source of random bytes. Tests make it predictable.
pub trait Random: Send + Sync {
    /// MUST fill the whole buffer with bytes an attacker cannot guess.
    fn fill(&self, buffer: &mut [u8]);
}

/// Time and randomness, handed to every use case that needs them.
#[derive(Clone)]
pub struct Env {
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
}

impl Env {
    /// Bundles a clock and a source of randomness.
    pub fn new(clock: Arc<dyn Clock>, random: Arc<dyn Random>) -> Self {
        Self { clock, random }
    }

    /// Now.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// A new UUIDv7 (RFC 9562 section 5.7): sorts by time of creation.
    pub fn new_id<T>(&self) -> Id<T> {
        let mut tail = [0; 10];
        self.random.fill(&mut tail);
        let millis = self.now().unix_micros() / 1000;
        Id::from_uuid(uuid::Builder::from_unix_timestamp_millis(millis.max(0) as u64, &tail).into_uuid())
    }

    /// A random UUIDv4, where an id must not tell when it was made.
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
