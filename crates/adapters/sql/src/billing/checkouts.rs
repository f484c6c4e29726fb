//! Payments of purchases on pages of providers.

use async_trait::async_trait;
use portico_billing::{
    checkout::{CheckoutStage, PurchaseCheckout},
    payment::Provider,
    ports::CheckoutRepository,
};
use portico_kernel::{CheckoutId, CouponId, PurchaseId, StoreError, TenantId, Timestamp};
use sea_orm::{QueryResult, TryGetError};

use crate::{
    columns::{read, words},
    db::{Db, Param, Params},
};

words!(CheckoutStage, Provider);

/// Checkouts over one connection.
pub(crate) struct Checkouts<'c> {
    pub db: Db<'c>,
}

const COLUMNS: &str = "tenant_id, id, purchase_id, provider, live, stage, session_id, url, payment_id, success_url, cancel_url, \
    created_at, expires_at, check_at";

fn checkout(row: &QueryResult) -> Result<PurchaseCheckout, TryGetError> {
    Ok(PurchaseCheckout {
        id: read(row, "id")?,
        tenant_id: read(row, "tenant_id")?,
        purchase_id: read(row, "purchase_id")?,
        provider: read(row, "provider")?,
        live: read(row, "live")?,
        stage: read(row, "stage")?,
        session_id: read(row, "session_id")?,
        url: read(row, "url")?,
        payment_id: read(row, "payment_id")?,
        success_url: read(row, "success_url")?,
        cancel_url: read(row, "cancel_url")?,
        created_at: read(row, "created_at")?,
        expires_at: read(row, "expires_at")?,
        check_at: read(row, "check_at")?,
    })
}

impl Checkouts<'_> {
    async fn one(&self, rest: &str, values: impl Params) -> Result<Option<PurchaseCheckout>, StoreError> {
        let sql = format!("select {COLUMNS} from checkouts where tenant_id = $1 {rest}");
        Ok(self.db.rows_with(&sql, values, checkout).await?.into_iter().next())
    }
}

#[async_trait]
impl CheckoutRepository for Checkouts<'_> {
    async fn insert(&mut self, checkout: &PurchaseCheckout) -> Result<(), StoreError> {
        let sql = format!(
            "insert into checkouts ({COLUMNS}) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)"
        );
        // More than a tuple takes.
        let values = vec![
            checkout.tenant_id.value(),
            checkout.id.value(),
            checkout.purchase_id.value(),
            checkout.provider.value(),
            checkout.live.value(),
            checkout.stage.value(),
            (&checkout.session_id).value(),
            (&checkout.url).value(),
            (&checkout.payment_id).value(),
            (&checkout.success_url).value(),
            (&checkout.cancel_url).value(),
            checkout.created_at.value(),
            checkout.expires_at.value(),
            checkout.check_at.value(),
        ];
        self.db.execute(&sql, values).await.map(drop)
    }

    async fn find(
        &mut self,
        tenant: TenantId,
        id: CheckoutId,
    ) -> Result<Option<PurchaseCheckout>, StoreError> {
        self.one("and id = $2", (tenant, id)).await
    }

    async fn of_session<'s>(
        &mut self,
        tenant: TenantId,
        provider: Provider,
        session: &'s str,
    ) -> Result<Option<PurchaseCheckout>, StoreError> {
        self.one("and provider = $2 and session_id = $3", (tenant, provider, session)).await
    }

    async fn paid(
        &mut self,
        tenant: TenantId,
        purchase: PurchaseId,
    ) -> Result<Option<PurchaseCheckout>, StoreError> {
        self.one("and purchase_id = $2 and stage = $3", (tenant, purchase, CheckoutStage::Paid)).await
    }

    async fn holding(
        &mut self,
        tenant: TenantId,
        coupon: CouponId,
    ) -> Result<Option<PurchaseCheckout>, StoreError> {
        let rest = "and stage = $3 and purchase_id in (select purchase_id from coupon_redemptions where tenant_id = $1 \
             and coupon_id = $2) order by id limit 1";
        self.one(rest, (tenant, coupon, CheckoutStage::Open)).await
    }

    async fn update(&mut self, checkout: &PurchaseCheckout) -> Result<(), StoreError> {
        let sql = "update checkouts set stage = $3, session_id = $4, url = $5, payment_id = $6, expires_at = $7, check_at = $8 \
             where tenant_id = $1 and id = $2";
        let values = vec![
            checkout.tenant_id.value(),
            checkout.id.value(),
            checkout.stage.value(),
            (&checkout.session_id).value(),
            (&checkout.url).value(),
            (&checkout.payment_id).value(),
            checkout.expires_at.value(),
            checkout.check_at.value(),
        ];
        self.db.execute(sql, values).await.map(drop)
    }

    async fn due(&mut self, now: Timestamp, limit: u64) -> Result<Vec<PurchaseCheckout>, StoreError> {
        let sql = format!("select {COLUMNS} from checkouts where check_at <= $1 order by check_at limit $2");
        self.db.rows_with(&sql, (now, limit), checkout).await
    }
}
