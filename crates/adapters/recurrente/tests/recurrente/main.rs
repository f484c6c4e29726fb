//! The adapter over the client of production, against a server that answers as the provider's documents say.
#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test as the test itself would")]

mod bounds;
mod contract;
mod protocol;
mod server;
mod webhooks;

use std::sync::{
    Arc,
    atomic::{AtomicI64, AtomicU64, Ordering},
};

use portico_billing::payment::{CheckoutLine, NewCheckout};
use portico_kernel::{Clock, Env, Money, Random, Timestamp};
use time::Duration;

/// 2026-01-01T00:00:00Z.
const START: i64 = 1_767_225_600;

/// A clock that a test moves.
pub struct TestClock(AtomicI64);

impl TestClock {
    /// Moves on.
    pub fn advance(&self, duration: Duration) {
        self.0.fetch_add(duration.whole_seconds(), Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_seconds(self.0.load(Ordering::SeqCst)).unwrap()
    }
}

/// Other bytes at each call.
struct Counting(AtomicU64);

impl Random for Counting {
    fn fill(&self, buffer: &mut [u8]) {
        let call = self.0.fetch_add(1, Ordering::SeqCst);
        // Five bits of the number of the call in each byte: an id takes no more of one.
        for (at, byte) in buffer.iter_mut().enumerate() {
            *byte = (call >> (5 * (at % 8))) as u8;
        }
    }
}

/// A clock, and values that are the same in every run.
pub fn env() -> (Env, Arc<TestClock>) {
    let clock = Arc::new(TestClock(AtomicI64::new(START)));
    (Env::new(clock.clone(), Arc::new(Counting(AtomicU64::new(1)))), clock)
}

/// A site that is sold for Q 1,500.
pub fn order(reference: &str, now: Timestamp) -> NewCheckout {
    NewCheckout {
        reference: reference.to_owned(),
        lines: vec![CheckoutLine {
            description: "Panadería Luz".to_owned(),
            unit_amount: 150_000,
            quantity: 1,
        }],
        amount: Money { amount: 150_000, currency: "gtq".to_owned() },
        success_url: "https://app.example.com/thanks".to_owned(),
        cancel_url: "https://app.example.com/offers".to_owned(),
        expires_at: now + Duration::minutes(30),
        email: None,
    }
}
