//! The ledger.

use async_trait::async_trait;
use portico_billing::{
    ledger::{Account, Entry, EntryKey, LedgerEntry, LedgerTransaction, Source, SourceKind},
    ledger_check::{BookedInvoice, BookedPurchase, BookedSale},
    ports::LedgerRepository,
    purchase::PurchaseStatus,
    refund::RefundStatus,
    subject::Subject,
};
use portico_kernel::{InvoiceId, PurchaseId, StoreError, TenantId, Timestamp};
use sea_orm::Value;

use crate::{
    columns::{Stored, words},
    db::{Db, Param, placeholders},
};

words!(Account, SourceKind);

impl Stored for Subject {
    type Raw = String;

    fn store(&self) -> String {
        self.to_string()
    }

    fn load(raw: String) -> Result<Self, String> {
        Self::parse(&raw).ok_or(raw)
    }
}

/// Columns of an entry.
const COLUMNS: usize = 10;

/// The ledger over one connection.
pub(crate) struct Ledger<'c> {
    pub db: Db<'c>,
}

impl Ledger<'_> {
    /// Stores entries of a transaction in one statement, and answers how many. The source is a part of their key.
    async fn append<'e>(
        &self,
        tenant: TenantId,
        transaction: &LedgerTransaction,
        entries: impl Iterator<Item = (i32, &'e Entry)> + Send,
        rest: &str,
    ) -> Result<u64, StoreError> {
        let (mut rows, mut values): (Vec<String>, Vec<Value>) = (Vec::new(), Vec::new());
        let source = transaction.source();
        for (position, entry) in entries {
            rows.push(format!("({})", placeholders(values.len() + 1, COLUMNS)));
            values.extend([
                tenant.value(),
                source.kind.value(),
                (&source.id).value(),
                position.value(),
                entry.account.value(),
                entry.amount.value(),
                transaction.currency().value(),
                transaction.booked_at().value(),
                entry.subject.clone().value(),
                transaction.live().value(),
            ]);
        }
        let sql = format!(
            "insert into ledger_entries (tenant_id, source_kind, source_id, position, account, amount, currency, booked_at, subject, live) \
             values {} {rest}",
            rows.join(", ")
        );
        self.db.execute(&sql, values).await
    }
}

/// A row of the entries: the key, and what is stored under it.
type EntryRow = (TenantId, SourceKind, String, i32, Account, i64, String, Option<Subject>, bool);

fn entry((tenant_id, kind, id, position, account, amount, currency, subject, live): EntryRow) -> LedgerEntry {
    let key = EntryKey { tenant_id, source: Source { kind, id }, position };
    LedgerEntry { key, entry: Entry { account, amount, subject }, live, currency }
}

/// The entries of a transaction with their positions.
fn numbered(transaction: &LedgerTransaction) -> impl Iterator<Item = (i32, &Entry)> + Send {
    (0_i32..).zip(transaction.entries())
}

/// A row of the purchases: the purchase, and three sums of the ledger.
type PurchaseRow = (TenantId, PurchaseId, Option<Timestamp>, PurchaseStatus, i64, i64, i64, i64, i64);

fn booked_purchase(
    (tenant_id, id, completed_at, status, amount, refunded_amount, paid, refunded, disputed): PurchaseRow,
) -> BookedPurchase {
    let is_paid = completed_at.is_some();
    BookedPurchase { tenant_id, id, is_paid, status, amount, refunded_amount, paid, refunded, disputed }
}

/// A row of the invoices: the invoice, and three sums of the ledger.
type InvoiceRow = (TenantId, InvoiceId, i64, i64, i64, i64, i64, i64);

fn booked_invoice(
    (tenant_id, id, amount_paid, amount_refunded, amount_disputed, paid, refunded, disputed): InvoiceRow,
) -> BookedInvoice {
    BookedInvoice { tenant_id, id, amount_paid, amount_refunded, amount_disputed, paid, refunded, disputed }
}

/// A row of the sales: the sale, what its refunds say, and two sums of the ledger.
type SaleRow = (TenantId, PurchaseId, Option<Timestamp>, i64, i64, i64, i64);

fn booked_sale((tenant_id, id, paid_at, amount, refunded_amount, paid, refunded): SaleRow) -> BookedSale {
    BookedSale { tenant_id, id, is_paid: paid_at.is_some(), amount, refunded_amount, paid, refunded }
}

/// Names of kinds, for a list of SQL.
fn names(kinds: &[SourceKind]) -> String {
    let kinds: Vec<String> = kinds.iter().map(|kind| format!("'{}'", kind.as_str())).collect();
    kinds.join(", ")
}

/// The sum of an account over what a table names as sources, for a row of `of`: `purchases` or `site_sales`; in the mode of `$4`.
fn sum_of(of: &str, account: Account, table: &str, id: &str, kinds: &[SourceKind]) -> String {
    format!(
        "cast(coalesce((select sum(e.amount) from {table} t join ledger_entries e on e.tenant_id = t.tenant_id \
         and e.source_kind in ({}) and e.source_id = t.{id} and e.account = '{account}' \
         where t.tenant_id = {of}.tenant_id and t.purchase_id = {of}.id \
         and e.currency = {of}.currency and e.live = $4), 0) as bigint)",
        names(kinds)
    )
}

/// The sum of an account over the sources of an invoice, for a row of `invoices`; in the mode of `$4`. Their ids begin with that of the
/// invoice.
fn sum_of_invoice(account: Account, kinds: &[SourceKind]) -> String {
    format!(
        "cast(coalesce((select sum(e.amount) from ledger_entries e where e.tenant_id = invoices.tenant_id \
         and e.source_kind in ({}) and e.account = '{account}' and e.currency = invoices.currency and e.live = $4 \
         and substr(e.source_id, 1, length(invoices.provider_id) + 1) = invoices.provider_id || ':'), 0) as bigint)",
        names(kinds)
    )
}

#[async_trait]
impl LedgerRepository for Ledger<'_> {
    async fn book(&mut self, tenant: TenantId, transaction: &LedgerTransaction) -> Result<(), StoreError> {
        self.append(tenant, transaction, numbered(transaction), "").await.map(drop)
    }

    async fn book_missing(
        &mut self,
        tenant: TenantId,
        transaction: &LedgerTransaction,
    ) -> Result<bool, StoreError> {
        // Waits for another unit of work that books the same source, and then stores nothing. The first entry decides about all: what is
        // there may have fewer than this has.
        let unless = "on conflict (tenant_id, source_kind, source_id, position) do nothing";
        let is_new = self.append(tenant, transaction, numbered(transaction).take(1), unless).await? > 0;
        if is_new {
            self.append(tenant, transaction, numbered(transaction).skip(1), "").await?;
        }
        Ok(is_new)
    }

    async fn entries(&mut self, after: Option<EntryKey>, limit: u64) -> Result<Vec<LedgerEntry>, StoreError> {
        let sql = "select tenant_id, source_kind, source_id, position, account, amount, currency, subject, live from ledger_entries \
             where (tenant_id, source_kind, source_id, position) > ($1, $2, $3, $4) \
             order by tenant_id, source_kind, source_id, position limit $5";
        // Before all others: no kind has no name.
        let (tenant, kind, id, position) = match &after {
            Some(EntryKey { tenant_id, source, position }) => {
                (*tenant_id, source.kind.as_str(), source.id.as_str(), *position)
            }
            None => (TenantId::PLATFORM, "", "", 0),
        };
        let rows: Vec<EntryRow> = self.db.rows(sql, (tenant, kind, id, position, limit)).await?;
        Ok(rows.into_iter().map(entry).collect())
    }

    async fn purchases(
        &mut self,
        live: bool,
        after: Option<(TenantId, PurchaseId)>,
        limit: u64,
    ) -> Result<Vec<BookedPurchase>, StoreError> {
        let paid =
            sum_of("purchases", Account::PurchaseRevenue, "checkouts", "payment_id", &[SourceKind::Payment]);
        let refund = [SourceKind::Refund, SourceKind::RefundFailed];
        let refunded = sum_of("purchases", Account::Refunds, "refunds", "provider_id", &refund);
        let dispute = [SourceKind::Dispute, SourceKind::DisputeWon];
        let disputed = sum_of("purchases", Account::Disputes, "disputes", "provider_id", &dispute);
        let sql = format!(
            "select tenant_id, id, completed_at, status, amount, refunded_amount, -{paid}, {refunded}, {disputed} \
             from purchases where (tenant_id, id) > ($1, $2) \
             and not exists (select 1 from checkouts c where c.tenant_id = purchases.tenant_id \
             and c.purchase_id = purchases.id and c.live <> $4) order by tenant_id, id limit $3"
        );
        let (tenant, id) =
            after.unwrap_or((TenantId::PLATFORM, PurchaseId::from_uuid(TenantId::PLATFORM.uuid())));
        let rows: Vec<PurchaseRow> = self.db.rows(&sql, (tenant, id, limit, live)).await?;
        Ok(rows.into_iter().map(booked_purchase).collect())
    }

    async fn invoices(
        &mut self,
        live: bool,
        after: Option<(TenantId, InvoiceId)>,
        limit: u64,
    ) -> Result<Vec<BookedInvoice>, StoreError> {
        let kind = SourceKind::Invoice.as_str();
        let paid = sum_of_invoice(Account::SubscriptionRevenue, &[SourceKind::Invoice]);
        let refund = [SourceKind::InvoiceRefund, SourceKind::InvoiceRefundFailed];
        let refunded = sum_of_invoice(Account::Refunds, &refund);
        let dispute = [SourceKind::Dispute, SourceKind::DisputeWon];
        let disputed = sum_of_invoice(Account::Disputes, &dispute);
        let sql = format!(
            "select tenant_id, id, amount_paid, amount_refunded, amount_disputed, -{paid}, {refunded}, {disputed} from invoices \
             where (tenant_id, id) > ($1, $2) and kind = 'subscription' and not exists (select 1 from ledger_entries o \
             where o.tenant_id = invoices.tenant_id and o.source_kind = '{kind}' and o.live <> $4 \
             and substr(o.source_id, 1, length(invoices.provider_id) + 1) = invoices.provider_id || ':') \
             order by tenant_id, id limit $3"
        );
        let (tenant, id) =
            after.unwrap_or((TenantId::PLATFORM, InvoiceId::from_uuid(TenantId::PLATFORM.uuid())));
        let rows: Vec<InvoiceRow> = self.db.rows(&sql, (tenant, id, limit, live)).await?;
        Ok(rows.into_iter().map(booked_invoice).collect())
    }

    async fn sales(
        &mut self,
        live: bool,
        after: Option<(TenantId, PurchaseId)>,
        limit: u64,
    ) -> Result<Vec<BookedSale>, StoreError> {
        let (kind, account) = (SourceKind::Payment.as_str(), Account::PurchaseRevenue);
        let succeeded = RefundStatus::Succeeded.as_str();
        let refund = [SourceKind::Refund, SourceKind::RefundFailed];
        let refunded = sum_of("site_sales", Account::Refunds, "site_refunds", "provider_id", &refund);
        let sql = format!(
            "select tenant_id, id, paid_at, amount, cast(coalesce((select sum(r.amount) from site_refunds r \
             where r.tenant_id = site_sales.tenant_id and r.purchase_id = site_sales.id \
             and r.status = '{succeeded}'), 0) as bigint), -cast(coalesce((select sum(e.amount) from ledger_entries e \
             where e.tenant_id = site_sales.tenant_id and e.source_kind = '{kind}' and e.source_id = site_sales.payment_id \
             and e.account = '{account}' and e.currency = site_sales.currency and e.live = $4), 0) as bigint), {refunded} \
             from site_sales where (tenant_id, id) > ($1, $2) and live = $4 order by tenant_id, id limit $3"
        );
        let (tenant, id) =
            after.unwrap_or((TenantId::PLATFORM, PurchaseId::from_uuid(TenantId::PLATFORM.uuid())));
        let rows: Vec<SaleRow> = self.db.rows(&sql, (tenant, id, limit, live)).await?;
        Ok(rows.into_iter().map(booked_sale).collect())
    }
}
