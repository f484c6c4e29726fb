//! Ports of billing.

mod finance;

use async_trait::async_trait;
use portico_kernel::{
    CheckoutId, CouponId, GenerationId, InvoiceId, List, Meter, Outbox, PageRequest, PlanChangeId,
    PurchaseId, StoreError, TenantId, Timestamp,
};
use time::Date;

use crate::{
    checkout::PurchaseCheckout,
    coupon::Coupon,
    dispute::PurchaseDispute,
    generation::Reservation,
    inbound::{InboundStatus, StoredEvent},
    invoice::Invoice,
    ledger::{EntryKey, LedgerEntry, LedgerTransaction},
    ledger_check::{BookedInvoice, BookedPurchase, BookedSale},
    limits::{Allowance, Overrides},
    overage::Overage,
    paid::BillingAccount,
    payment::Provider,
    period::Period,
    plan::{Plan, UNVERIFIED_STORAGE},
    plan_call::PlanCall,
    plan_edit::{ManagedPlan, PlanVersion},
    product::Product,
    product_edit::ProductPrice,
    purchase::Purchase,
    refund::PurchaseRefund,
    site_sale::{FoundSale, SiteSale, SiteSaleFilter},
    subscription::Subscription,
    thresholds::Notice,
};

pub use finance::*;

/// The catalogue of plans.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait PlanRepository: Send {
    /// Stores version 1 of a new plan, which is the current one. MUST answer `Conflict` when there is a plan of this id, a retired one
    /// included, also under concurrency.
    async fn insert(&mut self, plan: &Plan) -> Result<(), StoreError>;

    /// Stores a version of a plan, or replaces the one of this number, and makes it the current one. MUST leave every other version as
    /// it is, but for no longer being current.
    async fn upsert(&mut self, plan: &Plan) -> Result<(), StoreError>;

    /// The plans on offer for everybody by position: current versions that are public and not retired.
    async fn list(&mut self) -> Result<Vec<Plan>, StoreError>;

    /// The ids of all plans, retired ones included.
    async fn ids(&mut self) -> Result<Vec<String>, StoreError>;

    /// The current version of a plan, public or not. `None` for one that is retired.
    async fn current<'s>(&mut self, id: &'s str) -> Result<Option<Plan>, StoreError>;

    /// One page of the current versions of all plans by position, with the number of tenants on each plan.
    async fn managed(&mut self, page: PageRequest) -> Result<List<ManagedPlan>, StoreError>;

    /// The current version of one plan, as [`PlanRepository::managed`] has it.
    async fn find<'s>(&mut self, id: &'s str) -> Result<Option<ManagedPlan>, StoreError>;

    /// The same, and keeps others from changing the plan until the unit of work ends. MUST wait for another unit of work that has
    /// locked the plan, and answer what that has stored.
    async fn lock<'s>(&mut self, id: &'s str) -> Result<Option<ManagedPlan>, StoreError>;

    /// The versions of a plan with the number of tenants on each, the newest first; at most `limit`.
    async fn versions<'s>(&mut self, id: &'s str, limit: u64) -> Result<Vec<PlanVersion>, StoreError>;

    /// Takes a plan off the offer for good. MUST leave the subscriptions to it as they are.
    async fn retire<'s>(&mut self, id: &'s str, at: Timestamp) -> Result<(), StoreError>;
}

/// Subscriptions.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait SubscriptionRepository: Send {
    /// Stores the subscription of a new tenant, whose first billing period begins with it. MUST answer `MissingReference` for a version of a plan that does not exist.
    async fn insert(&mut self, subscription: &Subscription) -> Result<(), StoreError>;

    /// The same with the current version of its plan, whichever version it names; answers that version. `None`, and nothing is
    /// stored, where there is no such plan.
    async fn insert_current(&mut self, subscription: &Subscription) -> Result<Option<i32>, StoreError>;

    /// The subscription of a tenant.
    async fn find(&mut self, tenant: TenantId) -> Result<Option<Subscription>, StoreError>;

    /// The same with what its tenant has at the payment provider, in one statement.
    async fn with_account(
        &mut self,
        tenant: TenantId,
    ) -> Result<Option<(Subscription, Option<BillingAccount>)>, StoreError>;

    /// The subscription of a tenant that is not deleted, locked until the unit of work ends.
    async fn lock(&mut self, tenant: TenantId) -> Result<Option<Subscription>, StoreError>;

    /// Stores plan, version, status and time of the last change. MUST answer `MissingReference` for a version of a plan that does not
    /// exist.
    async fn update(&mut self, subscription: &Subscription) -> Result<(), StoreError>;

    /// Puts every tenant that is on an earlier version of the plan on this one, at the time `now`, and answers their subscriptions as
    /// they were. MUST answer those that were moved and no others, also under concurrency.
    async fn move_to<'s>(
        &mut self,
        plan: &'s str,
        version: i32,
        now: Timestamp,
    ) -> Result<Vec<Subscription>, StoreError>;

    /// The plan in force for the tenant in the version that it has bought, and what was agreed with it instead, in one statement.
    async fn allowance(&mut self, tenant: TenantId) -> Result<Option<Allowance>, StoreError>;

    /// Stores until when the bandwidth of the tenant is used up. MUST be told by the look-up of the site at a host name, too.
    async fn set_bandwidth_spent(
        &mut self,
        tenant: TenantId,
        until: Option<Timestamp>,
    ) -> Result<(), StoreError>;

    /// Stores whether the tenant has more sites than its limit, provided that what is stored is `before`, and answers whether it was. MUST
    /// answer `true` to one unit of work only, also under concurrency.
    async fn set_overage(
        &mut self,
        tenant: TenantId,
        before: Option<Overage>,
        after: Option<Overage>,
    ) -> Result<bool, StoreError>;

    /// Tenants of which that is stored, or that have sites which are read-only for it, in the order of their ids, those after one; at most
    /// `limit`.
    async fn over_limit(&mut self, after: Option<TenantId>, limit: u64) -> Result<Vec<TenantId>, StoreError>;

    /// Stores what was agreed with the tenant. MUST hold for [`MeterRepository::storage`], and for what callers and API keys of
    /// the tenant are looked up with, too.
    async fn set_overrides(&mut self, tenant: TenantId, overrides: &Overrides) -> Result<(), StoreError>;
}

/// What a tenant stores and what it may store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StorageRoom {
    /// Bytes of files that are stored: what [`MeterRepository::add`] has counted.
    pub files: u64,
    /// Bytes of texts that are stored, which the store counts by itself.
    pub texts: u64,
    /// Bytes that the plan in force includes, or that were agreed on instead; `None` is no limit. Zero without a plan.
    pub limit: Option<u64>,
    /// Whether an owner of the tenant has verified their address.
    pub verified: bool,
}

impl StorageRoom {
    /// Bytes that are stored.
    pub const fn used(&self) -> u64 {
        self.files.saturating_add(self.texts)
    }

    /// Bytes that are left, by the plan and as long as no address is verified.
    pub fn left(&self) -> u64 {
        let most = if self.verified { u64::MAX } else { UNVERIFIED_STORAGE };
        self.limit.unwrap_or(u64::MAX).min(most).saturating_sub(self.used())
    }
}

/// What a tenant has of a meter whose rows are the count, and what it may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowCount {
    /// Rows that there are.
    pub used: u64,
    /// What the plan in force includes, or what was agreed on instead; `None` is no limit.
    pub limit: Option<u64>,
}

/// Counters of what tenants use.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait MeterRepository: Send {
    /// Adds `amount` and answers `true`, unless that would go past `limit`: then changes nothing and answers `false`. MUST
    /// hold under concurrency: units of work that commit never overshoot together. `None` is no limit.
    async fn add(
        &mut self,
        tenant: TenantId,
        meter: Meter,
        period: Period,
        amount: u64,
        limit: Option<u64>,
    ) -> Result<bool, StoreError>;

    /// The same, and counts `amount` on the day, too, in one statement. MUST leave the day as it is where it answers `false`.
    async fn add_on_day(
        &mut self,
        tenant: TenantId,
        meter: Meter,
        period: Period,
        day: Date,
        amount: u64,
        limit: Option<u64>,
    ) -> Result<bool, StoreError>;

    /// Subtracts `amount`, down to zero.
    async fn subtract(
        &mut self,
        tenant: TenantId,
        meter: Meter,
        period: Period,
        amount: u64,
    ) -> Result<(), StoreError>;

    /// The same, in the period and on the day.
    async fn subtract_on_day(
        &mut self,
        tenant: TenantId,
        meter: Meter,
        period: Period,
        day: Date,
        amount: u64,
    ) -> Result<(), StoreError>;

    /// What the tenant stores and may store, including what the unit of work has stored itself. One statement while `margin`
    /// bytes are left: every change of a page asks. Where less is left, MUST wait for each other unit of work that has got such
    /// an answer about the tenant, until that ends, and count what it has stored: so no two get past the limit together.
    async fn storage(&mut self, tenant: TenantId, margin: u64) -> Result<StorageRoom, StoreError>;

    /// What the tenant has of a meter that [counts rows](Meter::counts_rows), including what the unit of work has added itself, and
    /// what it may have, in one statement; `None` without a plan in force. Only members whose account is not deleted are counted, and
    /// only keys that are not revoked. Does not wait for others: whoever adds a row holds the row of the tenant.
    async fn rows(&mut self, tenant: TenantId, meter: Meter) -> Result<Option<RowCount>, StoreError>;

    /// What was added in the period, without texts in the case of storage; for bandwidth, the bytes that the sites of the tenant
    /// sent in it, which the store counts by itself. MUST keep periods apart; a day belongs to the
    /// billing period that begins on it.
    async fn used(&mut self, tenant: TenantId, meter: Meter, period: Period) -> Result<u64, StoreError>;

    /// What was used of each of these meters in its period, in their order; storage with its texts. In one statement.
    async fn used_of_all(
        &mut self,
        tenant: TenantId,
        meters: &[(Meter, Period)],
    ) -> Result<Vec<u64>, StoreError>;

    /// What is known of the days from the first to the last, in any order: what was added on a day of a meter that counts by periods,
    /// and what there was at its end of another one. MUST leave out days on which nothing was added, and days of the others on which
    /// [`MeterRepository::record_day`] recorded no change; MUST answer the last record of each up to the first day with the first day.
    async fn days(
        &mut self,
        tenant: TenantId,
        from: Date,
        to: Date,
    ) -> Result<Vec<(Date, Meter, u64)>, StoreError>;

    /// Records for every tenant what there is now of each meter that does not count by periods as what there was at the end of this
    /// day, where it differs from what was recorded last or is the first record. MUST do it once for a day, also under concurrency;
    /// answers whether it was done now.
    async fn record_day(&mut self, day: Date) -> Result<bool, StoreError>;

    /// The thresholds that the tenant has been told about, see [`crate::thresholds`].
    async fn notices(&mut self, tenant: TenantId) -> Result<Vec<Notice>, StoreError>;

    /// Stores that the tenant is told about a threshold, instead of an earlier period; answers whether it was not yet told in this period.
    /// MUST answer `true` to one unit of work only, also under concurrency.
    async fn note(&mut self, tenant: TenantId, notice: &Notice) -> Result<bool, StoreError>;

    /// Forgets such a notice of this meter, threshold and period.
    async fn forget_notice(&mut self, tenant: TenantId, notice: &Notice) -> Result<(), StoreError>;
}

/// Uses of the text generator that are under way, and the tokens of all tenants together.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait GenerationRepository: Send {
    /// Stores a reservation. MUST answer `Conflict` when the tenant has one of this id, also under concurrency.
    async fn insert(&mut self, reservation: &Reservation) -> Result<(), StoreError>;

    /// The reservation.
    async fn find(&mut self, tenant: TenantId, id: GenerationId) -> Result<Option<Reservation>, StoreError>;

    /// Deletes the reservation and answers it. MUST give it to one unit of work only, also under concurrency.
    async fn take(&mut self, tenant: TenantId, id: GenerationId) -> Result<Option<Reservation>, StoreError>;

    /// Deletes those of the tenant that expire before `now`, and answers them. MUST give each to one unit of work only.
    async fn take_expired(
        &mut self,
        tenant: TenantId,
        now: Timestamp,
    ) -> Result<Vec<Reservation>, StoreError>;

    /// Adds tokens to what all tenants used up in the period and answers `true`, unless that would go past `limit`: then changes
    /// nothing and answers `false`. MUST hold under concurrency.
    async fn spend(&mut self, period: Period, tokens: u64, limit: Option<u64>) -> Result<bool, StoreError>;

    /// Subtracts tokens, down to zero.
    async fn unspend(&mut self, period: Period, tokens: u64) -> Result<(), StoreError>;

    /// Tokens that all tenants used up in the period.
    async fn spent(&mut self, period: Period) -> Result<u64, StoreError>;
}

/// The catalogue of products.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait ProductRepository: Send {
    /// Stores a product unless there is one of this id, and answers whether it did. MUST leave one that is there as it is.
    async fn insert_missing(&mut self, product: &Product, now: Timestamp) -> Result<bool, StoreError>;

    /// Stores a new product. MUST answer `Conflict` when there is one of this id, also under concurrency.
    async fn insert(&mut self, product: &Product, now: Timestamp) -> Result<(), StoreError>;

    /// Those of these products that are on sale, by their ids.
    async fn active(&mut self, ids: &[String]) -> Result<Vec<Product>, StoreError>;

    /// One page of the products on sale, in the order in which they were made.
    async fn on_sale(&mut self, page: PageRequest) -> Result<List<Product>, StoreError>;

    /// One page of all products, in the order in which they were made.
    async fn managed(&mut self, page: PageRequest) -> Result<List<Product>, StoreError>;

    /// A product, also one that is not on sale.
    async fn find<'s>(&mut self, id: &'s str) -> Result<Option<Product>, StoreError>;

    /// The same, and keeps others from changing it until the unit of work ends. MUST wait for another unit of work that has locked it, and
    /// answer what that has stored.
    async fn lock<'s>(&mut self, id: &'s str) -> Result<Option<Product>, StoreError>;

    /// The prices that a product has and had, the newest first; at most `limit`.
    async fn prices<'s>(&mut self, id: &'s str, limit: u64) -> Result<Vec<ProductPrice>, StoreError>;

    /// Stores name, description, whether it is on sale, and its prices: a price that it no longer has MUST end at `now`, one that it did not
    /// have MUST be the next version in its currency, and one that it keeps MUST stay as it is.
    async fn update(&mut self, product: &Product, now: Timestamp) -> Result<(), StoreError>;
}

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
    /// locked it, and answer what that has stored.
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

/// Sales of sites.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait SiteSaleRepository: Send {
    /// Stores a new sale. MUST answer `Conflict` while another sale of the site is pending, paid or waiting, also under concurrency.
    async fn insert(&mut self, sale: &SiteSale) -> Result<(), StoreError>;

    /// A sale. MUST answer `None` for one of another tenant.
    async fn find(&mut self, tenant: TenantId, id: PurchaseId) -> Result<Option<SiteSale>, StoreError>;

    /// The same, and keeps others from changing it until the unit of work ends. MUST wait for another unit of work that has locked it, and
    /// answer what that has stored.
    async fn lock(&mut self, tenant: TenantId, id: PurchaseId) -> Result<Option<SiteSale>, StoreError>;

    /// Stores status, address, name and account of the buyer, time of payment, and of the checkout all that
    /// [`CheckoutRepository::update`] stores. MUST leave all else as it is.
    async fn update(&mut self, sale: &SiteSale) -> Result<(), StoreError>;

    /// The tenant whose sale has this id.
    async fn tenant_of(&mut self, id: PurchaseId) -> Result<Option<TenantId>, StoreError>;

    /// One page of the sales of a tenant that sells, newest first.
    async fn list(&mut self, tenant: TenantId, page: PageRequest) -> Result<List<SiteSale>, StoreError>;

    /// One page of the sales of all tenants that a filter lets through, newest first: for staff.
    async fn managed(
        &mut self,
        filter: &SiteSaleFilter,
        page: PageRequest,
    ) -> Result<List<FoundSale>, StoreError>;

    /// Whether a site at this slug was paid and not given back, by anybody, in any tenant.
    async fn sold_at<'s>(&mut self, slug: &'s str) -> Result<bool, StoreError>;

    /// Sales of all tenants about whose payments the provider is to be asked by `now`, those first that have waited longest; at most
    /// `limit`.
    async fn due(&mut self, now: Timestamp, limit: u64) -> Result<Vec<SiteSale>, StoreError>;
}

/// Tenants at their payment providers.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait AccountRepository: Send {
    /// Stores the account of a tenant unless it has one, and answers whether it did.
    async fn insert_missing(&mut self, account: &BillingAccount) -> Result<bool, StoreError>;

    /// The account of a tenant.
    async fn find(&mut self, tenant: TenantId) -> Result<Option<BillingAccount>, StoreError>;

    /// The same, and keeps others from changing it until the unit of work ends. MUST wait for another unit of work that has locked it, and
    /// answer what that has stored.
    async fn lock(&mut self, tenant: TenantId) -> Result<Option<BillingAccount>, StoreError>;

    /// The tenant that the provider knows by this id.
    async fn of_customer<'s>(
        &mut self,
        provider: Provider,
        customer: &'s str,
    ) -> Result<Option<TenantId>, StoreError>;

    /// Stores everything but provider, mode and time of creation. MUST answer `Conflict` when another account has the customer.
    async fn update(&mut self, account: &BillingAccount) -> Result<(), StoreError>;

    /// Accounts of all tenants about which the provider is to be asked by `now`, those first that have waited longest; at most `limit`.
    async fn due(&mut self, now: Timestamp, limit: u64) -> Result<Vec<BillingAccount>, StoreError>;
}

/// Calls to providers of subscriptions.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait PlanCallRepository: Send {
    /// Stores a new call. MUST answer `Conflict` when one of the tenant is under way, also under concurrency.
    async fn insert(&mut self, call: &PlanCall) -> Result<(), StoreError>;

    /// The call of the tenant that has not ended.
    async fn under_way(&mut self, tenant: TenantId) -> Result<Option<PlanCall>, StoreError>;

    /// Stores stage, session, page, end and next check. MUST leave all else as it is: the call is to be the same at every try.
    async fn update(&mut self, call: &PlanCall) -> Result<(), StoreError>;

    /// Calls of all tenants that are to be looked after by `now`, those first that have waited longest; at most `limit`.
    async fn due(&mut self, now: Timestamp, limit: u64) -> Result<Vec<PlanCall>, StoreError>;
}

/// Invoices.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait InvoiceRepository: Send {
    /// One page of the invoices of a tenant, newest first.
    async fn list(&mut self, tenant: TenantId, page: PageRequest) -> Result<List<Invoice>, StoreError>;

    /// An invoice. MUST answer `None` for one of another tenant.
    async fn find(&mut self, tenant: TenantId, id: InvoiceId) -> Result<Option<Invoice>, StoreError>;

    /// Those of the tenant that the provider knows by these ids, in any order.
    async fn of_provider(
        &mut self,
        tenant: TenantId,
        provider: Provider,
        ids: &[String],
    ) -> Result<Vec<Invoice>, StoreError>;

    /// Stores an invoice, or replaces the one of this id. MUST answer `Conflict` when another one of the tenant has the provider's id. MUST
    /// leave who sold it as it is.
    async fn upsert(&mut self, invoice: &Invoice) -> Result<(), StoreError>;

    /// The next number of a series: 1, 2, 3 and so on. MUST NOT answer the same to two units of work that commit, and MUST leave no gap
    /// where one does not: whoever asks waits for another unit of work that has asked.
    async fn next_number<'s>(&mut self, series: &'s str) -> Result<u64, StoreError>;
}

/// Events of payment providers.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait InboundEventRepository: Send {
    /// Stores an event unless the provider has sent it before, and answers whether it did. MUST answer `true` to one unit of work only, also
    /// under concurrency.
    async fn insert(&mut self, event: &StoredEvent) -> Result<bool, StoreError>;

    /// An event.
    async fn find<'s>(&mut self, provider: Provider, id: &'s str) -> Result<Option<StoredEvent>, StoreError>;

    /// Notes what became of an event.
    async fn set_status<'s>(
        &mut self,
        provider: Provider,
        id: &'s str,
        status: InboundStatus,
    ) -> Result<(), StoreError>;
}

/// Refunds of purchases, or of sales of sites.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait RefundRepository: Send {
    /// Stores a refund; of one that is there the provider's id, amount, status and last change. MUST answer `Conflict` when another refund
    /// of the tenant has the provider's id, and `MissingReference` for a purchase of another tenant.
    async fn store(&mut self, refund: &PurchaseRefund) -> Result<(), StoreError>;

    /// The refunds of a purchase, the oldest first. MUST answer none for a purchase of another tenant.
    async fn of_purchase(
        &mut self,
        tenant: TenantId,
        purchase: PurchaseId,
    ) -> Result<Vec<PurchaseRefund>, StoreError>;
}

/// Disputes about payments of purchases.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait DisputeRepository: Send {
    /// Stores a dispute; of one that is there status, time to answer and last change. MUST answer `Conflict` when another dispute of the
    /// tenant has the provider's id, and `MissingReference` for a purchase of another tenant.
    async fn store(&mut self, dispute: &PurchaseDispute) -> Result<(), StoreError>;

    /// The disputes about a purchase, the oldest first. MUST answer none for a purchase of another tenant.
    async fn of_purchase(
        &mut self,
        tenant: TenantId,
        purchase: PurchaseId,
    ) -> Result<Vec<PurchaseDispute>, StoreError>;
}

/// The ledger. Entries are stored with their subjects.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait LedgerRepository: Send {
    /// Appends a transaction of a tenant. MUST answer `Conflict`, and store nothing of it, when the tenant has one of this source, also under
    /// concurrency.
    async fn book(&mut self, tenant: TenantId, transaction: &LedgerTransaction) -> Result<(), StoreError>;

    /// Appends a transaction of a tenant unless it has one of this source, and answers whether it did. MUST answer `true` to one unit of
    /// work only, also under concurrency, and leave what is there as it is.
    async fn book_missing(
        &mut self,
        tenant: TenantId,
        transaction: &LedgerTransaction,
    ) -> Result<bool, StoreError>;

    /// Entries of all tenants in the order of their keys, those after a key; at most `limit`.
    async fn entries(&mut self, after: Option<EntryKey>, limit: u64) -> Result<Vec<LedgerEntry>, StoreError>;

    /// Purchases of all tenants in the order of tenant and id, those after one, each with what the ledger has about it; at most
    /// `limit`. What was paid in the other mode than `live` says is left out, and entries of that mode are not counted. MUST
    /// answer of each purchase what was so at one moment.
    async fn purchases(
        &mut self,
        live: bool,
        after: Option<(TenantId, PurchaseId)>,
        limit: u64,
    ) -> Result<Vec<BookedPurchase>, StoreError>;

    /// The same of invoices for plans. MUST leave out those of purchases.
    async fn invoices(
        &mut self,
        live: bool,
        after: Option<(TenantId, InvoiceId)>,
        limit: u64,
    ) -> Result<Vec<BookedInvoice>, StoreError>;

    /// The same of sales of sites.
    async fn sales(
        &mut self,
        live: bool,
        after: Option<(TenantId, PurchaseId)>,
        limit: u64,
    ) -> Result<Vec<BookedSale>, StoreError>;
}

/// The repositories of billing, over one unit of work.
pub trait BillingRepositories: Outbox {
    /// The catalogue of plans.
    fn plans<'c>(&'c mut self) -> Box<dyn PlanRepository + 'c>;
    /// Subscriptions.
    fn subscriptions<'c>(&'c mut self) -> Box<dyn SubscriptionRepository + 'c>;
    /// Uses of the text generator.
    fn generations<'c>(&'c mut self) -> Box<dyn GenerationRepository + 'c>;
    /// Counters.
    fn meters<'c>(&'c mut self) -> Box<dyn MeterRepository + 'c>;
    /// The catalogue of products.
    fn products<'c>(&'c mut self) -> Box<dyn ProductRepository + 'c>;
    /// Purchases.
    fn purchases<'c>(&'c mut self) -> Box<dyn PurchaseRepository + 'c>;
    /// Coupons.
    fn coupons<'c>(&'c mut self) -> Box<dyn CouponRepository + 'c>;
    /// Payments of purchases.
    fn checkouts<'c>(&'c mut self) -> Box<dyn CheckoutRepository + 'c>;
    /// Sales of sites.
    fn site_sales<'c>(&'c mut self) -> Box<dyn SiteSaleRepository + 'c>;
    /// Refunds of sales of sites.
    fn site_refunds<'c>(&'c mut self) -> Box<dyn RefundRepository + 'c>;
    /// Refunds of purchases.
    fn refunds<'c>(&'c mut self) -> Box<dyn RefundRepository + 'c>;
    /// Disputes about purchases.
    fn disputes<'c>(&'c mut self) -> Box<dyn DisputeRepository + 'c>;
    /// Tenants at their payment providers.
    fn accounts<'c>(&'c mut self) -> Box<dyn AccountRepository + 'c>;
    /// Calls to providers of subscriptions.
    fn plan_calls<'c>(&'c mut self) -> Box<dyn PlanCallRepository + 'c>;
    /// Invoices.
    fn invoices<'c>(&'c mut self) -> Box<dyn InvoiceRepository + 'c>;
    /// Events of payment providers.
    fn inbound_events<'c>(&'c mut self) -> Box<dyn InboundEventRepository + 'c>;
    /// The ledger.
    fn ledger<'c>(&'c mut self) -> Box<dyn LedgerRepository + 'c>;
    /// What the financial report is made of.
    fn finance<'c>(&'c mut self) -> Box<dyn FinanceRepository + 'c>;
}
