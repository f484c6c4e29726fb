//! Stripe's published test cards and accounts ("Testing" in Stripe's documentation). Only their last four digits are ever stored.

use crate::errors::ApiError;

/// A test card.
pub(crate) struct Card {
    /// What the sandbox stores to know it again.
    pub name: &'static str,
    number: &'static str,
    pub brand: &'static str,
    pub funding: &'static str,
    pub acts: Acts,
}

/// How a card behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Acts {
    /// Pays.
    Pays,
    /// Is declined with a code, also when it is saved.
    Declines(&'static str, Option<&'static str>),
    /// Can be saved, and is declined when it is charged.
    DeclinesLater,
    /// Wants 3-D Secure unless it was saved with it.
    AsksUnlessSaved,
    /// Wants 3-D Secure each time.
    Asks,
    /// Wants 3-D Secure, and has no funds then.
    AsksAndDeclines,
    /// Pays, and the payment is disputed; the money is taken.
    Disputes,
    /// Pays, and the bank inquires; no money is taken.
    Inquires,
    /// Pays; a refund fails later.
    RefundFails,
    /// Pays; a refund is pending, and succeeds later.
    RefundPends,
    /// A bank debit that succeeds later.
    Delays,
    /// A bank debit that fails later.
    DelaysAndFails,
}

const fn card(name: &'static str, number: &'static str, brand: &'static str, acts: Acts) -> Card {
    Card { name, number, brand, funding: "credit", acts }
}

const fn declined(name: &'static str, number: &'static str, reason: &'static str) -> Card {
    card(name, number, "visa", Acts::Declines("card_declined", Some(reason)))
}

static CARDS: [Card; 28] = [
    card("visa", "4242424242424242", "visa", Acts::Pays),
    Card { funding: "debit", ..card("visa_debit", "4000056655665556", "visa", Acts::Pays) },
    card("mastercard", "5555555555554444", "mastercard", Acts::Pays),
    card("amex", "378282246310005", "amex", Acts::Pays),
    card("discover", "6011111111111117", "discover", Acts::Pays),
    card("chargeCustomerFail", "4000000000000341", "visa", Acts::DeclinesLater),
    declined("visa_chargeDeclined", "4000000000000002", "generic_decline"),
    declined("visa_chargeDeclinedInsufficientFunds", "4000000000009995", "insufficient_funds"),
    declined("visa_chargeDeclinedLostCard", "4000000000009987", "lost_card"),
    declined("visa_chargeDeclinedStolenCard", "4000000000009979", "stolen_card"),
    card("chargeDeclinedExpiredCard", "4000000000000069", "visa", Acts::Declines("expired_card", None)),
    card("chargeDeclinedIncorrectCvc", "4000000000000127", "visa", Acts::Declines("incorrect_cvc", None)),
    card(
        "chargeDeclinedProcessingError",
        "4000000000000119",
        "visa",
        Acts::Declines("processing_error", None),
    ),
    card("authenticationRequired", "4000002500003155", "visa", Acts::AsksUnlessSaved),
    card("threeDSecure2Required", "4000000000003220", "visa", Acts::Asks),
    card("authenticationRequiredAlways", "4000002760003184", "visa", Acts::Asks),
    card(
        "authenticationRequiredChargeDeclinedInsufficientFunds",
        "4000008260003178",
        "visa",
        Acts::AsksAndDeclines,
    ),
    card("createDispute", "4000000000000259", "visa", Acts::Disputes),
    card("createDisputeProductNotReceived", "4000000000002685", "visa", Acts::Disputes),
    card("createDisputeInquiry", "4000000000001976", "visa", Acts::Inquires),
    card("refundFail", "4000000000005126", "visa", Acts::RefundFails),
    card("pendingRefund", "4000000000007726", "visa", Acts::RefundPends),
    card("sepa", "DE89370400440532013000", "sepa_debit", Acts::Delays),
    card("sepa_fail", "DE62370400440532013001", "sepa_debit", Acts::DelaysAndFails),
    card("sepa_at", "AT611904300234573201", "sepa_debit", Acts::Delays),
    card("sepa_at_fail", "AT861904300235473202", "sepa_debit", Acts::DelaysAndFails),
    // Of the recipe for `checkout.session.async_payment_failed` in Stripe's CLI; not among the published ones.
    card("sepa_it_fail", "IT60X0542811101000000123456", "sepa_debit", Acts::DelaysAndFails),
    card("threeDSecureOptional", "4000000000003055", "visa", Acts::Pays),
];

impl Card {
    pub fn last4(&self) -> &'static str {
        &self.number[self.number.len() - 4..]
    }

    pub fn is_debit(&self) -> bool {
        self.brand == "sepa_debit"
    }

    /// Country and code of the bank of a debited account, as its IBAN has them.
    pub fn bank(&self) -> (&'static str, &'static str) {
        let country = &self.number[..2];
        let code = match country {
            "AT" => &self.number[4..9],
            "IT" => &self.number[5..10],
            _ => &self.number[4..12],
        };
        (country, code)
    }
}

/// The card of a stored name.
pub(crate) fn named(name: &str) -> Option<&'static Card> {
    CARDS.iter().find(|card| card.name == name)
}

/// The card of `pm_card_visa` or `tok_visa`.
pub(crate) fn of_token(token: &str) -> Option<&'static Card> {
    let name = token.strip_prefix("pm_card_").or_else(|| token.strip_prefix("tok_"))?;
    // Names of older documents.
    let name = match name {
        "chargeDeclined" => "visa_chargeDeclined",
        "chargeDeclinedInsufficientFunds" => "visa_chargeDeclinedInsufficientFunds",
        "threeDSecureRequired" => "threeDSecure2Required",
        other => other,
    };
    named(name).filter(|card| !card.is_debit())
}

/// The card or account of a number that somebody typed. Others than Stripe's test numbers are refused, as in test mode.
pub(crate) fn of_number(typed: &str) -> Result<&'static Card, ApiError> {
    let digits: String =
        typed.chars().filter(|letter| !letter.is_whitespace() && *letter != '-').take(40).collect();
    if let Some(card) = CARDS.iter().find(|card| card.number == digits) {
        return Ok(card);
    }
    let is_number = (12..=19).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    if is_number && luhn(&digits) {
        let message = "Your card was declined. Your request was in test mode, but used a non test card. For a list of valid test cards, visit: https://stripe.com/docs/testing.";
        return Err(ApiError::card("card_declined", Some("test_mode_live_card"), message)
            .with("param", "card[number]"));
    }
    Err(ApiError::card("incorrect_number", None, "Your card number is incorrect.")
        .with("param", "card[number]"))
}

/// The account of an IBAN, with or without blanks. Others than test accounts are refused, as in test mode.
pub(crate) fn of_iban(typed: &str) -> Result<&'static Card, ApiError> {
    let iban: String = typed.chars().filter(|letter| !letter.is_whitespace()).take(40).collect();
    let iban = iban.to_ascii_uppercase();
    let found = CARDS.iter().find(|card| card.is_debit() && card.number == iban);
    found.ok_or_else(|| {
        ApiError::param(
            "sepa_debit[iban]",
            "The sandbox debits test accounts only, such as AT611904300234573201.",
        )
    })
}

/// The check digit of card numbers (ISO/IEC 7812-1).
fn luhn(digits: &str) -> bool {
    let sum: u32 = digits
        .bytes()
        .rev()
        .enumerate()
        .map(|(index, byte)| {
            let digit = u32::from(byte - b'0');
            let doubled = digit * 2;
            if index % 2 == 0 { digit } else { doubled / 10 + doubled % 10 }
        })
        .sum();
    sum.is_multiple_of(10)
}

/// What a card declines with, for people.
pub(crate) fn decline_message(code: &str, reason: Option<&str>) -> &'static str {
    match (code, reason) {
        ("expired_card", _) => "Your card has expired.",
        ("incorrect_cvc", _) => "Your card's security code is incorrect.",
        ("processing_error", _) => "An error occurred while processing your card. Try again in a little bit.",
        ("authentication_required", _) => "Your card was declined. This transaction requires authentication.",
        ("payment_intent_authentication_failure" | "setup_intent_authentication_failure", _) => {
            "We are unable to authenticate your payment method. Please choose a different payment method and try again."
        }
        (_, Some("insufficient_funds")) => "Your card has insufficient funds.",
        _ => "Your card was declined.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_numbers_are_known_and_others_refused() {
        assert_eq!(of_number("4242 4242 4242 4242").unwrap().last4(), "4242");
        assert_eq!(of_number("4111111111111111").err().unwrap().body["decline_code"], "test_mode_live_card");
        assert_eq!(of_number("4242424242424241").err().unwrap().body["code"], "incorrect_number");
        assert!(of_number("4é").is_err());
        assert!(CARDS.iter().filter(|card| !card.is_debit()).all(|card| luhn(card.number)));
    }

    #[test]
    fn test_accounts_are_known_and_others_refused() {
        let paying = of_iban("at61 1904 3002 3457 3201").unwrap();
        assert_eq!((paying.acts, paying.bank()), (Acts::Delays, ("AT", "19043")));
        assert_eq!(of_iban("AT861904300235473202").unwrap().acts, Acts::DelaysAndFails);
        assert_eq!(of_number("DE89370400440532013000").unwrap().bank(), ("DE", "37040044"));
        assert_eq!(of_iban("IT60X0542811101000000123456").unwrap().bank(), ("IT", "05428"));
        for other in ["FR1420041010050500013M02606", "4242424242424242", "é", ""] {
            assert_eq!(of_iban(other).err().unwrap().body["param"], "sepa_debit[iban]", "{other}");
        }
    }

    #[test]
    fn tokens_name_cards() {
        assert_eq!(of_token("pm_card_createDisputeInquiry").unwrap().acts, Acts::Inquires);
        assert_eq!(of_token("tok_visa").unwrap().brand, "visa");
        assert!(of_token("pm_card_sepa").is_none() && of_token("pm_1").is_none());
    }
}
