//! Double-entry bookkeeping of money that moves through payment providers. It is only ever appended to.

use std::fmt;

use portico_kernel::{Money, TenantId, Timestamp};

use crate::{
    invoice::Invoice,
    payment::{DisputeStatus, Provider},
    subject::{Subject, divide},
};

/// An account of the ledger. Signs are those of bookkeeping: an asset grows by positive entries (debit), revenue by negative ones
/// (credit).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Account {
    /// What a payment provider holds for us.
    Balance(Provider),
    /// What was sold for one payment.
    PurchaseRevenue,
    /// What was paid for plans.
    SubscriptionRevenue,
    /// What was given back.
    Refunds,
    /// What banks took back after buyers disputed it.
    Disputes,
    /// What providers keep for their work.
    Fees,
}

impl Account {
    /// Every account.
    pub const ALL: [Self; 7] = [
        Self::Balance(Provider::Stripe),
        Self::Balance(Provider::Recurrente),
        Self::PurchaseRevenue,
        Self::SubscriptionRevenue,
        Self::Refunds,
        Self::Disputes,
        Self::Fees,
    ];

    /// Name in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Balance(Provider::Stripe) => "provider:stripe:balance",
            Self::Balance(Provider::Recurrente) => "provider:recurrente:balance",
            Self::PurchaseRevenue => "revenue:purchases",
            Self::SubscriptionRevenue => "revenue:subscriptions",
            Self::Refunds => "refunds",
            Self::Disputes => "disputes",
            Self::Fees => "fees",
        }
    }

    /// The account of this name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|account| account.as_str() == text)
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What moved money, as the provider names it. A transaction is booked once for each.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Source {
    /// Sort of thing, for instance `payment`.
    pub kind: SourceKind,
    /// The provider's id of it.
    pub id: String,
}

/// Sort of thing that moves money.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SourceKind {
    /// A payment by a buyer.
    Payment,
    /// What the provider keeps for a payment. Its source has the id of the payment.
    Fee,
    /// Money that is given back.
    Refund,
    /// A refund that did not reach the buyer. Its source has the id of the refund.
    RefundFailed,
    /// Money that a bank has taken back.
    Dispute,
    /// What the provider keeps for a dispute. Its source has the id of the dispute.
    DisputeFee,
    /// A dispute that was decided for us. Its source has the id of the dispute.
    DisputeWon,
    /// A payment of an invoice for a plan. Behind its id is the number of the answer of the provider that first showed it, because there may
    /// be several.
    Invoice,
    /// Money of such an invoice that was given back, with the same behind its id.
    InvoiceRefund,
    /// Money of such an invoice that was given back and did not reach the buyer, with the same behind its id.
    InvoiceRefundFailed,
}

impl SourceKind {
    /// Every sort.
    pub const ALL: [Self; 10] = [
        Self::Payment,
        Self::Fee,
        Self::Refund,
        Self::RefundFailed,
        Self::Dispute,
        Self::DisputeFee,
        Self::DisputeWon,
        Self::Invoice,
        Self::InvoiceRefund,
        Self::InvoiceRefundFailed,
    ];

    /// Name in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Payment => "payment",
            Self::Fee => "fee",
            Self::Refund => "refund",
            Self::RefundFailed => "refund_failed",
            Self::Dispute => "dispute",
            Self::DisputeFee => "dispute_fee",
            Self::DisputeWon => "dispute_won",
            Self::Invoice => "invoice",
            Self::InvoiceRefund => "invoice_refund",
            Self::InvoiceRefundFailed => "invoice_refund_failed",
        }
    }

    /// The sort of this name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }

    /// The account on the other side of the balance, and whether the money comes into the balance.
    const fn other_side(self) -> (Account, bool) {
        match self {
            Self::Payment => (Account::PurchaseRevenue, true),
            Self::Fee | Self::DisputeFee => (Account::Fees, false),
            Self::Refund | Self::InvoiceRefund => (Account::Refunds, false),
            Self::RefundFailed | Self::InvoiceRefundFailed => (Account::Refunds, true),
            Self::Dispute => (Account::Disputes, false),
            Self::DisputeWon => (Account::Disputes, true),
            Self::Invoice => (Account::SubscriptionRevenue, true),
        }
    }
}

/// One side of a transaction, or a part of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The account.
    pub account: Account,
    /// Minor units; positive is debit, negative is credit.
    pub amount: i64,
    /// What it is about; `None` in a balance, which is about all of it.
    pub subject: Option<Subject>,
}

/// The key of an entry, in the order of which they are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryKey {
    /// The tenant whose money it is.
    pub tenant_id: TenantId,
    /// What moved the money: the same for all entries of a transaction.
    pub source: Source,
    /// Number of the entry in its transaction, from 0.
    pub position: i32,
}

/// An entry as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerEntry {
    /// Its key.
    pub key: EntryKey,
    /// Account and amount.
    pub entry: Entry,
    /// Whether it is real money, and not play money of a test mode.
    pub live: bool,
    /// Lower-case ISO 4217.
    pub currency: String,
}

/// Why entries are no transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unbalanced {
    /// Fewer than two.
    #[error("a transaction has two entries or more")]
    TooFew,
    /// One of them moves nothing.
    #[error("an entry moves nothing")]
    Empty,
    /// They do not sum to zero.
    #[error("the entries sum to {0} and not to zero")]
    Sum(i128),
}

/// Entries in one currency that sum to zero, with what caused them. All of them are real money, or all are play money.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerTransaction {
    source: Source,
    live: bool,
    currency: String,
    entries: Vec<Entry>,
    booked_at: Timestamp,
}

impl LedgerTransaction {
    /// Of entries that balance. `live`: whether it is real money.
    ///
    /// # Errors
    /// Where they do not: nothing else can be booked.
    pub fn new(
        source: Source,
        live: bool,
        currency: impl Into<String>,
        entries: Vec<Entry>,
        booked_at: Timestamp,
    ) -> Result<Self, Unbalanced> {
        if entries.len() < 2 {
            return Err(Unbalanced::TooFew);
        }
        if entries.iter().any(|entry| entry.amount == 0) {
            return Err(Unbalanced::Empty);
        }
        // Wider than the amounts, so that no sum wraps round to zero.
        let sum: i128 = entries.iter().map(|entry| i128::from(entry.amount)).sum();
        if sum != 0 {
            return Err(Unbalanced::Sum(sum));
        }
        Ok(Self { source, live, currency: currency.into(), entries, booked_at })
    }

    /// What a movement of money at a provider is in the ledger. `live`: whether it is real money, as what was paid says.
    ///
    /// # Errors
    /// Where nothing was moved, or less than nothing: that is no movement of money.
    pub fn moved(
        provider: Provider,
        live: bool,
        kind: SourceKind,
        id: &str,
        money: &Money,
        booked_at: Timestamp,
    ) -> Result<Self, Unbalanced> {
        if money.amount <= 0 {
            return Err(Unbalanced::Empty);
        }
        let (account, comes_in) = kind.other_side();
        let amount = if comes_in { money.amount } else { -money.amount };
        let entries = vec![
            Entry { account: Account::Balance(provider), amount, subject: None },
            Entry { account, amount: -amount, subject: Some(Subject::Unknown) },
        ];
        Self::new(Source { kind, id: id.to_owned() }, live, money.currency.as_str(), entries, booked_at)
    }

    /// The same with what the money is about: what is not in a balance is divided in proportion to these amounts.
    #[must_use]
    pub fn about(mut self, shares: &[(Subject, i64)]) -> Self {
        let divided = |entry: Entry| match entry.subject {
            None => vec![entry],
            Some(_) => {
                let part =
                    |(subject, amount)| Entry { account: entry.account, amount, subject: Some(subject) };
                divide(entry.amount, shares).into_iter().map(part).collect()
            }
        };
        self.entries = self.entries.into_iter().flat_map(divided).collect();
        self
    }

    /// What has moved of an invoice for a plan since it was `before`: what was paid, what was given back, and what of that came back.
    /// `revision` counts the answers of the provider about the tenant, so that each movement has a source of its own.
    ///
    /// # Errors
    /// Those of [`LedgerTransaction::moved`], which none of them has.
    pub fn of_invoice(
        before: Option<&Invoice>,
        after: &Invoice,
        live: bool,
        revision: i64,
        booked_at: Timestamp,
    ) -> Result<Vec<Self>, Unbalanced> {
        let (paid, refunded) =
            before.map_or((0, 0), |invoice| (invoice.amount_paid, invoice.amount_refunded));
        let moved = [
            (SourceKind::Invoice, after.amount_paid.saturating_sub(paid)),
            (SourceKind::InvoiceRefund, after.amount_refunded.saturating_sub(refunded)),
            (SourceKind::InvoiceRefundFailed, refunded.saturating_sub(after.amount_refunded)),
        ];
        let id = format!("{}:{revision}", after.provider_id);
        let moved = moved.into_iter().filter(|(_, amount)| *amount > 0);
        moved
            .map(|(kind, amount)| {
                let money = Money { amount, currency: after.currency.clone() };
                Self::moved(after.provider, live, kind, &id, &money, booked_at)
            })
            .collect()
    }

    /// What has moved of the payments of an invoice for a plan besides what was paid and given back: fees, disputes, and those that were
    /// decided for us. Each has a source of its own behind the id of the invoice, and is to be booked where it is missing.
    ///
    /// # Errors
    /// Those of [`LedgerTransaction::moved`], which none of them has.
    pub fn of_payments(invoice: &Invoice, live: bool, booked_at: Timestamp) -> Result<Vec<Self>, Unbalanced> {
        let mut moved: Vec<(SourceKind, &str, &Money)> = Vec::new();
        for payment in &invoice.payments {
            moved.extend(payment.fee.iter().map(|fee| (SourceKind::Fee, payment.id.as_str(), fee)));
            for dispute in &payment.disputes {
                let id = dispute.id.as_str();
                moved.push((SourceKind::Dispute, id, &dispute.amount));
                moved.extend(dispute.fee.iter().map(|fee| (SourceKind::DisputeFee, id, fee)));
                if dispute.status == DisputeStatus::Won {
                    moved.push((SourceKind::DisputeWon, id, &dispute.amount));
                }
            }
        }
        let moved = moved.into_iter().filter(|(_, _, money)| money.amount > 0);
        moved
            .map(|(kind, id, money)| {
                let id = format!("{}:{id}", invoice.provider_id);
                Self::moved(invoice.provider, live, kind, &id, money, booked_at)
            })
            .collect()
    }

    /// What moved the money.
    pub const fn source(&self) -> &Source {
        &self.source
    }

    /// Whether it is real money.
    pub const fn live(&self) -> bool {
        self.live
    }

    /// Lower-case ISO 4217.
    pub fn currency(&self) -> &str {
        &self.currency
    }

    /// Its entries; they sum to zero.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// When it was written down.
    pub const fn booked_at(&self) -> Timestamp {
        self.booked_at
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::env;

    fn of(amounts: &[i64]) -> Result<LedgerTransaction, Unbalanced> {
        let entry = |amount: &i64| Entry { account: Account::Fees, amount: *amount, subject: None };
        let entries = amounts.iter().map(entry).collect();
        let source = Source { kind: SourceKind::Payment, id: "pi_1".to_owned() };
        LedgerTransaction::new(source, false, "usd", entries, env().now())
    }

    #[test]
    fn only_what_sums_to_zero_is_a_transaction() {
        assert!(of(&[5, -5]).is_ok() && of(&[7, -5, -2]).is_ok());
        assert_eq!(of(&[]), Err(Unbalanced::TooFew));
        assert_eq!(of(&[0]), Err(Unbalanced::TooFew));
        assert_eq!(of(&[5, 0, -5]), Err(Unbalanced::Empty));
        assert_eq!(of(&[5, -4]), Err(Unbalanced::Sum(1)));
        assert_eq!(of(&[i64::MIN, i64::MIN]), Err(Unbalanced::Sum(2 * i128::from(i64::MIN))));
    }

    #[test]
    fn every_movement_is_in_the_balance_and_on_its_other_side() {
        let money = Money { amount: 500, currency: "usd".to_owned() };
        let entries = |kind: SourceKind| {
            let booked =
                LedgerTransaction::moved(Provider::Stripe, true, kind, "x_1", &money, env().now()).unwrap();
            assert_eq!((booked.source().kind, booked.source().id.as_str()), (kind, "x_1"));
            assert_eq!((booked.currency(), SourceKind::parse(kind.as_str())), ("usd", Some(kind)));
            assert!(booked.live());
            let entries = booked.entries().iter();
            entries.map(|entry| (entry.account.as_str(), entry.amount)).collect::<Vec<_>>()
        };
        let all = SourceKind::ALL.map(|kind| entries(kind).remove(1));
        assert_eq!(
            all,
            [
                ("revenue:purchases", -500),
                ("fees", 500),
                ("refunds", 500),
                ("refunds", -500),
                ("disputes", 500),
                ("fees", 500),
                ("disputes", -500),
                ("revenue:subscriptions", -500),
                ("refunds", 500),
                ("refunds", -500),
            ]
        );
        assert_eq!(entries(SourceKind::Payment)[0], ("provider:stripe:balance", 500));
        for account in Account::ALL {
            assert_eq!(Account::parse(account.as_str()), Some(account));
        }
        for amount in [0, -5, i64::MIN] {
            let nothing = Money { amount, ..money.clone() };
            let refused = LedgerTransaction::moved(
                Provider::Stripe,
                false,
                SourceKind::Fee,
                "pi_1",
                &nothing,
                env().now(),
            );
            assert_eq!(refused, Err(Unbalanced::Empty));
        }
    }

    #[test]
    fn invoices_are_booked_as_far_as_they_were_paid_and_given_back() {
        let (env, now) = (env(), env().now());
        let purchase = crate::testing::purchase(&env, env.new_id());
        let invoice = Invoice {
            amount_paid: 1200,
            amount_refunded: 500,
            ..Invoice::of_purchase(&purchase, Provider::Stripe, "in_1", now)
        };
        let booked = |before: Option<&Invoice>, after: &Invoice, revision| -> Vec<(String, i64)> {
            let booked = LedgerTransaction::of_invoice(before, after, false, revision, now).unwrap();
            let named = |moved: &LedgerTransaction| {
                (format!("{} {}", moved.source().kind.as_str(), moved.source().id), moved.entries()[0].amount)
            };
            booked.iter().map(named).collect()
        };
        let lines = |lines: &[(&str, i64)]| -> Vec<(String, i64)> {
            lines.iter().map(|(name, amount)| ((*name).to_owned(), *amount)).collect()
        };
        assert_eq!(
            booked(None, &invoice, 1),
            lines(&[("invoice in_1:1", 1200), ("invoice_refund in_1:1", -500)])
        );
        assert!(booked(Some(&invoice), &invoice, 2).is_empty());
        // What did not reach the buyer comes back, and may be given back again: each is another movement.
        let failed = Invoice { amount_refunded: 0, ..invoice.clone() };
        assert_eq!(booked(Some(&invoice), &failed, 3), lines(&[("invoice_refund_failed in_1:3", 500)]));
        assert_eq!(booked(Some(&failed), &invoice, 4), lines(&[("invoice_refund in_1:4", -500)]));
        for kind in SourceKind::ALL {
            assert_eq!(SourceKind::parse(kind.as_str()), Some(kind));
        }
    }

    #[test]
    fn all_but_the_balance_is_about_what_was_sold() {
        let money = Money { amount: 1000, currency: "usd".to_owned() };
        let moved =
            LedgerTransaction::moved(Provider::Stripe, false, SourceKind::Fee, "pi_1", &money, env().now())
                .unwrap();
        assert_eq!(moved.entries()[1].subject, Some(Subject::Unknown));
        let shares = [(Subject::Product("a".to_owned()), 2), (Subject::Site, 1)];
        let entries = moved.about(&shares).entries().to_vec();
        let seen: Vec<_> =
            entries.iter().map(|entry| (entry.account, entry.amount, entry.subject.clone())).collect();
        let [a, site] = shares.map(|(subject, _)| Some(subject));
        let balance = Account::Balance(Provider::Stripe);
        assert_eq!(seen, [(balance, -1000, None), (Account::Fees, 667, a), (Account::Fees, 333, site)]);
    }

    proptest! {
        #[test]
        fn whatever_is_accepted_sums_to_zero(
            given in prop::collection::vec(-1000_i64..1000, 0..6),
            balanced in any::<bool>(),
        ) {
            // Half of them with the entry that is missing: by chance hardly any would balance.
            let missing = balanced.then(|| -given.iter().sum::<i64>());
            let amounts: Vec<i64> = given.into_iter().chain(missing).collect();
            let sum: i128 = amounts.iter().map(|amount| i128::from(*amount)).sum();
            let valid = amounts.len() >= 2 && sum == 0 && !amounts.contains(&0);
            prop_assert_eq!(of(&amounts).is_ok(), valid);
        }
    }
}
