//! Ids, amounts and times, as they go out and come in.

use portico_billing::{money::Currency, payment::PaymentError};
use portico_kernel::{Money, Timestamp};
use stripe_checkout::checkout_session::CreateCheckoutSessionAdaptivePricing;

/// Name of the metadata that holds our reference, at whatever was made here: people who look at it in Stripe's dashboard find it there.
pub(crate) const REFERENCE: &str = "portico_reference";

/// Most characters of an id of Stripe.
const ID_MAX: usize = 255;

/// An id that stands in a path. What cannot be one of Stripe's is not there.
pub(crate) fn known(id: &str) -> Result<&str, PaymentError> {
    let is_id = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    match (1..=ID_MAX).contains(&id.len()) && id.bytes().all(is_id) {
        true => Ok(id),
        false => Err(PaymentError::NotFound),
    }
}

/// The currency of an amount that goes out.
pub(crate) fn currency(money: &Money) -> Result<Currency, PaymentError> {
    let unknown = || PaymentError::Refused("a currency that is not on the list".to_owned());
    Currency::parse(&money.currency).ok_or_else(unknown)
}

/// Refuses what Stripe would round or not take.
pub(crate) fn chargeable(amount: i64, currency: Currency) -> Result<(), PaymentError> {
    match amount >= 0 && amount % currency.step() == 0 {
        true => Ok(()),
        false => Err(PaymentError::Refused(format!(
            "amounts in {} are multiples of {} from 0",
            currency.as_str(),
            currency.step()
        ))),
    }
}

/// Buyers pay what the catalogue says, in its currency, whatever the account is set to.
pub(crate) fn no_adaptive_pricing() -> CreateCheckoutSessionAdaptivePricing {
    let mut adaptive = CreateCheckoutSessionAdaptivePricing::new();
    adaptive.enabled = Some(false);
    adaptive
}

/// An answer that says something which is not known here. Whether anything was done is unknown.
pub(crate) fn odd(id: &str, what: &str) -> PaymentError {
    PaymentError::Unavailable(format!("{id} has {what}"))
}

/// A time of an answer.
pub(crate) fn time(id: &str, seconds: i64) -> Result<Timestamp, PaymentError> {
    Timestamp::from_unix_seconds(seconds).ok_or_else(|| odd(id, "a time that is not on the calendar"))
}

/// A time of an answer that may be missing.
pub(crate) fn perhaps(id: &str, seconds: Option<i64>) -> Result<Option<Timestamp>, PaymentError> {
    seconds.map(|seconds| time(id, seconds)).transpose()
}
