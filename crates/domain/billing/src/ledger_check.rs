//! Whether the ledger is sound, and agrees with purchases, invoices and sales of sites: what `portico billing verify` and tests ask.

use std::{collections::BTreeMap, fmt};

use portico_kernel::{InvoiceId, PurchaseId, StoreError, TenantId};
use uuid::Uuid;

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

/// An invoice for a plan with what the ledger has about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BookedInvoice {
    /// The tenant that it belongs to.
    pub tenant_id: TenantId,
    /// The invoice.
    pub id: InvoiceId,
    /// What was paid, as the invoice says, in minor units.
    pub amount_paid: i64,
    /// What was given back, as the invoice says.
    pub amount_refunded: i64,
    /// What banks hold because of disputes, as the invoice says.
    pub amount_disputed: i64,
    /// What was paid, as the ledger says, in the currency of the invoice.
    pub paid: i64,
    /// What was given back, as the ledger says.
    pub refunded: i64,
    /// What banks hold because of disputes, as the ledger says.
    pub disputed: i64,
}

impl BookedInvoice {
    fn differences(&self) -> impl Iterator<Item = (&'static str, i64, i64)> {
        let all = [
            ("paid", self.amount_paid, self.paid),
            ("refunded", self.amount_refunded, self.refunded),
            ("disputed", self.amount_disputed, self.disputed),
        ];
        all.into_iter().filter(|(_, expected, found)| expected != found)
    }
}

/// A sale of a site with what the ledger has about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BookedSale {
    /// The tenant that sells.
    pub tenant_id: TenantId,
    /// The sale.
    pub id: PurchaseId,
    /// Whether it was ever paid.
    pub is_paid: bool,
    /// What it costs, in minor units.
    pub amount: i64,
    /// What was given back, as its refunds say.
    pub refunded_amount: i64,
    /// What was paid, as the ledger says, in the currency of the sale.
    pub paid: i64,
    /// What was given back, as the ledger says.
    pub refunded: i64,
}

impl BookedSale {
    fn differences(&self) -> impl Iterator<Item = (&'static str, i64, i64)> {
        let expected = if self.is_paid { self.amount } else { 0 };
        let all = [("paid", expected, self.paid), ("refunded", self.refunded_amount, self.refunded)];
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
    /// What a row says about money, and the ledger, do not agree.
    Sum {
        /// The tenant that the row belongs to.
        tenant: TenantId,
        /// What it is: `purchase`, `invoice` or `sale`.
        what: &'static str,
        /// Its id.
        id: Uuid,
        /// What differs: `paid`, `refunded` or `disputed`.
        field: &'static str,
        /// What the row says, in minor units.
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
            Self::Sum { tenant, what, id, field, expected, found } => {
                write!(f, "tenant {tenant}: {what} {id} has {field} {expected}, the ledger {found}")
            }
        }
    }
}

/// What was found in one mode.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LedgerReport {
    /// Whether it is about real money, and not about play money of a test mode.
    pub live: bool,
    /// Transactions that were read.
    pub transactions: u64,
    /// Purchases that were read.
    pub purchases: u64,
    /// Invoices for plans that were read.
    pub invoices: u64,
    /// Sales of sites that were read.
    pub sales: u64,
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

    /// Notes what differs in a row.
    fn compare(
        &mut self,
        tenant: TenantId,
        (what, id): (&'static str, Uuid),
        differences: impl Iterator<Item = (&'static str, i64, i64)>,
    ) {
        for (field, expected, found) in differences {
            self.add(LedgerDifference::Sum { tenant, what, id, field, expected, found });
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
        let Self { live, transactions, purchases, invoices, sales, .. } = self;
        writeln!(
            f,
            "live: {live}. {transactions} transactions, {purchases} purchases, {invoices} invoices and {sales} sales."
        )?;
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

/// Reads the ledger, the purchases, the invoices for plans and the sales of sites of all tenants: those of real money, or those of play
/// money (`live`). For the operator and for tests: asks for no permission, changes nothing, and may run beside the server.
///
/// # Errors
/// Those of the store.
pub async fn check_ledger(
    repositories: &mut dyn BillingRepositories,
    live: bool,
) -> Result<LedgerReport, StoreError> {
    let mut report = LedgerReport { live, ..LedgerReport::default() };
    let mut after: Option<EntryKey> = None;
    let (mut last, mut sums): (Option<EntryKey>, BTreeMap<String, i128>) = (None, BTreeMap::new());
    loop {
        let entries = repositories.ledger().entries(after.clone(), BATCH).await?;
        let is_end = entries.len() < BATCH as usize;
        after = entries.last().map(|entry| entry.key.clone()).or(after);
        // A transaction that is of both modes is unbalanced in each.
        for LedgerEntry { key, entry, currency, .. } in entries.into_iter().filter(|entry| entry.live == live)
        {
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
    check_purchases(repositories, &mut report).await?;
    check_invoices(repositories, &mut report).await?;
    check_sales(repositories, &mut report).await?;
    Ok(report)
}

async fn check_purchases(
    repositories: &mut dyn BillingRepositories,
    report: &mut LedgerReport,
) -> Result<(), StoreError> {
    let mut last = None;
    loop {
        let purchases = repositories.ledger().purchases(report.live, last, BATCH).await?;
        for purchase in &purchases {
            last = Some((purchase.tenant_id, purchase.id));
            report.purchases += 1;
            let what = ("purchase", purchase.id.uuid());
            report.compare(purchase.tenant_id, what, purchase.differences());
        }
        if purchases.len() < BATCH as usize {
            return Ok(());
        }
    }
}

async fn check_invoices(
    repositories: &mut dyn BillingRepositories,
    report: &mut LedgerReport,
) -> Result<(), StoreError> {
    let mut last = None;
    loop {
        let invoices = repositories.ledger().invoices(report.live, last, BATCH).await?;
        for invoice in &invoices {
            last = Some((invoice.tenant_id, invoice.id));
            report.invoices += 1;
            report.compare(invoice.tenant_id, ("invoice", invoice.id.uuid()), invoice.differences());
        }
        if invoices.len() < BATCH as usize {
            return Ok(());
        }
    }
}

async fn check_sales(
    repositories: &mut dyn BillingRepositories,
    report: &mut LedgerReport,
) -> Result<(), StoreError> {
    let mut last = None;
    loop {
        let sales = repositories.ledger().sales(report.live, last, BATCH).await?;
        for sale in &sales {
            last = Some((sale.tenant_id, sale.id));
            report.sales += 1;
            report.compare(sale.tenant_id, ("sale", sale.id.uuid()), sale.differences());
        }
        if sales.len() < BATCH as usize {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        invoice::{Invoice, InvoiceKind},
        ledger::{Entry, LedgerTransaction, Source, SourceKind},
        payment::Provider,
        ports::LedgerRepository,
        site_sale::SiteSale,
        testing::{Repositories, env, purchase, sale},
    };

    fn entry(tenant: TenantId, id: &str, position: i32, amount: i64, currency: &str) -> LedgerEntry {
        let source = Source { kind: SourceKind::Payment, id: id.to_owned() };
        LedgerEntry {
            key: EntryKey { tenant_id: tenant, source, position },
            entry: Entry { account: Account::ALL[usize::from(position != 0)], amount, subject: None },
            live: false,
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
        let report = check_ledger(&mut repositories, false).await.unwrap();
        assert_eq!((report.transactions, report.differing), (BATCH + 2, 3));
        let sums: Vec<(String, i128)> = report
            .differences
            .iter()
            .map(|difference| match difference {
                LedgerDifference::Unbalanced { last, currency, sum } => {
                    (format!("{} {currency}", last.source.id), *sum)
                }
                other @ LedgerDifference::Sum { .. } => panic!("{other}"),
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
        let report = check_ledger(&mut repositories, false).await.unwrap();
        assert_eq!((report.purchases, report.differing), (1, 0));
        assert_eq!(
            report.to_string(),
            "live: false. 0 transactions, 1 purchases, 0 invoices and 0 sales.\nNothing differs."
        );
        // Paid and in part refunded, by the purchase alone.
        let spoilt =
            crate::purchase::Purchase { completed_at: Some(env.now()), refunded_amount: 5, ..bought };
        repositories.shop.rows().purchases = vec![spoilt];
        let report = check_ledger(&mut repositories, false).await.unwrap();
        let lines: Vec<String> = report.differences.iter().map(ToString::to_string).collect();
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(lines[0].ends_with("has paid 35900, the ledger 0"), "{lines:?}");
        assert!(lines[1].ends_with("has refunded 5, the ledger 0"), "{lines:?}");
        let booked = repositories.shop.purchases(false, None, 10).await.unwrap().remove(0);
        let disputed = |status, disputed| {
            let booked = BookedPurchase { status, disputed, paid: 35900, refunded: 5, ..booked.clone() };
            booked.differences().count()
        };
        assert_eq!(disputed(PurchaseStatus::Disputed, 35900), 0);
        assert_eq!(disputed(PurchaseStatus::Disputed, 0), 1);
        assert_eq!(disputed(PurchaseStatus::Completed, 0), 0);
        assert_eq!(disputed(PurchaseStatus::Completed, 100), 1);
    }

    #[tokio::test]
    async fn invoices_and_sales_are_compared_with_the_ledger_in_batches() {
        let env = env();
        let (tenant, mut repositories) = (env.new_id(), Repositories::default());
        let bought = purchase(&env, tenant);
        let of = |provider_id: &str, kind, refunded| Invoice {
            id: env.new_id(),
            kind,
            amount_paid: 1200,
            amount_refunded: refunded,
            ..Invoice::of_purchase(&bought, Provider::Stripe, provider_id, env.now())
        };
        let invoice = of("in_1", InvoiceKind::Subscription, 200);
        let mut shop = repositories.shop.clone();
        for moved in LedgerTransaction::of_invoice(None, &invoice, false, 1, env.now()).unwrap() {
            shop.book(tenant, &moved).await.unwrap();
        }
        // That of a purchase is compared as the purchase.
        repositories.shop.rows().invoices = vec![invoice.clone(), of("pi_1", InvoiceKind::Purchase, 7)];
        let report = check_ledger(&mut repositories, false).await.unwrap();
        assert_eq!((report.transactions, report.invoices, report.differing), (2, 1, 0), "{report}");

        // One whose id begins like that of another is another one.
        repositories.shop.rows().invoices.push(of("in_11", InvoiceKind::Subscription, 0));
        repositories.shop.rows().invoices[0].amount_refunded = 300;
        let sale = SiteSale { paid_at: Some(env.now()), ..sale(&env, tenant) };
        repositories.shop.rows().sales.push(sale.clone());
        let report = check_ledger(&mut repositories, false).await.unwrap();
        assert_eq!((report.invoices, report.sales, report.differing), (2, 1, 3), "{report}");
        let lines = report.to_string();
        for line in [
            format!("invoice {} has refunded 300, the ledger 200", invoice.id),
            "has paid 1200, the ledger 0".to_owned(),
            format!("sale {} has paid 150000, the ledger 0", sale.id),
        ] {
            assert!(lines.contains(&line), "{line}: {lines}");
        }

        let paid = LedgerTransaction::moved(
            sale.checkout.provider,
            sale.checkout.live,
            SourceKind::Payment,
            "ch_1",
            &sale.price(),
            env.now(),
        );
        shop.book(tenant, &paid.unwrap()).await.unwrap();
        let report = check_ledger(&mut repositories, false).await.unwrap();
        assert_eq!(report.differing, 2, "{report}");
        repositories.shop.rows().sales[0].paid_at = None;
        let report = check_ledger(&mut repositories, false).await.unwrap();
        assert!(report.to_string().contains("has paid 0, the ledger 150000"), "{report}");

        let id = |number: u64| PurchaseId::from_uuid(Uuid::from_u128(number.into()));
        let many = (0..=BATCH).map(|number| SiteSale { id: id(number), ..sale.clone() });
        repositories.shop.rows().sales = many.collect();
        assert_eq!(check_ledger(&mut repositories, false).await.unwrap().sales, BATCH + 1);
    }
}
