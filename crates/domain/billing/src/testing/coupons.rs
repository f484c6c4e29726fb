//! Coupons in memory.

use async_trait::async_trait;
use portico_kernel::{
    CouponId, List, PageRequest, PlanChangeId, PurchaseId, StoreError, TenantId, Timestamp,
};

use super::Shop;
use crate::{coupon::Coupon, ports::CouponRepository};

#[async_trait]
impl CouponRepository for Shop {
    async fn insert(&mut self, coupon: &Coupon) -> Result<(), StoreError> {
        let mut rows = self.rows();
        if rows.coupons.iter().any(|stored| stored.code == coupon.code) {
            return Err(StoreError::Conflict("coupons_code_key".to_owned()));
        }
        rows.coupons.push(coupon.clone());
        Ok(())
    }

    async fn list(&mut self, page: PageRequest) -> Result<List<Coupon>, StoreError> {
        let items = self.rows().coupons.clone();
        let total = items.len() as u64;
        Ok(List::new(items, page, total))
    }

    async fn find(&mut self, id: CouponId) -> Result<Option<Coupon>, StoreError> {
        Ok(self.rows().coupons.iter().find(|coupon| coupon.id == id).cloned())
    }

    async fn lock(&mut self, id: CouponId) -> Result<Option<Coupon>, StoreError> {
        self.rows().locked_coupons.push(id);
        CouponRepository::find(self, id).await
    }

    async fn lock_code<'s>(&mut self, code: &'s str) -> Result<Option<Coupon>, StoreError> {
        Ok(self.rows().coupons.iter().find(|coupon| coupon.code == code).cloned())
    }

    async fn find_code<'s>(&mut self, code: &'s str) -> Result<Option<Coupon>, StoreError> {
        self.lock_code(code).await
    }

    async fn update(&mut self, coupon: &Coupon) -> Result<(), StoreError> {
        let mut rows = self.rows();
        *rows.coupons.iter_mut().find(|stored| stored.id == coupon.id).unwrap() = coupon.clone();
        Ok(())
    }

    async fn redemptions_of(&mut self, tenant: TenantId, id: CouponId) -> Result<u64, StoreError> {
        let rows = self.rows();
        let used = rows.redemptions.iter().filter(|(of, _, coupon)| (*of, *coupon) == (tenant, id));
        let of_plans = rows.plan_redemptions.iter().filter(|(of, _, coupon)| (*of, *coupon) == (tenant, id));
        Ok((used.count() + of_plans.count()) as u64)
    }

    async fn redeem(
        &mut self,
        tenant: TenantId,
        purchase: PurchaseId,
        id: CouponId,
        _: Timestamp,
    ) -> Result<(), StoreError> {
        let mut rows = self.rows();
        if !rows.redemptions.contains(&(tenant, purchase, id)) {
            rows.redemptions.push((tenant, purchase, id));
            rows.coupons.iter_mut().find(|coupon| coupon.id == id).unwrap().redemptions += 1;
        }
        Ok(())
    }

    async fn release(
        &mut self,
        tenant: TenantId,
        purchase: PurchaseId,
        id: CouponId,
    ) -> Result<(), StoreError> {
        let mut rows = self.rows();
        let before = rows.redemptions.len();
        rows.redemptions.retain(|used| *used != (tenant, purchase, id));
        let given_back = (before - rows.redemptions.len()) as u64;
        rows.coupons.iter_mut().find(|coupon| coupon.id == id).unwrap().redemptions -= given_back;
        Ok(())
    }

    async fn redeem_plan(
        &mut self,
        tenant: TenantId,
        call: PlanChangeId,
        id: CouponId,
        _: Timestamp,
    ) -> Result<(), StoreError> {
        let mut rows = self.rows();
        if !rows.plan_redemptions.contains(&(tenant, call, id)) {
            rows.plan_redemptions.push((tenant, call, id));
            rows.coupons.iter_mut().find(|coupon| coupon.id == id).unwrap().redemptions += 1;
        }
        Ok(())
    }

    async fn release_plan(
        &mut self,
        tenant: TenantId,
        call: PlanChangeId,
        id: CouponId,
    ) -> Result<(), StoreError> {
        let mut rows = self.rows();
        let before = rows.plan_redemptions.len();
        rows.plan_redemptions.retain(|used| *used != (tenant, call, id));
        let given_back = (before - rows.plan_redemptions.len()) as u64;
        rows.coupons.iter_mut().find(|coupon| coupon.id == id).unwrap().redemptions -= given_back;
        Ok(())
    }
}
