//! Whether the ledger is sound, and agrees with the purchases: what `portico billing verify` and tests ask.

use std::{collections::BTreeMap, fmt};

use portico_kernel::{PurchaseId, StoreError, TenantId};

use crate::{
    ledger::{Account, EntryKey, LedgerEntry},
    ports::BillingRepositories,
    purchase::PurchaseStatus,
};

/// Rows that are read at once.
const BATCH: u64 = 1000;

/// Most differences that are kept. The number of all is counted.
const KEPT: usize = 1000;

/// A purchase with what the ledger has about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BookedPurchase {
    /// The tenant that it belongs to.
    pub tenant_id: TenantId,
    /// The purchase.
    pub id: PurchaseId,
    /// Whether it was ever paid.
    pub is_paid: bool,
    /// Its status.
    pub status: PurchaseStatus,
    /// What it costs, in minor units.
    pub amount: i64,
    /// What was given back, as the purchase says.
    pub refunded_amount: i64,
    /// What was paid, as the ledger says, in the currency of the purchase.
    pub paid: i64,
    /// What was given back, as the ledger says.
    pub refunded: i64,
    /// What banks hold because of disputes, as the ledger says.
    pub disputed: i64,
}

impl BookedPurchase {
    /// In what the purchase and the ledger differ: name, by the purchase, by the ledger.
    fn differences(&self) -> impl Iterator<Item = (&'static str, i64, i64)> {
        let held = i64::from(self.status == PurchaseStatus::Disputed);
        let all = [
            ("paid", if self.is_paid { self.amount } else { 0 }, self.paid),
            ("refunded", self.refunded_amount, self.refunded),
            // How much is in the ledger only.
            ("disputed", held * self.disputed.max(1), self.disputed),
        ];
        all.into_iter().filter(|(_, expected, found)| expected != found)
    }
}

/// Something that is not as it has to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LedgerDifference {
    /// The entries of a transaction do not sum to zero in a currency.
    Unbalanced {
        /// Whose it is, what moved the money, and its last entry.
        last: EntryKey,
        /// The currency.
        currency: String,
        /// Their sum.
        sum: i128,
    },
    /// A purchase and the ledger do not agree.
    Purchase {
        /// The tenant that it belongs to.
        tenant: TenantId,
        /// The purchase.
        purchase: PurchaseId,
        /// What differs: `paid`, `refunded` or `disputed`.
        field: &'static str,
        /// What the purchase says, in minor units.
        expected: i64,
        /// What the ledger says.
        found: i64,
    },
}

impl fmt::Display for LedgerDifference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unbalanced { last: EntryKey { tenant_id, source, .. }, currency, sum } => {
                let (kind, id) = (source.kind.as_str(), &source.id);
                write!(f, "tenant {tenant_id}: the entries of {kind} {id} sum to {sum} {currency}")
            }
            Self::Purchase { tenant, purchase, field, expected, found } => {
                write!(f, "tenant {tenant}: purchase {purchase} has {field} {expected}, the ledger {found}")
            }
        }
    }
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LedgerReport {
    /// Transactions that were read.
    pub transactions: u64,
    /// Purchases that were read.
    pub purchases: u64,
    /// Balance of each account by currency, in minor units.
    pub balances: BTreeMap<(Account, String), i128>,
    /// How many differences there are.
    pub differing: u64,
    /// The first of them.
    pub differences: Vec<LedgerDifference>,
}

impl LedgerReport {
    fn add(&mut self, difference: LedgerDifference) {
        self.differing += 1;
        if self.differences.len() < KEPT {
            self.differences.push(difference);
        }
    }

    /// Notes a transaction that was read to its end.
    fn close(&mut self, last: Option<EntryKey>, sums: &mut BTreeMap<String, i128>) {
        let sums = std::mem::take(sums);
        let Some(last) = last else { return };
        self.transactions += 1;
        for (currency, sum) in sums.into_iter().filter(|(_, sum)| *sum != 0) {
            self.add(LedgerDifference::Unbalanced { last: last.clone(), currency, sum });
        }
    }
}

impl fmt::Display for LedgerReport {
    /// Lines for people.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} transactions and {} purchases.", self.transactions, self.purchases)?;
        for ((account, currency), balance) in &self.balances {
            writeln!(f, "{account} {balance} {currency}")?;
        }
        for difference in &self.differences {
            writeln!(f, "{difference}")?;
        }
        match self.differing {
            0 => write!(f, "Nothing differs."),
            1 => write!(f, "1 difference."),
            count => write!(f, "{count} differences."),
        }
    }
}

/// Reads the ledger and the purchases of all tenants. For the operator and for tests: asks for no permission, changes nothing, and may run
/// beside the server.
///
/// # Errors
/// Those of the store.
pub async fn check_ledger(repositories: &mut dyn BillingRepositories) -> Result<LedgerReport, StoreError> {
    let mut report = LedgerReport::default();
    let (mut last, mut sums): (Option<EntryKey>, BTreeMap<String, i128>) = (None, BTreeMap::new());
    loop {
        let entries = repositories.ledger().entries(last.clone(), BATCH).await?;
        let is_end = entries.len() < BATCH as usize;
        for LedgerEntry { key, entry, currency } in entries {
            let of = |key: &EntryKey| (key.tenant_id, key.source.clone());
            if last.as_ref().map(of) != Some(of(&key)) {
                report.close(last.take(), &mut sums);
            }
            let amount = i128::from(entry.amount);
            *sums.entry(currency.clone()).or_default() += amount;
            *report.balances.entry((entry.account, currency)).or_default() += amount;
            last = Some(key);
        }
        if is_end {
            break;
        }
    }
    report.close(last, &mut sums);
    let mut last = None;
    loop {
        let purchases = repositories.ledger().purchases(last, BATCH).await?;
        for purchase in &purchases {
            last = Some((purchase.tenant_id, purchase.id));
            report.purchases += 1;
            for (field, expected, found) in purchase.differences() {
                let (tenant, purchase) = (purchase.tenant_id, purchase.id);
                report.add(LedgerDifference::Purchase { tenant, purchase, field, expected, found });
            }
        }
        if purchases.len() < BATCH as usize {
            return Ok(report);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ledger::{Entry, Source, SourceKind},
        ports::LedgerRepository,
        testing::{Repositories, env, purchase},
    };

    fn entry(tenant: TenantId, id: &str, position: i32, amount: i64, currency: &str) -> LedgerEntry {
        let source = Source { kind: SourceKind::Payment, id: id.to_owned() };
        LedgerEntry {
            key: EntryKey { tenant_id: tenant, source, position },
            entry: Entry { account: Account::ALL[usize::from(position != 0)], amount, subject: None },
            currency: currency.to_owned(),
        }
    }

    #[tokio::test]
    async fn a_transaction_that_lies_in_two_batches_is_one_and_every_currency_has_to_balance() {
        let env = env();
        let (one, two) = (env.new_id(), env.new_id());
        let mut repositories = Repositories::default();
        // The first batch ends within a transaction.
        let mut entries: Vec<LedgerEntry> = vec![entry(one, "a", 0, 1, "usd")];
        for number in 0..BATCH {
            let id = format!("b{number:05}");
            entries.extend([entry(one, &id, 0, 5, "usd"), entry(one, &id, 1, -5, "usd")]);
        }
        // The same source of another tenant is another transaction.
        entries.extend([entry(two, "b00999", 0, 7, "usd"), entry(two, "b00999", 1, -7, "eur")]);
        repositories.shop.rows().entries = entries;
        let report = check_ledger(&mut repositories).await.unwrap();
        assert_eq!((report.transactions, report.differing), (BATCH + 2, 3));
        let sums: Vec<(String, i128)> = report
            .differences
            .iter()
            .map(|difference| match difference {
                LedgerDifference::Unbalanced { last, currency, sum } => {
                    (format!("{} {currency}", last.source.id), *sum)
                }
                other @ LedgerDifference::Purchase { .. } => panic!("{other}"),
            })
            .collect();
        let expected = [("a usd", 1), ("b00999 eur", -7), ("b00999 usd", 7)];
        assert_eq!(sums, expected.map(|(name, sum)| (name.to_owned(), sum)));
        let balance = |at: usize, currency: &str| report.balances[&(Account::ALL[at], currency.to_owned())];
        assert_eq!((balance(0, "usd"), balance(1, "usd"), balance(1, "eur")), (5008, -5000, -7));
        assert!(report.to_string().ends_with("3 differences."), "{report}");
    }

    #[tokio::test]
    async fn purchases_are_compared_with_the_ledger() {
        let env = env();
        let (tenant, mut repositories) = (env.new_id(), Repositories::default());
        let bought = purchase(&env, tenant);
        repositories.shop.rows().purchases.push(bought.clone());
        let report = check_ledger(&mut repositories).await.unwrap();
        assert_eq!((report.purchases, report.differing), (1, 0));
        assert_eq!(report.to_string(), "0 transactions and 1 purchases.\nNothing differs.");
        // Paid and in part refunded, by the purchase alone.
        let spoilt =
            crate::purchase::Purchase { completed_at: Some(env.now()), refunded_amount: 5, ..bought };
        repositories.shop.rows().purchases = vec![spoilt];
        let report = check_ledger(&mut repositories).await.unwrap();
        let lines: Vec<String> = report.differences.iter().map(ToString::to_string).collect();
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(lines[0].ends_with("has paid 35900, the ledger 0"), "{lines:?}");
        assert!(lines[1].ends_with("has refunded 5, the ledger 0"), "{lines:?}");
        let booked = repositories.shop.purchases(None, 10).await.unwrap().remove(0);
        let disputed = |status, disputed| {
            let booked = BookedPurchase { status, disputed, paid: 35900, refunded: 5, ..booked.clone() };
            booked.differences().count()
        };
        assert_eq!(disputed(PurchaseStatus::Disputed, 35900), 0);
        assert_eq!(disputed(PurchaseStatus::Disputed, 0), 1);
        assert_eq!(disputed(PurchaseStatus::Completed, 0), 0);
        assert_eq!(disputed(PurchaseStatus::Completed, 100), 1);
    }
}
