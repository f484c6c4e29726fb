//! Refunds of purchases, and of sales of sites.

use async_trait::async_trait;
use portico_billing::{
    payment::Provider,
    ports::RefundRepository,
    refund::{PurchaseRefund, RefundStatus},
};
use portico_kernel::{PurchaseId, RefundId, StoreError, TenantId, Timestamp};

use crate::{columns::words, db::Db};

words!(RefundStatus);

/// Refunds over one connection.
pub(crate) struct Refunds<'c> {
    pub db: Db<'c>,
    /// The table: `refunds` or `site_refunds`.
    pub table: &'static str,
}

const COLUMNS: &str = "tenant_id, id, purchase_id, provider, payment_id, provider_id, amount, currency, status, reason, \
    created_at, updated_at";

/// A row of [`COLUMNS`].
type Row = (
    TenantId,
    RefundId,
    PurchaseId,
    Provider,
    String,
    Option<String>,
    i64,
    String,
    RefundStatus,
    Option<String>,
    Timestamp,
    Timestamp,
);

fn refund(
    (
        tenant_id,
        id,
        purchase_id,
        provider,
        payment_id,
        provider_id,
        amount,
        currency,
        status,
        reason,
        created_at,
        updated_at,
    ): Row,
) -> PurchaseRefund {
    PurchaseRefund {
        id,
        tenant_id,
        purchase_id,
        provider,
        payment_id,
        provider_id,
        amount,
        currency,
        status,
        reason,
        created_at,
        updated_at,
    }
}

#[async_trait]
impl RefundRepository for Refunds<'_> {
    async fn store(&mut self, refund: &PurchaseRefund) -> Result<(), StoreError> {
        let table = self.table;
        let sql = format!(
            "insert into {table} ({COLUMNS}) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) \
             on conflict (tenant_id, id) do update set provider_id = excluded.provider_id, amount = excluded.amount, \
             status = excluded.status, updated_at = excluded.updated_at"
        );
        let values = (
            refund.tenant_id,
            refund.id,
            refund.purchase_id,
            refund.provider,
            &refund.payment_id,
            &refund.provider_id,
            refund.amount,
            &refund.currency,
            refund.status,
            &refund.reason,
            refund.created_at,
            refund.updated_at,
        );
        self.db.execute(&sql, values).await.map(drop)
    }

    async fn of_purchase(
        &mut self,
        tenant: TenantId,
        purchase: PurchaseId,
    ) -> Result<Vec<PurchaseRefund>, StoreError> {
        let table = self.table;
        let sql =
            format!("select {COLUMNS} from {table} where tenant_id = $1 and purchase_id = $2 order by id");
        let rows: Vec<Row> = self.db.rows(&sql, (tenant, purchase)).await?;
        Ok(rows.into_iter().map(refund).collect())
    }
}
