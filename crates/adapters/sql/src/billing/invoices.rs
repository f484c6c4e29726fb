//! Invoices.

use async_trait::async_trait;
use portico_billing::{
    invoice::{Invoice, InvoiceKind},
    payment::Provider,
    ports::InvoiceRepository,
    seller::Seller,
    subscription_provider::{InvoiceLine, InvoicePayment, InvoiceStatus},
};
use portico_kernel::{InvoiceId, List, PageRequest, StoreError, TenantId};
use sea_orm::{QueryResult, TryGetError, Value};

use crate::{
    columns::{documents, read, words},
    db::{Db, Param, in_pages},
};

words!(InvoiceKind, InvoiceStatus);
documents!(Vec<InvoiceLine>, Vec<InvoicePayment>, Seller);

/// Invoices over one connection.
pub(crate) struct Invoices<'c> {
    pub db: Db<'c>,
}

const COLUMNS: &str = "tenant_id, id, provider, provider_id, number, status, kind, amount_due, amount_paid, amount_refunded, tax, currency, \
    lines, period_start, period_end, due_at, paid_at, pdf_url, hosted_url, receipt_url, seller, created_at, payments";

fn invoice(row: &QueryResult) -> Result<Invoice, TryGetError> {
    Ok(Invoice {
        id: read(row, "id")?,
        tenant_id: read(row, "tenant_id")?,
        provider: read(row, "provider")?,
        provider_id: read(row, "provider_id")?,
        number: read(row, "number")?,
        status: read(row, "status")?,
        kind: read(row, "kind")?,
        amount_due: read(row, "amount_due")?,
        amount_paid: read(row, "amount_paid")?,
        amount_refunded: read(row, "amount_refunded")?,
        tax: read(row, "tax")?,
        currency: read(row, "currency")?,
        lines: read(row, "lines")?,
        period_start: read(row, "period_start")?,
        period_end: read(row, "period_end")?,
        due_at: read(row, "due_at")?,
        paid_at: read(row, "paid_at")?,
        pdf_url: read(row, "pdf_url")?,
        hosted_url: read(row, "hosted_url")?,
        receipt_url: read(row, "receipt_url")?,
        seller: read(row, "seller")?,
        created_at: read(row, "created_at")?,
        // Rows from before there were any have none.
        payments: read::<Option<Vec<InvoicePayment>>, _>(row, "payments")?.unwrap_or_default(),
    })
}

#[async_trait]
impl InvoiceRepository for Invoices<'_> {
    async fn list(&mut self, tenant: TenantId, page: PageRequest) -> Result<List<Invoice>, StoreError> {
        let rows = format!(
            "select {COLUMNS} from invoices where tenant_id = $1 order by created_at desc, id desc limit $2 offset $3"
        );
        let count = "select count(*) from invoices where tenant_id = $1";
        let (limit, offset) = (page.limit as i64, page.offset() as i64);
        let rows = self.db.rows_with(&rows, (tenant, limit, offset), invoice);
        in_pages(page, self.db.total(count, [tenant]), rows).await
    }

    async fn find(&mut self, tenant: TenantId, id: InvoiceId) -> Result<Option<Invoice>, StoreError> {
        let sql = format!("select {COLUMNS} from invoices where tenant_id = $1 and id = $2");
        Ok(self.db.rows_with(&sql, (tenant, id), invoice).await?.into_iter().next())
    }

    async fn of_provider(
        &mut self,
        tenant: TenantId,
        provider: Provider,
        ids: &[String],
    ) -> Result<Vec<Invoice>, StoreError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let places: Vec<String> = (3..3 + ids.len()).map(|place| format!("${place}")).collect();
        let sql = format!(
            "select {COLUMNS} from invoices where tenant_id = $1 and provider = $2 and provider_id in ({})",
            places.join(", ")
        );
        let values: Vec<Value> =
            [tenant.value(), provider.value()].into_iter().chain(ids.iter().map(Param::value)).collect();
        self.db.rows_with(&sql, values, invoice).await
    }

    async fn upsert(&mut self, invoice: &Invoice) -> Result<(), StoreError> {
        let sql = format!(
            "insert into invoices ({COLUMNS}, amount_disputed) values \
             ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24) \
             on conflict (tenant_id, id) do update set number = excluded.number, status = excluded.status, \
             amount_due = excluded.amount_due, amount_paid = excluded.amount_paid, amount_refunded = excluded.amount_refunded, \
             tax = excluded.tax, lines = excluded.lines, period_start = excluded.period_start, period_end = excluded.period_end, \
             due_at = excluded.due_at, paid_at = excluded.paid_at, pdf_url = excluded.pdf_url, hosted_url = excluded.hosted_url, \
             receipt_url = excluded.receipt_url, payments = excluded.payments, amount_disputed = excluded.amount_disputed"
        );
        let values = vec![
            invoice.tenant_id.value(),
            invoice.id.value(),
            invoice.provider.value(),
            (&invoice.provider_id).value(),
            (&invoice.number).value(),
            invoice.status.value(),
            invoice.kind.value(),
            invoice.amount_due.value(),
            invoice.amount_paid.value(),
            invoice.amount_refunded.value(),
            invoice.tax.value(),
            (&invoice.currency).value(),
            invoice.lines.clone().value(),
            invoice.period_start.value(),
            invoice.period_end.value(),
            invoice.due_at.value(),
            invoice.paid_at.value(),
            (&invoice.pdf_url).value(),
            (&invoice.hosted_url).value(),
            (&invoice.receipt_url).value(),
            invoice.seller.clone().value(),
            invoice.created_at.value(),
            invoice.payments.clone().value(),
            invoice.disputed().value(),
        ];
        self.db.execute(&sql, values).await.map(drop)
    }

    async fn next_number<'s>(&mut self, series: &'s str) -> Result<u64, StoreError> {
        // The row is held until the transaction ends: whoever comes next waits, and gets the same number where it was rolled back.
        let sql = "insert into receipt_numbers (series, last_number) values ($1, 1) \
             on conflict (series) do update set last_number = receipt_numbers.last_number + 1 returning last_number";
        self.db.total(sql, [series]).await
    }
}
