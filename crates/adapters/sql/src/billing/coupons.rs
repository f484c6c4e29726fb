//! Coupons, and the purchases and calls for plans that use them.

use async_trait::async_trait;
use portico_billing::{
    coupon::Coupon,
    coupon_scope::{CouponDuration, CouponUse},
    ports::CouponRepository,
};
use portico_kernel::{
    CouponId, List, PageRequest, PlanChangeId, PurchaseId, StoreError, TenantId, Timestamp,
};
use sea_orm::{QueryResult, TryGetError};

use crate::{
    columns::{read, words},
    db::{Db, Param, Params, in_pages},
};

words!(CouponDuration);

/// Coupons over one connection.
pub(crate) struct Coupons<'c> {
    pub db: Db<'c>,
}

const COLUMNS: &str = "id, code, percent, amount, currency, product_types, max_redemptions, max_redemptions_per_tenant, \
    valid_from, valid_until, redemptions, archived_at, created_at, updated_at, for_purchases, plans, duration, duration_in_months";

fn coupon(row: &QueryResult) -> Result<Coupon, TryGetError> {
    let duration: Option<CouponDuration> = read(row, "duration")?;
    let for_purchases = read::<bool, _>(row, "for_purchases")?.then_some(CouponUse::Purchases);
    // A coupon for plans has a duration, and no other.
    let for_plans = duration.map(|_| CouponUse::Plans);
    Ok(Coupon {
        applies_to: for_purchases.into_iter().chain(for_plans).collect(),
        plans: read(row, "plans")?,
        duration,
        duration_in_months: read(row, "duration_in_months")?,
        id: read(row, "id")?,
        code: read(row, "code")?,
        percent: read(row, "percent")?,
        amount: read(row, "amount")?,
        currency: read(row, "currency")?,
        product_types: read(row, "product_types")?,
        max_redemptions: read(row, "max_redemptions")?,
        max_redemptions_per_tenant: read(row, "max_redemptions_per_tenant")?,
        valid_from: read(row, "valid_from")?,
        valid_until: read(row, "valid_until")?,
        redemptions: read(row, "redemptions")?,
        archived_at: read(row, "archived_at")?,
        created_at: read(row, "created_at")?,
        updated_at: read(row, "updated_at")?,
    })
}

impl Coupons<'_> {
    async fn one(&self, rest: &str, values: impl Params) -> Result<Option<Coupon>, StoreError> {
        let sql = format!("select {COLUMNS} from coupons where {rest}");
        Ok(self.db.rows_with(&sql, values, coupon).await?.into_iter().next())
    }
}

#[async_trait]
impl CouponRepository for Coupons<'_> {
    async fn insert(&mut self, coupon: &Coupon) -> Result<(), StoreError> {
        let sql = format!(
            "insert into coupons ({COLUMNS}) values \
             ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)"
        );
        // More than a tuple takes.
        let values = vec![
            coupon.id.value(),
            (&coupon.code).value(),
            coupon.percent.value(),
            coupon.amount.value(),
            (&coupon.currency).value(),
            coupon.product_types.clone().value(),
            coupon.max_redemptions.value(),
            coupon.max_redemptions_per_tenant.value(),
            coupon.valid_from.value(),
            coupon.valid_until.value(),
            coupon.redemptions.value(),
            coupon.archived_at.value(),
            coupon.created_at.value(),
            coupon.updated_at.value(),
            coupon.applies_to.contains(&CouponUse::Purchases).value(),
            coupon.plans.clone().value(),
            coupon.duration.value(),
            coupon.duration_in_months.value(),
        ];
        self.db.execute(&sql, values).await.map(drop)
    }

    async fn list(&mut self, page: PageRequest) -> Result<List<Coupon>, StoreError> {
        let rows = format!("select {COLUMNS} from coupons order by id desc limit $1 offset $2");
        let (limit, offset) = (page.limit as i64, page.offset() as i64);
        let rows = self.db.rows_with(&rows, (limit, offset), coupon);
        in_pages(page, self.db.total("select count(*) from coupons", ()), rows).await
    }

    async fn find(&mut self, id: CouponId) -> Result<Option<Coupon>, StoreError> {
        self.one("id = $1", [id]).await
    }

    async fn lock(&mut self, id: CouponId) -> Result<Option<Coupon>, StoreError> {
        let lock = self.db.dialect().for_update;
        self.one(&format!("id = $1 {lock}"), [id]).await
    }

    async fn lock_code<'s>(&mut self, code: &'s str) -> Result<Option<Coupon>, StoreError> {
        let lock = self.db.dialect().for_update;
        self.one(&format!("code = $1 {lock}"), [code]).await
    }

    async fn find_code<'s>(&mut self, code: &'s str) -> Result<Option<Coupon>, StoreError> {
        self.one("code = $1", [code]).await
    }

    async fn update(&mut self, coupon: &Coupon) -> Result<(), StoreError> {
        let sql = "update coupons set product_types = $2, max_redemptions = $3, max_redemptions_per_tenant = $4, valid_from = $5, \
             valid_until = $6, archived_at = $7, updated_at = $8, plans = $9 where id = $1";
        let values = (
            coupon.id,
            coupon.product_types.clone(),
            coupon.max_redemptions,
            coupon.max_redemptions_per_tenant,
            coupon.valid_from,
            coupon.valid_until,
            coupon.archived_at,
            coupon.updated_at,
            coupon.plans.clone(),
        );
        self.db.execute(sql, values).await.map(drop)
    }

    async fn redemptions_of(&mut self, tenant: TenantId, id: CouponId) -> Result<u64, StoreError> {
        let sql = "select (select count(*) from coupon_redemptions where tenant_id = $1 and coupon_id = $2) \
             + (select count(*) from plan_coupon_redemptions where tenant_id = $1 and coupon_id = $2)";
        self.db.total(sql, (tenant, id)).await
    }

    async fn redeem(
        &mut self,
        tenant: TenantId,
        purchase: PurchaseId,
        id: CouponId,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let sql = "insert into coupon_redemptions (tenant_id, purchase_id, coupon_id, redeemed_at) values ($1, $2, $3, $4) \
             on conflict (tenant_id, purchase_id) do nothing";
        if self.db.execute(sql, (tenant, purchase, id, now)).await? == 1 {
            let sql = "update coupons set redemptions = redemptions + 1 where id = $1";
            self.db.execute(sql, [id]).await?;
        }
        Ok(())
    }

    async fn release(
        &mut self,
        tenant: TenantId,
        purchase: PurchaseId,
        id: CouponId,
    ) -> Result<(), StoreError> {
        let sql =
            "delete from coupon_redemptions where tenant_id = $1 and purchase_id = $2 and coupon_id = $3";
        if self.db.execute(sql, (tenant, purchase, id)).await? == 1 {
            let sql = "update coupons set redemptions = redemptions - 1 where id = $1";
            self.db.execute(sql, [id]).await?;
        }
        Ok(())
    }

    async fn redeem_plan(
        &mut self,
        tenant: TenantId,
        call: PlanChangeId,
        id: CouponId,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let sql = "insert into plan_coupon_redemptions (tenant_id, call_id, coupon_id, redeemed_at) values ($1, $2, $3, $4) \
             on conflict (tenant_id, call_id) do nothing";
        if self.db.execute(sql, (tenant, call, id, now)).await? == 1 {
            let sql = "update coupons set redemptions = redemptions + 1 where id = $1";
            self.db.execute(sql, [id]).await?;
        }
        Ok(())
    }

    async fn release_plan(
        &mut self,
        tenant: TenantId,
        call: PlanChangeId,
        id: CouponId,
    ) -> Result<(), StoreError> {
        let sql =
            "delete from plan_coupon_redemptions where tenant_id = $1 and call_id = $2 and coupon_id = $3";
        if self.db.execute(sql, (tenant, call, id)).await? == 1 {
            let sql = "update coupons set redemptions = redemptions - 1 where id = $1";
            self.db.execute(sql, [id]).await?;
        }
        Ok(())
    }
}
