//! Amounts of money.

use serde::{Deserialize, Serialize};

use crate::{RuleMessage, Violations};

/// The most minor units that one amount may have: a hundred million in most currencies.
const MAX_AMOUNT: i64 = 10_000_000_000;

/// An amount in minor units of a currency, for instance 35900 `usd` for 359 dollars.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Money {
    /// Minor units, for instance cents.
    #[cfg_attr(feature = "openapi", schema(example = 35900))]
    pub amount: i64,
    /// Lower-case ISO 4217.
    #[cfg_attr(feature = "openapi", schema(example = "usd"))]
    pub currency: String,
}

impl Money {
    /// A price in client input: more than zero, in a currency of three lower-case letters. Errors are recorded for the fields
    /// `amount` and `currency`.
    pub fn price(amount: i64, currency: &str, violations: &mut Violations) -> Self {
        violations.check(
            (1..=MAX_AMOUNT).contains(&amount),
            "amount",
            "out_of_range",
            RuleMessage::new("Use a whole number of minor units from 1 to 10000000000.")
                .min(1)
                .max(MAX_AMOUNT),
        );
        let is_code = currency.len() == 3 && currency.bytes().all(|b| b.is_ascii_lowercase());
        violations.check(
            is_code,
            "currency",
            "invalid_currency",
            "Use the three lower-case letters of ISO 4217, such as usd.",
        );
        Self { amount, currency: currency.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_are_positive_and_have_a_currency() {
        for (amount, currency, wrong) in [
            (35900, "usd", 0),
            (1, "eur", 0),
            (0, "usd", 1),
            (-5, "usd", 1),
            (i64::MAX, "usd", 1),
            (1, "USD", 1),
            (1, "us", 1),
            (0, "dollars", 2),
        ] {
            let mut violations = Violations::default();
            Money::price(amount, currency, &mut violations);
            let errors = violations.into_result().err().unwrap_or_default();
            assert_eq!(errors.len(), wrong, "{amount} {currency}");
        }
    }
}
