//! Webhooks of Stripe: whether it was Stripe who sent one, and what it is about.
//!
//! The signature is checked here and not by `async-stripe`: that takes one secret, and refuses a signed event whose object is newer than the
//! library as if it were not signed. By "Verify webhook signatures manually" in Stripe's documentation.

use hmac::{Hmac, KeyInit, Mac};
use portico_billing::payment::{InboundEvent, InboundSubject, SignatureError};
use portico_kernel::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::Value;
use sha2::Sha256;
use subtle::{Choice, ConstantTimeEq};

use crate::values::REFERENCE;

/// Name of the header, as the server writes it.
const HEADER: &str = "stripe-signature";

/// How many seconds a signature may be away from now.
const TOLERANCE: u64 = 300;

/// Bytes of an HMAC-SHA256.
const MAC: usize = 32;

/// Kinds of events about a page where something is paid or put on file begin so.
const CHECKOUT: &str = "checkout.session.";

/// A payment was refunded, at the charge by which it was made.
const REFUNDED: &str = "charge.refunded";

/// Kinds of events about refunds and disputes begin so. Their objects name the payment.
const PAYMENT: [&str; 3] = ["charge.refund.", "charge.dispute.", "refund."];

/// Kinds about a customer itself: what it pays with, and that it is gone.
const CUSTOMER: [&str; 2] = ["customer.updated", "customer.deleted"];

/// Kinds of events about what belongs to a customer begin so. Their objects name the customer.
const OF_CUSTOMER: [&str; 4] =
    ["customer.subscription.", "invoice.", "payment_method.", "subscription_schedule."];

/// The secrets of an endpoint.
pub(crate) struct Webhooks {
    secrets: Vec<SecretString>,
}

/// An event, as far as it is read: it is a hint.
#[derive(Deserialize)]
struct Event {
    id: String,
    r#type: String,
    #[serde(default)]
    data: Value,
}

impl Webhooks {
    /// With these secrets. Blank ones are left out: a signature made with nothing proves nothing.
    pub fn new(secrets: &[SecretString]) -> Self {
        let known = secrets.iter().filter(|secret| !secret.expose_secret().trim().is_empty());
        Self { secrets: known.cloned().collect() }
    }

    /// Reads an event that one of the secrets has signed.
    pub fn verify(
        &self,
        headers: &[(String, String)],
        body: &[u8],
        now: Timestamp,
    ) -> Result<InboundEvent, SignatureError> {
        let header = headers.iter().find(|(name, _)| name == HEADER).ok_or(SignatureError)?;
        let (time, signatures) = signature(&header.1).ok_or(SignatureError)?;
        let seconds: i64 = time.parse().map_err(|_| SignatureError)?;
        if now.unix_seconds().abs_diff(seconds) > TOLERANCE {
            return Err(SignatureError);
        }
        let mut matches = Choice::from(0);
        for secret in &self.secrets {
            let expected = sign(secret.expose_secret(), time, body)?;
            for given in &signatures {
                matches |= expected.ct_eq(given);
            }
        }
        if !bool::from(matches) {
            return Err(SignatureError);
        }
        let event: Event = serde_json::from_slice(body).map_err(|_| SignatureError)?;
        let subject = subject(&event.r#type, &event.data);
        Ok(InboundEvent { id: event.id, kind: event.r#type, subject })
    }
}

/// What an event of a kind is about.
fn subject(kind: &str, data: &Value) -> InboundSubject {
    let text = |path: &str| data.pointer(path).and_then(Value::as_str).map(str::to_owned);
    let begins = |kinds: &[&str]| kinds.iter().any(|known| kind.starts_with(known));
    let customer = || text("/object/customer").map(|id| InboundSubject::Customer { id });
    let payment = || text("/object/payment_intent").map(|id| InboundSubject::Payment { id });
    let found = if kind.starts_with(CHECKOUT) {
        match text("/object/mode").as_deref() {
            Some("subscription" | "setup") => customer(),
            _ => text("/object/id").map(|id| InboundSubject::Checkout { id }),
        }
    } else if kind == REFUNDED {
        // What invoices were paid by has a customer, and none of our references.
        let is_ours = text(&format!("/object/metadata/{REFERENCE}")).is_some();
        if is_ours { payment() } else { customer().or_else(payment) }
    } else if begins(&PAYMENT) {
        payment()
    } else if CUSTOMER.contains(&kind) {
        text("/object/id").map(|id| InboundSubject::Customer { id })
    } else if begins(&OF_CUSTOMER) {
        // What was taken off the file has no customer any more.
        let before = || text("/previous_attributes/customer").map(|id| InboundSubject::Customer { id });
        customer().or_else(before)
    } else {
        None
    };
    found.unwrap_or(InboundSubject::Other)
}

/// The time of a signature as it was written, and its values of the scheme `v1`; others are ignored. `None` for one without a time.
fn signature(header: &str) -> Option<(&str, Vec<[u8; MAC]>)> {
    let parts = || header.split(',').filter_map(|part| part.trim().split_once('='));
    let (_, time) = parts().find(|(name, _)| *name == "t")?;
    let signatures = parts().filter(|(name, _)| *name == "v1").filter_map(|(_, value)| unhex(value));
    Some((time, signatures.collect()))
}

/// The MAC of a body that was sent at a time. The key is the whole text of the secret.
fn sign(secret: &str, time: &str, body: &[u8]) -> Result<[u8; MAC], SignatureError> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).map_err(|_| SignatureError)?;
    mac.update(time.as_bytes());
    mac.update(b".");
    mac.update(body);
    Ok(mac.finalize().into_bytes().into())
}

fn unhex(text: &str) -> Option<[u8; MAC]> {
    let digits: Vec<u8> =
        text.chars().map(|letter| letter.to_digit(16)?.try_into().ok()).collect::<Option<_>>()?;
    let byte = |pair: &[u8]| pair.iter().fold(0, |byte, digit| (byte << 4) | digit);
    let bytes: Vec<u8> = digits.chunks_exact(2).map(byte).collect();
    (digits.len() == 2 * MAC).then_some(bytes)?.try_into().ok()
}

#[cfg(test)]
mod tests;
