//! What the stand-in knows, and how it shows a checkout.

use std::collections::BTreeMap;

use portico_kernel::{Env, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// The most checkouts that are kept; the oldest go.
const CAPACITY: usize = 500;

/// Letters of ids.
const LETTERS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// Everything.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct State {
    pub checkouts: BTreeMap<String, Session>,
    /// Refunds by their id, as they are shown.
    pub refunds: BTreeMap<String, Value>,
}

/// How far a checkout is, in the provider's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Status {
    Unpaid,
    PaymentInProgress,
    Paid,
}

/// Something on a checkout.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Item {
    pub name: String,
    pub amount_in_cents: i64,
    pub quantity: i64,
}

/// A checkout.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Session {
    pub id: String,
    pub status: Status,
    pub items: Vec<Item>,
    /// Upper-case.
    pub currency: String,
    pub success_url: Option<String>,
    pub cancel_url: Option<String>,
    pub metadata: Map<String, Value>,
    pub created_at: Timestamp,
    pub expires_at: Option<Timestamp>,
    /// The last attempt to pay it.
    pub intent: Option<String>,
    pub refunded: bool,
}

impl State {
    /// Stores a refund, as it is shown.
    pub fn add_refund(&mut self, refund: Value) {
        self.refunds.insert(refund["id"].as_str().unwrap_or_default().to_owned(), refund);
    }

    /// Stores a new checkout.
    pub fn add(&mut self, session: Session) {
        self.checkouts.insert(session.id.clone(), session);
        while self.checkouts.len() > CAPACITY {
            let oldest = self.checkouts.values().min_by_key(|session| session.created_at);
            let Some(id) = oldest.map(|session| session.id.clone()) else { return };
            self.checkouts.remove(&id);
        }
    }
}

impl Session {
    /// Gives back what was paid, and answers the refund as it is shown; `None` where nothing was paid, or it was given back before.
    pub fn give_back(&mut self, env: &Env) -> Option<Value> {
        if self.status != Status::Paid || self.refunded {
            return None;
        }
        self.refunded = true;
        Some(json!({
            "id": new_id("re", env),
            "status": "succeeded",
            "account_refunded_amount_in_cents": self.total(),
            "customer_refunded_amount_in_cents": self.total(),
            "currency": self.currency,
            "created_at": env.now(),
        }))
    }

    /// What is to be paid.
    pub fn total(&self) -> i64 {
        self.items
            .iter()
            .map(|item| item.amount_in_cents.saturating_mul(item.quantity))
            .fold(0, i64::saturating_add)
    }

    /// Whether somebody can pay it.
    pub fn is_open(&self, now: Timestamp) -> bool {
        self.status == Status::Unpaid && self.expires_at.is_none_or(|end| end > now)
    }

    /// As the API shows it.
    pub fn shown(&self) -> Value {
        let paid = self.status == Status::Paid;
        let payment = self.intent.as_ref().filter(|_| paid).map(|intent| {
            json!({"id": intent, "paymentable": {"type": "OneTimePayment", "id": format!("on_{}", tail(intent))}})
        });
        let method = paid.then(|| json!({"type": "card", "card": {"last4": "4242", "network": "visa"}}));
        let intent = self.intent.as_ref().map(|id| json!({"id": id, "type": "PaymentIntent", "data": {}}));
        json!({
            "id": self.id,
            "status": self.status,
            "payment": payment,
            "payment_method": method,
            "transfer_setups": [],
            "metadata": self.metadata,
            "expires_at": self.expires_at,
            "success_url": self.success_url,
            "cancel_url": self.cancel_url,
            "created_at": self.created_at,
            "total_in_cents": self.total().to_string(),
            "currency": self.currency,
            "live_mode": false,
            "latest_intent": intent,
        })
    }
}

/// The part of an id behind its prefix.
fn tail(id: &str) -> &str {
    id.split_once('_').map_or(id, |(_, tail)| tail)
}

/// A new id behind a prefix.
pub(super) fn new_id(prefix: &str, env: &Env) -> String {
    let letters = env.random_bytes::<16>().map(|byte| char::from(LETTERS[usize::from(byte % 32)]));
    format!("{prefix}_{}", letters.iter().collect::<String>())
}
