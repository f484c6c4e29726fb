//! Receipts of what was bought once, as a document.
//!
//! An invoice of a purchase gets its number in the transaction that completes the purchase, from a row that is held until then: numbers
//! have no gaps and none is given twice. One installation is one seller. What is paid without real money is numbered apart.

use portico_kernel::{PurchaseId, Timestamp};

use crate::{
    invoice::{Invoice, InvoiceKind},
    payment::Provider,
    seller::Seller,
    subscription_provider::InvoiceLine,
};

/// The row of numbers that receipts come from, which is also how they begin.
pub const fn series(live: bool) -> &'static str {
    if live { "R" } else { "TEST" }
}

/// The number on a receipt: `R-000012`.
pub fn number(series: &str, place: u64) -> String {
    format!("{series}-{place:06}")
}

/// Format of the paper.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Paper {
    /// 210 by 297 millimetres.
    #[default]
    A4,
    /// 8.5 by 11 inches.
    Letter,
}

impl Paper {
    /// Every format.
    pub const ALL: [Self; 2] = [Self::A4, Self::Letter];

    /// Name in queries.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::A4 => "a4",
            Self::Letter => "letter",
        }
    }

    /// The format of this name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|paper| paper.as_str() == text)
    }
}

/// Language of a receipt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReceiptLanguage {
    /// English.
    #[default]
    English,
    /// Spanish.
    Spanish,
}

impl ReceiptLanguage {
    /// Every language.
    pub const ALL: [Self; 2] = [Self::English, Self::Spanish];

    /// BCP 47.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Spanish => "es",
        }
    }

    /// The language of this name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|language| language.as_str() == text)
    }

    /// The one for a preferred language (BCP 47): `es-GT` is Spanish. English where there is none.
    pub fn preferred(language: &str) -> Self {
        let primary = language.split('-').next().unwrap_or_default().to_ascii_lowercase();
        Self::parse(&primary).unwrap_or_default()
    }
}

/// Who bought, as their account has it now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Buyer {
    /// Name.
    pub name: String,
    /// Address of mail.
    pub email: String,
}

/// What a receipt says. All texts in it but those of the seller are anybody's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Number on it.
    pub number: String,
    /// Who sold, as they were then.
    pub seller: Seller,
    /// Who bought.
    pub buyer: Buyer,
    /// What was bought; a discount is a line with a negative amount, which is described by the code of its coupon.
    pub lines: Vec<InvoiceLine>,
    /// What was paid, in minor units: taxes included, discounts taken off.
    pub total: i64,
    /// Taxes in it.
    pub tax: i64,
    /// How much of it was given back.
    pub refunded: i64,
    /// Lower-case ISO 4217.
    pub currency: String,
    /// When it was paid.
    pub paid_at: Timestamp,
    /// Where it was paid.
    pub method: Provider,
    /// By which the buyer can name it to support.
    pub purchase_id: PurchaseId,
}

impl Receipt {
    /// That of an invoice; `None` for a subscription, of which the provider has one, and for an invoice without a number.
    pub fn of(invoice: &Invoice, buyer: Buyer) -> Option<Self> {
        if invoice.kind != InvoiceKind::Purchase {
            return None;
        }
        Some(Self {
            number: invoice.number.clone()?,
            seller: invoice.seller.clone()?,
            buyer,
            lines: invoice.lines.clone(),
            total: invoice.amount_paid,
            tax: invoice.tax,
            refunded: invoice.amount_refunded,
            currency: invoice.currency.clone(),
            paid_at: invoice.paid_at?,
            method: invoice.provider,
            purchase_id: PurchaseId::from_uuid(invoice.id.uuid()),
        })
    }
}

/// Makes documents of receipts.
///
/// An implementation MUST answer the same bytes for the same receipt, MUST take texts as texts, whatever is in them, and MUST bound its
/// time and memory for any receipt. It MUST leave out or rewrite what it cannot show, and never fail.
#[cfg_attr(feature = "mock", mockall::automock)]
pub trait ReceiptRenderer: Send + Sync {
    /// The receipt as a PDF.
    fn pdf(&self, receipt: &Receipt, paper: Paper, language: ReceiptLanguage) -> Vec<u8>;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        payment::CheckoutState,
        testing::{env, purchase},
    };

    #[test]
    fn only_what_was_bought_once_and_has_a_number_has_a_receipt() {
        let env = env();
        let paid = CheckoutState::Paid { payment_id: "pi_1".to_owned() };
        let bought = purchase(&env, env.new_id()).after(&paid, env.now());
        let seller = Seller { name: "Example, S. A.".to_owned(), tax_rate: 1200, ..Seller::default() };
        let bare = Invoice::of_purchase(&bought, Provider::Stripe, "pi_1", env.now());
        assert_eq!(Receipt::of(&bare, Buyer::default()), None);
        let invoice = bare.sold_by(&seller, number(series(true), 12));
        let receipt = Receipt::of(&invoice, Buyer::default()).unwrap();
        assert_eq!((receipt.number.as_str(), receipt.total, receipt.tax), ("R-000012", 35900, 3846));
        assert_eq!((receipt.purchase_id, receipt.seller), (bought.id, seller));
        let refunded = Invoice { amount_refunded: 100, ..invoice.clone() };
        assert_eq!(Receipt::of(&refunded, Buyer::default()).unwrap().refunded, 100);
        let subscription = Invoice { kind: InvoiceKind::Subscription, ..invoice };
        assert_eq!(Receipt::of(&subscription, Buyer::default()), None);
        assert_eq!(number(series(false), 1_234_567), "TEST-1234567");
    }

    #[test]
    fn papers_and_languages_have_their_names() {
        for paper in Paper::ALL {
            assert_eq!(Paper::parse(paper.as_str()), Some(paper));
        }
        for language in ReceiptLanguage::ALL {
            assert_eq!(ReceiptLanguage::parse(language.as_str()), Some(language));
        }
        assert_eq!((Paper::parse("A4"), ReceiptLanguage::parse("es-GT")), (None, None));
        for (preferred, language) in [
            ("es-GT", ReceiptLanguage::Spanish),
            ("ES", ReceiptLanguage::Spanish),
            ("en", ReceiptLanguage::English),
            ("de", ReceiptLanguage::English),
            ("", ReceiptLanguage::English),
        ] {
            assert_eq!(ReceiptLanguage::preferred(preferred), language, "{preferred}");
        }
    }
}
