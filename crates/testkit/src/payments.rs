//! A payment provider in memory, whose payments a test makes.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use portico_billing::payment::{
    Checkout, CheckoutState, DisputeStatus, InboundEvent, InboundSubject, NewCheckout, NewRefund, Payment,
    PaymentError, PaymentProvider, Refund, RefundState, SignatureError,
};
use portico_kernel::{Money, Timestamp};
use serde_json::Value;

/// The secret of webhooks of Recurrente at every server that the testkit starts.
pub const RECURRENTE_SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

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
    payments: HashMap<String, Payment>,
    /// What was given back for each key, and as which refund.
    refunds: HashMap<String, (NewRefund, Refund)>,
    /// Calls that made a checkout, or answered with one that was made.
    creations: u64,
    is_down: bool,
    /// Sessions that it does not answer about.
    unanswered: HashSet<String>,
    /// Makes what it is asked for, and answers as if it had not.
    loses_answers: bool,
    refuses_refunds: bool,
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

    /// A buyer pays. Answers the id of the payment.
    pub fn pay(&self, session: &str) -> String {
        let id = format!("pi_{session}");
        let mut paid = None;
        self.change(session, |checkout| {
            checkout.state = CheckoutState::Paid { payment_id: id.clone() };
            checkout.url = None;
            paid = Some(Payment {
                id: id.clone(),
                amount: checkout.amount.clone(),
                reference: checkout.reference.clone(),
                customer_id: checkout.customer_id.clone(),
                live: checkout.live,
                fee: Some(Money { amount: 30, currency: checkout.amount.currency.clone() }),
                refunds: Vec::new(),
                disputes: Vec::new(),
            });
        });
        self.rows().payments.extend(paid.map(|paid| (id.clone(), paid)));
        id
    }

    /// Changes a payment, as the provider, a bank or somebody on its pages would; answers what `change` does.
    ///
    /// # Panics
    /// Where there is no such payment.
    pub fn change_payment<T>(&self, id: &str, change: impl FnOnce(&mut Payment) -> T) -> T {
        change(self.rows().payments.get_mut(id).expect("a payment of this id"))
    }

    /// Somebody gives back an amount on the pages of the provider.
    pub fn refund_elsewhere(&self, payment: &str, amount: i64) {
        self.change_payment(payment, |payment| {
            let currency = payment.amount.currency.clone();
            let id = format!("re_{}_{}", payment.id, payment.refunds.len());
            let state = RefundState::Succeeded;
            let amount = Money { amount, currency };
            payment.refunds.push(Refund { id, amount, state, reference: None });
        });
    }

    /// Whether it answers at all.
    pub fn set_down(&self, is_down: bool) {
        self.rows().is_down = is_down;
    }

    /// Has it answer no more about a session.
    pub fn leave_unanswered(&self, session: &str) {
        self.rows().unanswered.insert(session.to_owned());
    }

    /// Whether the answers to what it makes are lost on their way.
    pub fn set_losing_answers(&self, loses_answers: bool) {
        self.rows().loses_answers = loses_answers;
    }

    /// Whether it refuses to give money back.
    pub fn set_refusing_refunds(&self, refuses_refunds: bool) {
        self.rows().refuses_refunds = refuses_refunds;
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

/// Why a provider does not give back this much of a payment.
fn refusal(payment: &Payment, amount: &Money) -> Option<&'static str> {
    let back: i64 = payment
        .refunds
        .iter()
        .filter(|refund| refund.state != RefundState::Failed)
        .map(|refund| refund.amount.amount)
        .sum();
    if payment.disputes.iter().any(|dispute| dispute.status != DisputeStatus::Won) {
        Some("the payment is disputed")
    } else if amount.currency != payment.amount.currency || back + amount.amount > payment.amount.amount {
        Some("more than was paid")
    } else {
        None
    }
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
        let rows = self.answering()?;
        if rows.unanswered.contains(id) {
            return Err(PaymentError::Unavailable("the test says so of this one".to_owned()));
        }
        rows.checkouts.get(id).cloned().ok_or(PaymentError::NotFound)
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

    async fn payment(&self, id: &str) -> Result<Payment, PaymentError> {
        self.answering()?.payments.get(id).cloned().ok_or(PaymentError::NotFound)
    }

    async fn refund(&self, new: &NewRefund, key: &str) -> Result<Refund, PaymentError> {
        let mut rows = self.answering()?;
        let refund = match rows.refunds.get(key) {
            Some((earlier, _)) if earlier != new => {
                return Err(PaymentError::Refused("the key was used for another call".to_owned()));
            }
            Some((_, refund)) => refund.clone(),
            None if rows.refuses_refunds => {
                return Err(PaymentError::Refused("the test says so".to_owned()));
            }
            None => {
                let payment = rows.payments.get_mut(&new.payment_id).ok_or(PaymentError::NotFound)?;
                if let Some(reason) = refusal(payment, &new.amount) {
                    return Err(PaymentError::Refused(reason.to_owned()));
                }
                let (id, amount) = (format!("re_{key}"), new.amount.clone());
                let reference = Some(new.reference.clone());
                let refund = Refund { id, amount, state: RefundState::Succeeded, reference };
                payment.refunds.push(refund.clone());
                rows.refunds.insert(key.to_owned(), (new.clone(), refund.clone()));
                refund
            }
        };
        match rows.loses_answers {
            true => Err(PaymentError::Unavailable("the answer was lost".to_owned())),
            false => Ok(refund),
        }
    }

    async fn refund_now(&self, id: &str) -> Result<Refund, PaymentError> {
        let rows = self.answering()?;
        let mut refunds = rows.payments.values().flat_map(|payment| &payment.refunds);
        refunds.find(|refund| refund.id == id).cloned().ok_or(PaymentError::NotFound)
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
            subject: match (text("checkout"), text("payment"), text("customer")) {
                (Some(id), ..) => InboundSubject::Checkout { id },
                (None, Some(id), _) => InboundSubject::Payment { id },
                (None, None, Some(id)) => InboundSubject::Customer { id },
                (None, None, None) => InboundSubject::Other,
            },
        })
    }
}
