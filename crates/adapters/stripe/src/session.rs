//! A session of Checkout, as far as it is read: the type of `async-stripe` contains nearly all objects of Stripe, and what reads them
//! was a twelfth of the program.

use std::collections::HashMap;

use miniserde::{Deserialize, json::Value};
use portico_billing::payment::{Checkout, CheckoutState, PaymentError};
use portico_kernel::{Money, Timestamp};

use crate::values::{REFERENCE, odd};

#[derive(Deserialize)]
pub(crate) struct SessionObject {
    pub id: String,
    /// Of its page.
    pub url: Option<String>,
    pub expires_at: i64,
    status: Option<String>,
    payment_status: String,
    amount_total: Option<i64>,
    currency: Option<String>,
    client_reference_id: Option<String>,
    metadata: Option<HashMap<String, String>>,
    livemode: bool,
    /// Its id, or itself.
    customer: Option<Value>,
    /// Its id, or itself.
    payment_intent: Option<Value>,
}

impl SessionObject {
    /// Whether it waits for the buyer.
    pub fn is_open(&self) -> bool {
        self.status.as_deref() == Some("open")
    }

    /// What Stripe says about it.
    pub fn read(self) -> Result<Checkout, PaymentError> {
        let state = self.state().ok_or_else(|| odd(&self.id, "a status that is not known here"))?;
        let (Some(amount), Some(currency)) = (self.amount_total, self.currency) else {
            return Err(odd(&self.id, "no amount"));
        };
        let stored = self.metadata.and_then(|mut metadata| metadata.remove(REFERENCE));
        Ok(Checkout {
            state,
            amount: Money { amount, currency },
            reference: self.client_reference_id.or(stored),
            customer_id: self.customer.as_ref().and_then(id_of).map(str::to_owned),
            live: self.livemode,
            expires_at: Timestamp::from_unix_seconds(self.expires_at)
                .ok_or_else(|| odd(&self.id, "no end"))?,
            url: self.url,
            id: self.id,
        })
    }

    /// How far it is; `None` where Stripe has new words for it. A session is `complete` once the buyer has done their part: whether that was
    /// enough is in the status of the payment.
    fn state(&self) -> Option<CheckoutState> {
        match (self.status.as_deref()?, self.payment_status.as_str()) {
            ("open", _) => Some(CheckoutState::Open),
            ("expired", _) => Some(CheckoutState::Expired),
            ("complete", "paid" | "no_payment_required") => {
                let payment_id = match &self.payment_intent {
                    Some(payment) => id_of(payment)?,
                    // Where nothing is to be paid there is no payment.
                    None => &self.id,
                };
                Some(CheckoutState::Paid { payment_id: payment_id.to_owned() })
            }
            // A delayed payment that fails leaves the session as it is.
            ("complete", "unpaid") => {
                let status = self.payment_intent.as_ref().and_then(|payment| text(payment, "status"));
                Some(match status {
                    Some("requires_payment_method" | "canceled") => CheckoutState::Failed,
                    _ => CheckoutState::Processing,
                })
            }
            _ => None,
        }
    }
}

/// The id of something that is there by its id or itself.
fn id_of(value: &Value) -> Option<&str> {
    match value {
        Value::String(id) => Some(id),
        object => text(object, "id"),
    }
}

/// A text of an object.
fn text<'v>(value: &'v Value, name: &str) -> Option<&'v str> {
    match value {
        Value::Object(object) => match object.get(name) {
            Some(Value::String(text)) => Some(text),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use miniserde::json::from_str;

    use super::*;

    fn read(fields: &str) -> Result<Checkout, PaymentError> {
        let text = format!(
            r#"{{"id": "cs_1", "object": "checkout.session", "url": null, "expires_at": 1800000000, "amount_total": 500,
                "currency": "usd", "client_reference_id": null, "metadata": {{"portico_reference": "p1"}}, "livemode": false,
                "customer": "cus_1", {fields}}}"#
        );
        from_str::<SessionObject>(&text).unwrap().read()
    }

    #[test]
    fn how_far_it_is_follows_from_session_and_payment() {
        let paid = |payment: &str| CheckoutState::Paid { payment_id: payment.to_owned() };
        for (status, payment_status, payment, state) in [
            ("open", "unpaid", "null", CheckoutState::Open),
            ("expired", "unpaid", "null", CheckoutState::Expired),
            ("complete", "paid", r#""pi_1""#, paid("pi_1")),
            ("complete", "paid", r#"{"id": "pi_1", "status": "succeeded"}"#, paid("pi_1")),
            ("complete", "no_payment_required", "null", paid("cs_1")),
            ("complete", "unpaid", r#"{"id": "pi_1", "status": "processing"}"#, CheckoutState::Processing),
            ("complete", "unpaid", r#"{"id": "pi_1", "status": "canceled"}"#, CheckoutState::Failed),
            (
                "complete",
                "unpaid",
                r#"{"id": "pi_1", "status": "requires_payment_method"}"#,
                CheckoutState::Failed,
            ),
            ("complete", "unpaid", r#""pi_1""#, CheckoutState::Processing),
        ] {
            let fields = format!(
                r#""status": "{status}", "payment_status": "{payment_status}", "payment_intent": {payment}"#
            );
            let checkout = read(&fields).unwrap();
            assert_eq!(checkout.state, state, "{fields}");
            assert_eq!(
                (checkout.reference.as_deref(), checkout.customer_id.as_deref()),
                (Some("p1"), Some("cus_1"))
            );
        }
    }

    #[test]
    fn a_word_that_is_new_is_not_guessed_at() {
        for fields in [
            r#""status": "v9", "payment_status": "paid""#,
            r#""status": "complete", "payment_status": "v9""#,
            r#""status": "complete", "payment_status": "paid", "payment_intent": {"status": "succeeded"}"#,
            r#""status": null, "payment_status": "paid""#,
        ] {
            assert!(read(fields).is_err_and(|error| error.is_passing()), "{fields}");
        }
    }
}
