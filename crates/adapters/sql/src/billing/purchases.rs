//! Purchases.

use async_trait::async_trait;
use portico_billing::{
    ports::PurchaseRepository,
    purchase::{Purchase, PurchaseItem, PurchaseStatus},
};
use portico_kernel::{List, PageRequest, PurchaseId, StoreError, TenantId, Timestamp, UserId};

use crate::{
    columns::{documents, words},
    db::{Db, in_pages},
};

words!(PurchaseStatus);
documents!(Vec<PurchaseItem>);

/// Purchases over one connection.
pub(crate) struct Purchases<'c> {
    pub db: Db<'c>,
}

const COLUMNS: &str = "tenant_id, id, user_id, amount, currency, status, items, coupon, refunded_amount, created_at, completed_at";

/// A row of [`COLUMNS`].
type Row = (
    TenantId,
    PurchaseId,
    UserId,
    i64,
    String,
    PurchaseStatus,
    Vec<PurchaseItem>,
    Option<String>,
    i64,
    Timestamp,
    Option<Timestamp>,
);

fn purchase(
    (
        tenant_id,
        id,
        user_id,
        amount,
        currency,
        status,
        items,
        coupon,
        refunded_amount,
        created_at,
        completed_at,
    ): Row,
) -> Purchase {
    Purchase {
        id,
        tenant_id,
        user_id,
        amount,
        currency,
        status,
        // That of each item is stored with it.
        discount: items.iter().map(|item| item.discount).sum(),
        items,
        coupon,
        refunded_amount,
        created_at,
        completed_at,
    }
}

#[async_trait]
impl PurchaseRepository for Purchases<'_> {
    async fn insert(&mut self, purchase: &Purchase) -> Result<(), StoreError> {
        let sql = format!(
            "insert into purchases ({COLUMNS}) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)"
        );
        let values = (
            purchase.tenant_id,
            purchase.id,
            purchase.user_id,
            purchase.amount,
            &purchase.currency,
            purchase.status,
            purchase.items.clone(),
            &purchase.coupon,
            purchase.refunded_amount,
            purchase.created_at,
            purchase.completed_at,
        );
        self.db.execute(&sql, values).await.map(drop)
    }

    async fn list(&mut self, tenant: TenantId, page: PageRequest) -> Result<List<Purchase>, StoreError> {
        let rows = format!(
            "select {COLUMNS} from purchases where tenant_id = $1 order by id desc limit $2 offset $3"
        );
        let count = "select count(*) from purchases where tenant_id = $1";
        let (limit, offset) = (page.limit as i64, page.offset() as i64);
        let rows = async {
            let rows: Vec<Row> = self.db.rows(&rows, (tenant, limit, offset)).await?;
            Ok(rows.into_iter().map(purchase).collect())
        };
        in_pages(page, self.db.total(count, [tenant]), rows).await
    }

    async fn find(&mut self, tenant: TenantId, id: PurchaseId) -> Result<Option<Purchase>, StoreError> {
        let sql = format!("select {COLUMNS} from purchases where tenant_id = $1 and id = $2");
        Ok(self.db.row(&sql, (tenant, id)).await?.map(purchase))
    }

    async fn lock(&mut self, tenant: TenantId, id: PurchaseId) -> Result<Option<Purchase>, StoreError> {
        let lock = self.db.dialect().for_update;
        let sql = format!("select {COLUMNS} from purchases where tenant_id = $1 and id = $2 {lock}");
        Ok(self.db.row(&sql, (tenant, id)).await?.map(purchase))
    }

    async fn update(&mut self, purchase: &Purchase) -> Result<(), StoreError> {
        let sql = "update purchases set status = $3, refunded_amount = $4, completed_at = $5 \
             where tenant_id = $1 and id = $2";
        let values = (
            purchase.tenant_id,
            purchase.id,
            purchase.status,
            purchase.refunded_amount,
            purchase.completed_at,
        );
        self.db.execute(sql, values).await.map(drop)
    }
}
