//! The ports of purchases: purchases, coupons and the checkouts by which purchases are paid.

use async_trait::async_trait;
use portico_kernel::{
    CheckoutId, CouponId, List, PageRequest, PlanChangeId, PurchaseId, StoreError, TenantId, Timestamp,
};

use crate::{checkout::PurchaseCheckout, coupon::Coupon, payment::Provider, purchase::Purchase};

/// Purchases.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait PurchaseRepository: Send {
    /// Stores a new purchase.
    async fn insert(&mut self, purchase: &Purchase) -> Result<(), StoreError>;

    /// One page of the purchases of a tenant, newest first.
    async fn list(&mut self, tenant: TenantId, page: PageRequest) -> Result<List<Purchase>, StoreError>;

    /// A purchase. MUST answer `None` for one of another tenant.
    async fn find(&mut self, tenant: TenantId, id: PurchaseId) -> Result<Option<Purchase>, StoreError>;

    /// The same, and keeps others from changing it until the unit of work ends. MUST wait for another unit of work that has locked it, and
    /// answer what that has stored.
    async fn lock(&mut self, tenant: TenantId, id: PurchaseId) -> Result<Option<Purchase>, StoreError>;

    /// Stores status, refunded amount and time of completion. MUST leave all else as it is: what was bought at which price never changes.
    async fn update(&mut self, purchase: &Purchase) -> Result<(), StoreError>;
}

/// Coupons, and the purchases that use them.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait CouponRepository: Send {
    /// Stores a new coupon. MUST answer `Conflict` when another one has or had its code, also under concurrency.
    async fn insert(&mut self, coupon: &Coupon) -> Result<(), StoreError>;

    /// One page of all coupons, newest first, archived ones included.
    async fn list(&mut self, page: PageRequest) -> Result<List<Coupon>, StoreError>;

    /// A coupon.
    async fn find(&mut self, id: CouponId) -> Result<Option<Coupon>, StoreError>;

    /// The same, and keeps others from changing and from using it until the unit of work ends. MUST wait for another unit of work that has
    /// locked it, and answer what that has stored. Whoever locks several in one unit of work does so in the order of their ids.
    async fn lock(&mut self, id: CouponId) -> Result<Option<Coupon>, StoreError>;

    /// The same by the code, which is in capital letters.
    async fn lock_code<'s>(&mut self, code: &'s str) -> Result<Option<Coupon>, StoreError>;

    /// A coupon by its code, which is in capital letters, without a lock.
    async fn find_code<'s>(&mut self, code: &'s str) -> Result<Option<Coupon>, StoreError>;

    /// Stores products, plans, limits, times, when it was archived and when it was changed. MUST leave all else as it is.
    async fn update(&mut self, coupon: &Coupon) -> Result<(), StoreError>;

    /// How many purchases and calls for plans of a tenant use a coupon.
    async fn redemptions_of(&mut self, tenant: TenantId, id: CouponId) -> Result<u64, StoreError>;

    /// Has a purchase use a coupon, unless it does, and counts that. MUST answer `MissingReference` for a purchase of another tenant.
    async fn redeem(
        &mut self,
        tenant: TenantId,
        purchase: PurchaseId,
        id: CouponId,
        now: Timestamp,
    ) -> Result<(), StoreError>;

    /// Gives the use of a coupon by a purchase back, if there is one, and counts that.
    async fn release(
        &mut self,
        tenant: TenantId,
        purchase: PurchaseId,
        id: CouponId,
    ) -> Result<(), StoreError>;

    /// Has a call for a plan use a coupon, unless it does, and counts that. The use outlives the call.
    async fn redeem_plan(
        &mut self,
        tenant: TenantId,
        call: PlanChangeId,
        id: CouponId,
        now: Timestamp,
    ) -> Result<(), StoreError>;

    /// Gives the use of a coupon by a call for a plan back, if there is one, and counts that.
    async fn release_plan(
        &mut self,
        tenant: TenantId,
        call: PlanChangeId,
        id: CouponId,
    ) -> Result<(), StoreError>;
}

/// Payments of purchases on pages of providers.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait CheckoutRepository: Send {
    /// Stores a new checkout. MUST answer `MissingReference` for a purchase of another tenant.
    async fn insert(&mut self, checkout: &PurchaseCheckout) -> Result<(), StoreError>;

    /// A checkout. MUST answer `None` for one of another tenant.
    async fn find(
        &mut self,
        tenant: TenantId,
        id: CheckoutId,
    ) -> Result<Option<PurchaseCheckout>, StoreError>;

    /// The checkout that the provider knows by this id. MUST answer `None` for one of another tenant.
    async fn of_session<'s>(
        &mut self,
        tenant: TenantId,
        provider: Provider,
        session: &'s str,
    ) -> Result<Option<PurchaseCheckout>, StoreError>;

    /// The checkout by which a purchase was paid. MUST answer `None` for one that is not paid, and for one that
    /// [differs](crate::checkout::CheckoutStage::Mismatched).
    async fn paid(
        &mut self,
        tenant: TenantId,
        purchase: PurchaseId,
    ) -> Result<Option<PurchaseCheckout>, StoreError>;

    /// The oldest [open](crate::checkout::CheckoutStage::Open) checkout of the tenant whose purchase uses a coupon.
    async fn holding(
        &mut self,
        tenant: TenantId,
        coupon: CouponId,
    ) -> Result<Option<PurchaseCheckout>, StoreError>;

    /// Stores stage, session, page, payment, end and next check. MUST answer `Conflict` when another checkout of the tenant has the session.
    /// MUST leave return addresses and mode as they are: the call that makes it is to be the same at every try.
    async fn update(&mut self, checkout: &PurchaseCheckout) -> Result<(), StoreError>;

    /// Checkouts of all tenants about which the provider is to be asked by `now`, those first that have waited longest; at most `limit`.
    async fn due(&mut self, now: Timestamp, limit: u64) -> Result<Vec<PurchaseCheckout>, StoreError>;
}
