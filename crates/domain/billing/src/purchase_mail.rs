//! The messages about purchases.

use portico_kernel::{
    Timestamp,
    mail::{Mail, MailClass, MailContent},
};

use crate::{
    money::Currency,
    purchase::{Purchase, PurchaseItem},
};

/// A message about a purchase.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PurchaseMail {
    /// Confirms to the buyer that a purchase is paid.
    Confirmation {
        /// Number by which the buyer can name it.
        number: String,
        /// Number of its receipt, if it has one.
        receipt: Option<String>,
        /// What was bought, in one line.
        items: String,
        /// What it cost, with its currency.
        total: String,
        /// When it was paid.
        paid_at: Timestamp,
    },
}

impl PurchaseMail {
    /// The confirmation of a purchase, with the number of its receipt; `None` while it is not paid.
    pub fn confirmation(purchase: &Purchase, receipt: Option<String>) -> Option<Self> {
        let item = |item: &PurchaseItem| format!("{} × {}", item.quantity, item.description);
        Some(Self::Confirmation {
            number: purchase.id.to_string(),
            receipt,
            items: purchase.items.iter().map(item).collect::<Vec<_>>().join(", "),
            total: in_words(purchase.amount, &purchase.currency),
            paid_at: purchase.completed_at?,
        })
    }
}

/// An amount with the decimals of its currency: `359.00 USD`.
pub fn in_words(amount: i64, currency: &str) -> String {
    let digits = Currency::parse(currency).map_or(2, Currency::minor_digits);
    let code = currency.to_uppercase();
    if digits == 0 {
        return format!("{amount} {code}");
    }
    let unit = 10_i64.pow(digits);
    let width = digits as usize;
    let sign = if amount < 0 { "-" } else { "" };
    let (whole, rest) =
        (amount.unsigned_abs() / unit.unsigned_abs(), amount.unsigned_abs() % unit.unsigned_abs());
    format!("{sign}{whole}.{rest:0width$} {code}")
}

impl Mail for PurchaseMail {
    fn content(&self) -> MailContent {
        match self {
            // The names of products are the operator's own words.
            Self::Confirmation { number, receipt, items, total, paid_at } => {
                MailContent::new("purchase.confirmation", MailClass::Account)
                    .with("number", number.as_str())
                    .with("receipt", receipt.as_deref())
                    .with("items", items.as_str())
                    .with("total", total.as_str())
                    .with("paid_at", *paid_at)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        payment::CheckoutState,
        testing::{env, purchase},
    };

    #[test]
    fn amounts_have_the_decimals_of_their_currency() {
        for (amount, currency, words) in [
            (35900, "usd", "359.00 USD"),
            (5, "gtq", "0.05 GTQ"),
            (1999, "jpy", "1999 JPY"),
            (12340, "kwd", "12.340 KWD"),
            (-150, "eur", "-1.50 EUR"),
        ] {
            assert_eq!(in_words(amount, currency), words);
        }
    }

    #[test]
    fn a_purchase_is_confirmed_once_it_is_paid() {
        let env = env();
        let pending = purchase(&env, env.new_id());
        assert_eq!(PurchaseMail::confirmation(&pending, None), None);
        let paid = pending.after(&CheckoutState::Paid { payment_id: "pi_1".to_owned() }, env.now());
        let content = PurchaseMail::confirmation(&paid, Some("R-000012".to_owned())).unwrap().content();
        assert_eq!(content.key, "purchase.confirmation");
        assert_eq!(content.values["items"], "1 × Base Software License".into());
        assert_eq!(content.values["total"], "359.00 USD".into());
        assert_eq!(content.values["receipt"], "R-000012".into());
        assert!(!content.has_free_text());
    }
}
