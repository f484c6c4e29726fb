//! Objects of the API, as far as they are read.

use portico_billing::payment::{Checkout, CheckoutState, PaymentError, Refund, RefundState};
use portico_kernel::{Money, Timestamp};
use serde::Deserialize;
use serde_json::{Map, Value};
use time::Duration;
use url::Url;

/// The member of the metadata that holds our reference.
pub(crate) const REFERENCE: &str = "reference";

/// How long after it was made a checkout ends that says nothing about it. Ours say so.
const WITHOUT_END: Duration = Duration::DAY;

/// The answer to a new checkout.
#[derive(Deserialize)]
pub(crate) struct NewCheckoutObject {
    pub id: String,
    pub checkout_url: String,
}

/// A checkout.
#[derive(Deserialize)]
pub(crate) struct CheckoutObject {
    id: String,
    status: String,
    checkout_url: Option<String>,
    #[serde(default)]
    metadata: Option<Map<String, Value>>,
    expires_at: Option<Timestamp>,
    created_at: Option<Timestamp>,
    /// Minor units, as text in the documents.
    total_in_cents: Value,
    currency: String,
    live_mode: Option<bool>,
    latest_intent: Option<Named>,
    payment: Option<Named>,
}

/// An object of which only the id is of interest.
#[derive(Deserialize)]
struct Named {
    id: String,
}

/// A refund.
#[derive(Deserialize)]
pub(crate) struct RefundObject {
    pub id: String,
    pub status: String,
    pub customer_refunded_amount_in_cents: Option<Value>,
    pub currency: Option<String>,
}

impl RefundObject {
    /// As the port has it, without our reference, which it does not store. `total` is what is given back where it says nothing else.
    pub fn read(self, total: Option<Money>) -> Result<Refund, PaymentError> {
        let state = match self.status.as_str() {
            "failed" | "voided" => RefundState::Failed,
            "succeeded" => RefundState::Succeeded,
            _ => RefundState::Pending,
        };
        let back = self.customer_refunded_amount_in_cents.as_ref().and_then(minor_units);
        let currency = self.currency.map(|currency| currency.to_lowercase());
        let (known, of_total) = total.map(|total| (total.amount, total.currency)).unzip();
        let unreadable = || PaymentError::Unavailable("a refund whose amount cannot be read".to_owned());
        let amount = back.or(known).ok_or_else(unreadable)?;
        let currency = of_total.or(currency).ok_or_else(unreadable)?;
        Ok(Refund { id: self.id, amount: Money { amount, currency }, state, reference: None })
    }
}

impl CheckoutObject {
    /// As the port has it at `now`. `is_live` is what the keys say, where the checkout itself says nothing.
    pub fn read(&self, base_url: &str, is_live: bool, now: Timestamp) -> Result<Checkout, PaymentError> {
        let expires_at = self.expires_at.unwrap_or(self.created_at.unwrap_or(now) + WITHOUT_END);
        let state = match self.status.as_str() {
            "paid" => CheckoutState::Paid { payment_id: self.id.clone() },
            "payment_in_progress" => CheckoutState::Processing,
            // There is no status of its own for one whose time is over.
            _ if expires_at <= now => CheckoutState::Expired,
            _ => CheckoutState::Open,
        };
        let page = || self.checkout_url.clone().or_else(|| page_of(base_url, &self.id));
        Ok(Checkout {
            url: if state == CheckoutState::Open { page() } else { None },
            id: self.id.clone(),
            state,
            amount: self.total()?,
            reference: self.reference().map(str::to_owned),
            customer_id: None,
            live: self.live_mode.unwrap_or(is_live),
            expires_at,
        })
    }

    /// Whether it says when it ends.
    pub const fn has_end(&self) -> bool {
        self.expires_at.is_some()
    }

    /// What we call it; `None` for one that was not made here.
    pub fn reference(&self) -> Option<&str> {
        self.metadata.as_ref()?.get(REFERENCE)?.as_str()
    }

    /// What is paid in all.
    pub fn total(&self) -> Result<Money, PaymentError> {
        let amount = minor_units(&self.total_in_cents)
            .ok_or_else(|| PaymentError::Unavailable("a checkout whose total cannot be read".to_owned()))?;
        Ok(Money { amount, currency: self.currency.to_lowercase() })
    }

    /// The provider's id of the attempt that has paid it, by which money is given back.
    pub fn intent(&self) -> Option<&str> {
        self.latest_intent.as_ref().or(self.payment.as_ref()).map(|named| named.id.as_str())
    }
}

/// Whole minor units, written as a number or as text.
pub(crate) fn minor_units(value: &Value) -> Option<i64> {
    match value {
        Value::String(text) => text.trim().parse().ok(),
        other => other.as_i64(),
    }
}

/// The page of a checkout that was read and not made: answers to reading do not name it.
fn page_of(base_url: &str, id: &str) -> Option<String> {
    Some(Url::parse(base_url).ok()?.join(&format!("/checkout-session/{id}")).ok()?.into())
}

/// Whether a text can be the id of a checkout: it becomes a part of a path.
pub(crate) fn is_id(text: &str) -> bool {
    (1..=255).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const BASE: &str = "https://app.recurrente.com/api";

    fn now() -> Timestamp {
        Timestamp::from_unix_seconds(1_790_000_000).unwrap()
    }

    fn read(change: Value) -> Result<Checkout, PaymentError> {
        let mut object = json!({
            "id": "ch_eegw9j5zgqoae3ms", "status": "unpaid", "payment": null, "payment_method": null, "transfer_setups": [],
            "metadata": {"reference": "a_b"}, "expires_at": (now() + Duration::HOUR).to_string(), "success_url": "https://a.example",
            "created_at": now().to_string(), "total_in_cents": "500", "currency": "GTQ", "live_mode": false,
        });
        for (name, value) in change.as_object().unwrap() {
            object[name] = value.clone();
        }
        serde_json::from_value::<CheckoutObject>(object).unwrap().read(BASE, true, now())
    }

    #[test]
    fn a_checkout_is_read_as_the_documents_show_it() {
        let open = read(json!({})).unwrap();
        assert_eq!(open.amount, Money { amount: 500, currency: "gtq".to_owned() });
        assert_eq!(
            (open.reference.as_deref(), open.state, open.live),
            (Some("a_b"), CheckoutState::Open, false)
        );
        assert_eq!(
            open.url.as_deref(),
            Some("https://app.recurrente.com/checkout-session/ch_eegw9j5zgqoae3ms")
        );
        let elsewhere =
            read(json!({"checkout_url": "https://pay.example/1", "live_mode": null, "metadata": null}))
                .unwrap();
        assert_eq!((elsewhere.url.as_deref(), elsewhere.reference), (Some("https://pay.example/1"), None));
        assert!(elsewhere.live, "the keys say so");
        let number = read(json!({"total_in_cents": 500, "currency": "USD"})).unwrap();
        assert_eq!(number.amount, Money { amount: 500, currency: "usd".to_owned() });
        for odd in [json!("5.00"), json!("a"), json!(5.5), json!(null)] {
            assert!(read(json!({"total_in_cents": odd})).is_err(), "{odd}");
        }
    }

    #[test]
    fn only_a_paid_one_is_paid() {
        let past = (now() - Duration::SECOND).to_string();
        let paid = CheckoutState::Paid { payment_id: "ch_eegw9j5zgqoae3ms".to_owned() };
        for (change, state) in [
            (json!({"status": "paid"}), paid.clone()),
            (json!({"status": "paid", "expires_at": past}), paid),
            (json!({"status": "payment_in_progress", "expires_at": past}), CheckoutState::Processing),
            (json!({"expires_at": past}), CheckoutState::Expired),
            (json!({"status": "something new"}), CheckoutState::Open),
            (json!({"expires_at": null}), CheckoutState::Open),
            (
                json!({"expires_at": null, "created_at": (now() - WITHOUT_END).to_string()}),
                CheckoutState::Expired,
            ),
        ] {
            let found = read(change.clone()).unwrap();
            assert_eq!(found.url.is_some(), state == CheckoutState::Open, "{change}");
            assert_eq!(found.state, state, "{change}");
        }
    }

    #[test]
    fn ids_lead_to_no_other_path() {
        for id in ["ch_eegw9j5zgqoae3ms", "ch-1"] {
            assert!(is_id(id), "{id}");
        }
        for id in ["", "../users", "ch_1/x", "ch_1?x", "ch 1", "ch_é"] {
            assert!(!is_id(id), "{id}");
        }
    }
}
