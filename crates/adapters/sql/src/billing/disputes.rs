//! Disputes about purchases.

use async_trait::async_trait;
use portico_billing::{
    dispute::PurchaseDispute,
    payment::{DisputeStatus, Provider},
    ports::DisputeRepository,
};
use portico_kernel::{DisputeId, PurchaseId, StoreError, TenantId, Timestamp};

use crate::{columns::words, db::Db};

words!(DisputeStatus);

/// Disputes over one connection.
pub(crate) struct Disputes<'c> {
    pub db: Db<'c>,
}

const COLUMNS: &str = "tenant_id, id, purchase_id, provider, provider_id, amount, currency, status, answer_by, created_at, \
    updated_at";

/// A row of [`COLUMNS`].
type Row = (
    TenantId,
    DisputeId,
    PurchaseId,
    Provider,
    String,
    i64,
    String,
    DisputeStatus,
    Option<Timestamp>,
    Timestamp,
    Timestamp,
);

fn dispute(
    (
        tenant_id,
        id,
        purchase_id,
        provider,
        provider_id,
        amount,
        currency,
        status,
        answer_by,
        created_at,
        updated_at,
    ): Row,
) -> PurchaseDispute {
    PurchaseDispute {
        id,
        tenant_id,
        purchase_id,
        provider,
        provider_id,
        amount,
        currency,
        status,
        answer_by,
        created_at,
        updated_at,
    }
}

#[async_trait]
impl DisputeRepository for Disputes<'_> {
    async fn store(&mut self, dispute: &PurchaseDispute) -> Result<(), StoreError> {
        let sql = format!(
            "insert into disputes ({COLUMNS}) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) \
             on conflict (tenant_id, id) do update set status = excluded.status, answer_by = excluded.answer_by, \
             updated_at = excluded.updated_at"
        );
        let values = (
            dispute.tenant_id,
            dispute.id,
            dispute.purchase_id,
            dispute.provider,
            &dispute.provider_id,
            dispute.amount,
            &dispute.currency,
            dispute.status,
            dispute.answer_by,
            dispute.created_at,
            dispute.updated_at,
        );
        self.db.execute(&sql, values).await.map(drop)
    }

    async fn of_purchase(
        &mut self,
        tenant: TenantId,
        purchase: PurchaseId,
    ) -> Result<Vec<PurchaseDispute>, StoreError> {
        let sql =
            format!("select {COLUMNS} from disputes where tenant_id = $1 and purchase_id = $2 order by id");
        let rows: Vec<Row> = self.db.rows(&sql, (tenant, purchase)).await?;
        Ok(rows.into_iter().map(dispute).collect())
    }
}
