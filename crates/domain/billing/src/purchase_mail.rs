//! The messages about purchases.

use portico_kernel::{
    Timestamp,
    mail::{Mail, MailClass, MailContent},
};

use crate::{
    money::in_words,
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
