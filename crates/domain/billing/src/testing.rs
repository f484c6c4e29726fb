//! What the unit tests of this crate share.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard},
};

use async_trait::async_trait;
use portico_kernel::{
    CheckoutId, CouponId, Env, Event, EventLog, JobQueue, List, Money, NewJob, Outbox, PageRequest,
    PlanChangeId, PurchaseId, StoreError, TenantId, Timestamp,
};

use crate::{
    checkout::{CheckoutStage, PurchaseCheckout},
    coupon::Coupon,
    dispute::PurchaseDispute,
    finance::PricedVersion,
    inbound::{FoundEvent, InboundStatus, StoredEvent},
    invoice::Invoice,
    ledger::{LedgerEntry, LedgerTransaction},
    limits::{Allowance, Overrides},
    paid::BillingAccount,
    payment::Provider,
    plan::Plan,
    plan_call::PlanCall,
    ports::{
        AccountRepository, BillingRepositories, CheckoutRepository, CouponRepository, DisputeRepository,
        FinanceRepository, GenerationRepository, InvoiceRepository, LedgerRepository, MeterRepository,
        MockGenerationRepository, MockMeterRepository, MockPlanRepository, MockSubscriptionRepository,
        PaymentInbox, PlanCallRepository, PlanRepository, ProductRepository, PurchaseRepository,
        RefundRepository, SiteSaleRepository, SubscriptionRepository,
    },
    product::Product,
    product_edit::ProductPrice,
    purchase::{Purchase, PurchaseItem, pending},
    recurring::RecurringChange,
    refund::PurchaseRefund,
    site_sale::{SiteSale, SiteSaleStatus},
};

mod coupons;
mod ledger;
mod reversals;
mod site_sales;
mod subscriptions;

pub use portico_kernel::testing::env;

/// A plan that began a second before [`env`], and nothing that was agreed on instead.
pub fn allowance(plan: Plan) -> Allowance {
    let period_anchor = Timestamp::from_unix_seconds(1_789_999_999).unwrap();
    Allowance {
        plan,
        overrides: Overrides::default(),
        period_anchor,
        bandwidth_spent_until: None,
        overage: None,
    }
}

/// Returns the mocks in the order in which they were put in; a mock too few panics, and each checks its expectations when
/// dropped.
#[derive(Default)]
pub struct Repositories {
    pub plans: VecDeque<MockPlanRepository>,
    pub subscriptions: VecDeque<MockSubscriptionRepository>,
    pub meters: VecDeque<MockMeterRepository>,
    pub generations: VecDeque<MockGenerationRepository>,
    pub shop: Shop,
    events: Arc<Mutex<Vec<Event>>>,
}

impl Repositories {
    /// The events appended so far.
    pub fn events(&self) -> Vec<Event> {
        self.events.lock().unwrap().clone()
    }
}

struct Recorder(Arc<Mutex<Vec<Event>>>);

#[async_trait]
impl EventLog for Recorder {
    async fn append(&mut self, event: Event) -> Result<(), StoreError> {
        self.0.lock().unwrap().push(event);
        Ok(())
    }
}

impl Outbox for Repositories {
    fn events<'c>(&'c mut self) -> Box<dyn EventLog + 'c> {
        Box::new(Recorder(self.events.clone()))
    }
    fn jobs<'c>(&'c mut self) -> Box<dyn JobQueue + 'c> {
        Box::new(self.shop.clone())
    }
}

impl BillingRepositories for Repositories {
    fn plans<'c>(&'c mut self) -> Box<dyn PlanRepository + 'c> {
        Box::new(self.plans.pop_front().unwrap())
    }
    fn subscriptions<'c>(&'c mut self) -> Box<dyn SubscriptionRepository + 'c> {
        Box::new(self.subscriptions.pop_front().unwrap())
    }
    fn generations<'c>(&'c mut self) -> Box<dyn GenerationRepository + 'c> {
        Box::new(self.generations.pop_front().unwrap())
    }
    fn meters<'c>(&'c mut self) -> Box<dyn MeterRepository + 'c> {
        Box::new(self.meters.pop_front().unwrap())
    }
    fn products<'c>(&'c mut self) -> Box<dyn ProductRepository + 'c> {
        Box::new(self.shop.clone())
    }
    fn purchases<'c>(&'c mut self) -> Box<dyn PurchaseRepository + 'c> {
        Box::new(self.shop.clone())
    }
    fn coupons<'c>(&'c mut self) -> Box<dyn CouponRepository + 'c> {
        Box::new(self.shop.clone())
    }
    fn checkouts<'c>(&'c mut self) -> Box<dyn CheckoutRepository + 'c> {
        Box::new(self.shop.clone())
    }
    fn site_sales<'c>(&'c mut self) -> Box<dyn SiteSaleRepository + 'c> {
        Box::new(self.shop.clone())
    }
    fn site_refunds<'c>(&'c mut self) -> Box<dyn RefundRepository + 'c> {
        Box::new(reversals::SiteRefunds(self.shop.clone()))
    }
    fn refunds<'c>(&'c mut self) -> Box<dyn RefundRepository + 'c> {
        Box::new(self.shop.clone())
    }
    fn disputes<'c>(&'c mut self) -> Box<dyn DisputeRepository + 'c> {
        Box::new(self.shop.clone())
    }
    fn accounts<'c>(&'c mut self) -> Box<dyn AccountRepository + 'c> {
        Box::new(self.shop.clone())
    }
    fn plan_calls<'c>(&'c mut self) -> Box<dyn PlanCallRepository + 'c> {
        Box::new(self.shop.clone())
    }
    fn invoices<'c>(&'c mut self) -> Box<dyn InvoiceRepository + 'c> {
        Box::new(self.shop.clone())
    }
    fn ledger<'c>(&'c mut self) -> Box<dyn LedgerRepository + 'c> {
        Box::new(self.shop.clone())
    }
    fn finance<'c>(&'c mut self) -> Box<dyn FinanceRepository + 'c> {
        Box::new(self.shop.clone())
    }
}

/// A purchase of one base product, not paid yet.
pub fn purchase(env: &Env, tenant: TenantId) -> Purchase {
    let item = PurchaseItem {
        product_type: "base_product".to_owned(),
        description: "Base Software License".to_owned(),
        amount: 35900,
        quantity: 1,
        discount: 0,
    };
    let price = Money { amount: 35900, currency: "usd".to_owned() };
    pending(env, tenant, env.new_id(), vec![item], price, None)
}

/// A sale of a site whose payment has an id, not stored yet.
pub fn sale(env: &Env, tenant: TenantId) -> SiteSale {
    let id: PurchaseId = env.new_id();
    SiteSale {
        id,
        tenant_id: tenant,
        site_id: env.new_id(),
        site_name: "Panadería Luz".to_owned(),
        slug: "luz".to_owned(),
        buyer_email: String::new(),
        buyer_name: String::new(),
        buyer: None,
        amount: 150_000,
        currency: "gtq".to_owned(),
        status: SiteSaleStatus::Paid,
        created_at: env.now(),
        paid_at: None,
        returns_site: false,
        checkout: PurchaseCheckout {
            id: CheckoutId::from_uuid(id.uuid()),
            tenant_id: tenant,
            purchase_id: id,
            provider: Provider::Recurrente,
            live: false,
            stage: CheckoutStage::Paid,
            session_id: Some("ch_1".to_owned()),
            url: None,
            payment_id: Some("ch_1".to_owned()),
            success_url: String::new(),
            cancel_url: String::new(),
            created_at: env.now(),
            expires_at: env.now(),
            check_at: None,
        },
    }
}

/// What the tests of purchases store, in memory: what is done with it takes several steps, which mocks would have to repeat.
#[derive(Default)]
pub struct Rows {
    pub products: Vec<Product>,
    pub prices: Vec<(String, ProductPrice)>,
    pub purchases: Vec<Purchase>,
    pub coupons: Vec<Coupon>,
    /// The purchases that use a coupon.
    pub redemptions: Vec<(TenantId, PurchaseId, CouponId)>,
    /// The calls for plans that use a coupon.
    pub plan_redemptions: Vec<(TenantId, PlanChangeId, CouponId)>,
    pub checkouts: Vec<PurchaseCheckout>,
    pub sales: Vec<SiteSale>,
    pub refunds: Vec<PurchaseRefund>,
    pub site_refunds: Vec<PurchaseRefund>,
    pub disputes: Vec<PurchaseDispute>,
    pub accounts: Vec<BillingAccount>,
    pub calls: Vec<PlanCall>,
    pub invoices: Vec<Invoice>,
    pub inbound: Vec<StoredEvent>,
    pub booked: Vec<(TenantId, LedgerTransaction)>,
    /// Entries besides those of what is booked: spoilt ones.
    pub entries: Vec<LedgerEntry>,
    pub changes: Vec<RecurringChange>,
    pub plan_prices: Vec<PricedVersion>,
    pub jobs: Vec<NewJob>,
    /// The coupons that were locked by their ids, in the order in which they were.
    pub locked_coupons: Vec<CouponId>,
}

impl Rows {
    /// Ends the prices that a product no longer has, and adds those that it did not have.
    fn set_prices(&mut self, product: &Product, now: Timestamp) {
        let current = |row: &&mut (String, ProductPrice)| row.0 == product.id && row.1.replaced_at.is_none();
        for (_, stored) in self.prices.iter_mut().filter(current) {
            if !product.prices.contains(&stored.price) {
                stored.replaced_at = Some(now);
            }
        }
        for price in &product.prices {
            let of: Vec<&ProductPrice> = self
                .prices
                .iter()
                .filter(|(id, stored)| *id == product.id && stored.price.currency == price.currency)
                .map(|(_, stored)| stored)
                .collect();
            if of.iter().all(|stored| stored.replaced_at.is_some()) {
                let version = of.len() as u32 + 1;
                let added =
                    ProductPrice { version, price: price.clone(), created_at: now, replaced_at: None };
                self.prices.push((product.id.clone(), added));
            }
        }
    }
}

/// Repositories of purchases over the same rows.
#[derive(Clone, Default)]
pub struct Shop(Arc<Mutex<Rows>>);

impl Shop {
    pub fn rows(&self) -> MutexGuard<'_, Rows> {
        self.0.lock().unwrap()
    }
}

#[async_trait]
impl JobQueue for Shop {
    async fn enqueue(&mut self, job: NewJob) -> Result<(), StoreError> {
        self.rows().jobs.push(job);
        Ok(())
    }
}

#[async_trait]
impl ProductRepository for Shop {
    async fn insert_missing(&mut self, product: &Product, now: Timestamp) -> Result<bool, StoreError> {
        let mut rows = self.rows();
        let missing = rows.products.iter().all(|stored| stored.id != product.id);
        if missing {
            rows.products.push(product.clone());
            rows.set_prices(product, now);
        }
        Ok(missing)
    }

    async fn insert(&mut self, product: &Product, now: Timestamp) -> Result<(), StoreError> {
        match ProductRepository::insert_missing(self, product, now).await? {
            true => Ok(()),
            false => Err(StoreError::Conflict("products_pkey".to_owned())),
        }
    }

    async fn active(&mut self, ids: &[String]) -> Result<Vec<Product>, StoreError> {
        let rows = self.rows();
        let active = rows.products.iter().filter(|product| product.is_active && ids.contains(&product.id));
        Ok(active.cloned().collect())
    }

    async fn on_sale(&mut self, page: PageRequest) -> Result<List<Product>, StoreError> {
        let rows = self.rows();
        let items: Vec<Product> = rows.products.iter().filter(|product| product.is_active).cloned().collect();
        let total = items.len() as u64;
        Ok(List::new(items, page, total))
    }

    async fn managed(&mut self, page: PageRequest) -> Result<List<Product>, StoreError> {
        let items = self.rows().products.clone();
        let total = items.len() as u64;
        Ok(List::new(items, page, total))
    }

    async fn find<'s>(&mut self, id: &'s str) -> Result<Option<Product>, StoreError> {
        Ok(self.rows().products.iter().find(|product| product.id == id).cloned())
    }

    async fn lock<'s>(&mut self, id: &'s str) -> Result<Option<Product>, StoreError> {
        ProductRepository::find(self, id).await
    }

    async fn prices<'s>(&mut self, id: &'s str, _: u64) -> Result<Vec<ProductPrice>, StoreError> {
        let rows = self.rows();
        let of = rows.prices.iter().rev().filter(|(product, _)| product == id);
        Ok(of.map(|(_, price)| price.clone()).collect())
    }

    async fn update(&mut self, product: &Product, now: Timestamp) -> Result<(), StoreError> {
        let mut rows = self.rows();
        let stored = rows.products.iter_mut().find(|stored| stored.id == product.id).unwrap();
        *stored = product.clone();
        rows.set_prices(product, now);
        Ok(())
    }
}

#[async_trait]
impl PurchaseRepository for Shop {
    async fn insert(&mut self, purchase: &Purchase) -> Result<(), StoreError> {
        self.rows().purchases.push(purchase.clone());
        Ok(())
    }

    async fn list(&mut self, tenant: TenantId, page: PageRequest) -> Result<List<Purchase>, StoreError> {
        let rows = self.rows();
        let items: Vec<Purchase> =
            rows.purchases.iter().filter(|purchase| purchase.tenant_id == tenant).cloned().collect();
        let total = items.len() as u64;
        Ok(List::new(items, page, total))
    }

    async fn find(&mut self, tenant: TenantId, id: PurchaseId) -> Result<Option<Purchase>, StoreError> {
        let rows = self.rows();
        let found = rows.purchases.iter().find(|purchase| (purchase.tenant_id, purchase.id) == (tenant, id));
        Ok(found.cloned())
    }

    async fn lock(&mut self, tenant: TenantId, id: PurchaseId) -> Result<Option<Purchase>, StoreError> {
        PurchaseRepository::find(self, tenant, id).await
    }

    async fn update(&mut self, purchase: &Purchase) -> Result<(), StoreError> {
        let mut rows = self.rows();
        let stored = rows.purchases.iter_mut().find(|stored| stored.id == purchase.id).unwrap();
        *stored = purchase.clone();
        Ok(())
    }
}

#[async_trait]
impl CheckoutRepository for Shop {
    async fn insert(&mut self, checkout: &PurchaseCheckout) -> Result<(), StoreError> {
        self.rows().checkouts.push(checkout.clone());
        Ok(())
    }

    async fn find(
        &mut self,
        tenant: TenantId,
        id: CheckoutId,
    ) -> Result<Option<PurchaseCheckout>, StoreError> {
        let rows = self.rows();
        let found = rows.checkouts.iter().find(|checkout| (checkout.tenant_id, checkout.id) == (tenant, id));
        Ok(found.cloned())
    }

    async fn of_session<'s>(
        &mut self,
        tenant: TenantId,
        _: Provider,
        session: &'s str,
    ) -> Result<Option<PurchaseCheckout>, StoreError> {
        let rows = self.rows();
        let found = rows
            .checkouts
            .iter()
            .find(|checkout| checkout.tenant_id == tenant && checkout.session_id.as_deref() == Some(session));
        Ok(found.cloned())
    }

    async fn paid(
        &mut self,
        tenant: TenantId,
        purchase: PurchaseId,
    ) -> Result<Option<PurchaseCheckout>, StoreError> {
        let rows = self.rows();
        let found = rows.checkouts.iter().find(|checkout| {
            (checkout.tenant_id, checkout.purchase_id) == (tenant, purchase)
                && checkout.stage == CheckoutStage::Paid
        });
        Ok(found.cloned())
    }

    async fn holding(
        &mut self,
        tenant: TenantId,
        coupon: CouponId,
    ) -> Result<Option<PurchaseCheckout>, StoreError> {
        let rows = self.rows();
        let found = rows.checkouts.iter().find(|checkout| {
            checkout.tenant_id == tenant
                && checkout.stage == CheckoutStage::Open
                && rows.redemptions.contains(&(tenant, checkout.purchase_id, coupon))
        });
        Ok(found.cloned())
    }

    async fn update(&mut self, checkout: &PurchaseCheckout) -> Result<(), StoreError> {
        let mut rows = self.rows();
        let stored = rows.checkouts.iter_mut().find(|stored| stored.id == checkout.id).unwrap();
        *stored = checkout.clone();
        Ok(())
    }

    async fn due(&mut self, now: Timestamp, _: u64) -> Result<Vec<PurchaseCheckout>, StoreError> {
        let rows = self.rows();
        let due = rows.checkouts.iter().filter(|checkout| checkout.check_at.is_some_and(|at| at <= now));
        Ok(due.cloned().collect())
    }
}

#[async_trait]
impl PaymentInbox for Shop {
    async fn receive(&self, event: &StoredEvent, job: Option<NewJob>) -> Result<bool, StoreError> {
        let mut rows = self.rows();
        let new = rows.inbound.iter().all(|stored| stored.id != event.id);
        if new {
            rows.inbound.push(event.clone());
            rows.jobs.extend(job);
        }
        Ok(new)
    }

    async fn find(&self, provider: Provider, id: &str) -> Result<Option<FoundEvent>, StoreError> {
        let rows = self.rows();
        let Some(event) = rows.inbound.iter().find(|event| event.id == id).cloned() else { return Ok(None) };
        let mut accounts = rows.accounts.iter().filter(|account| account.provider == provider);
        let account =
            accounts.find(|account| event.customer.is_some() && account.customer_id == event.customer);
        let tenant = account.map(|account| account.tenant_id);
        Ok(Some(FoundEvent { event, tenant }))
    }

    async fn set_status(&self, _: Provider, id: &str, status: InboundStatus) -> Result<(), StoreError> {
        let mut rows = self.rows();
        rows.inbound.iter_mut().find(|event| event.id == id).unwrap().status = status;
        Ok(())
    }
}
