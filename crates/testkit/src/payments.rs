//! A payment provider in memory, whose payments a test makes.

use std::{
    collections::HashMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use portico_billing::payment::{
    Checkout, CheckoutState, InboundEvent, InboundSubject, NewCheckout, NewRefund, PaymentError,
    PaymentProvider, Refund, SignatureError,
};
use portico_kernel::Timestamp;
use serde_json::Value;

/// What a webhook is signed with: `t=<seconds>,` and this.
const SIGNATURE: &str = "signed-by-the-test-provider";

/// How many seconds a signature is good for.
const TOLERANCE: i64 = 300;

/// What the provider has.
#[derive(Default)]
struct Rows {
    checkouts: HashMap<String, Checkout>,
    /// What was made for each key, and with what.
    keys: HashMap<String, (NewCheckout, String)>,
    refunds: HashMap<String, Refund>,
    /// Calls that made a checkout, or answered with one that was made.
    creations: u64,
    is_down: bool,
    /// Makes what it is asked for, and answers as if it had not.
    loses_answers: bool,
}

/// A payment provider in memory.
#[derive(Default)]
pub struct TestPayments(Mutex<Rows>);

impl TestPayments {
    /// Changes a checkout, as a buyer or the provider would.
    ///
    /// # Panics
    /// Where there is no such checkout.
    pub fn change(&self, session: &str, change: impl FnOnce(&mut Checkout)) {
        change(self.rows().checkouts.get_mut(session).expect("a checkout of this id"));
    }

    /// A buyer pays.
    pub fn pay(&self, session: &str) {
        self.change(session, |checkout| {
            checkout.state = CheckoutState::Paid { payment_id: format!("pi_{session}") };
            checkout.url = None;
        });
    }

    /// Whether it answers at all.
    pub fn set_down(&self, is_down: bool) {
        self.rows().is_down = is_down;
    }

    /// Whether the answers to what it makes are lost on their way.
    pub fn set_losing_answers(&self, loses_answers: bool) {
        self.rows().loses_answers = loses_answers;
    }

    /// How often it was asked to make a checkout, and how many it has made.
    pub fn creations(&self) -> (u64, usize) {
        let rows = self.rows();
        (rows.creations, rows.checkouts.len())
    }

    /// The value of the header of a webhook that is sent at a time.
    pub fn signature(at: Timestamp) -> String {
        format!("t={},{SIGNATURE}", at.unix_seconds())
    }

    fn rows(&self) -> MutexGuard<'_, Rows> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answering(&self) -> Result<MutexGuard<'_, Rows>, PaymentError> {
        let rows = self.rows();
        match rows.is_down {
            true => Err(PaymentError::Unavailable("the test says so".to_owned())),
            false => Ok(rows),
        }
    }
}

fn next_session() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    format!("cs_test_{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

#[async_trait]
impl PaymentProvider for TestPayments {
    async fn create_checkout(&self, new: &NewCheckout, key: &str) -> Result<Checkout, PaymentError> {
        let mut rows = self.answering()?;
        rows.creations += 1;
        let known = rows.keys.get(key).cloned();
        let session = match known {
            Some((earlier, _)) if earlier != *new => {
                return Err(PaymentError::Refused("the key was used for another call".to_owned()));
            }
            Some((_, session)) => session,
            None => {
                let session = next_session();
                let checkout = Checkout {
                    id: session.clone(),
                    url: Some(format!("https://pay.example.com/{session}")),
                    state: CheckoutState::Open,
                    amount: new.amount.clone(),
                    reference: Some(new.reference.clone()),
                    customer_id: None,
                    live: false,
                    expires_at: new.expires_at,
                };
                rows.checkouts.insert(session.clone(), checkout);
                rows.keys.insert(key.to_owned(), (new.clone(), session.clone()));
                session
            }
        };
        if rows.loses_answers {
            return Err(PaymentError::Unavailable("the answer was lost".to_owned()));
        }
        rows.checkouts.get(&session).cloned().ok_or(PaymentError::NotFound)
    }

    async fn checkout(&self, id: &str) -> Result<Checkout, PaymentError> {
        self.answering()?.checkouts.get(id).cloned().ok_or(PaymentError::NotFound)
    }

    async fn expire_checkout(&self, id: &str) -> Result<Checkout, PaymentError> {
        let mut rows = self.answering()?;
        let checkout = rows.checkouts.get_mut(id).ok_or(PaymentError::NotFound)?;
        if checkout.state == CheckoutState::Open {
            checkout.state = CheckoutState::Expired;
            checkout.url = None;
        }
        Ok(checkout.clone())
    }

    async fn refund(&self, new: &NewRefund, key: &str) -> Result<Refund, PaymentError> {
        let mut rows = self.answering()?;
        let paid = rows.checkouts.values().find(|checkout| {
            matches!(&checkout.state, CheckoutState::Paid { payment_id } if *payment_id == new.payment_id)
        });
        let paid = paid.map(|checkout| checkout.amount.clone()).ok_or(PaymentError::NotFound)?;
        if let Some(refund) = rows.refunds.get(key) {
            return Ok(refund.clone());
        }
        let back: i64 = rows.refunds.values().map(|refund| refund.amount.amount).sum();
        if paid.currency != new.amount.currency || back + new.amount.amount > paid.amount {
            return Err(PaymentError::Refused("more than was paid".to_owned()));
        }
        let refund = Refund { id: format!("re_{key}"), amount: new.amount.clone() };
        rows.refunds.insert(key.to_owned(), refund.clone());
        Ok(refund)
    }

    fn verify(
        &self,
        headers: &[(String, String)],
        body: &[u8],
        now: Timestamp,
    ) -> Result<InboundEvent, SignatureError> {
        let header = headers.iter().find(|(name, _)| name == "stripe-signature");
        let (time, signature) =
            header.and_then(|(_, value)| value.strip_prefix("t=")?.split_once(',')).ok_or(SignatureError)?;
        let at: i64 = time.parse().map_err(|_| SignatureError)?;
        if signature != SIGNATURE || (now.unix_seconds() - at).abs() > TOLERANCE {
            return Err(SignatureError);
        }
        let event: Value = serde_json::from_slice(body).map_err(|_| SignatureError)?;
        let text = |field: &str| event[field].as_str().map(str::to_owned);
        Ok(InboundEvent {
            id: text("id").ok_or(SignatureError)?,
            kind: text("type").ok_or(SignatureError)?,
            subject: match (text("checkout"), text("customer")) {
                (Some(id), _) => InboundSubject::Checkout { id },
                (None, Some(id)) => InboundSubject::Customer { id },
                (None, None) => InboundSubject::Other,
            },
        })
    }
}
