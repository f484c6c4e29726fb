//! What the unit tests of this crate share.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard},
};

use async_trait::async_trait;
use portico_kernel::{
    CheckoutId, CouponId, Env, Event, EventLog, InvoiceId, JobQueue, List, Money, NewJob, Outbox,
    PageRequest, PurchaseId, StoreError, TenantId, Timestamp,
};

use crate::{
    checkout::{CheckoutStage, PurchaseCheckout},
    coupon::Coupon,
    dispute::PurchaseDispute,
    inbound::{InboundStatus, StoredEvent},
    invoice::Invoice,
    ledger::{EntryKey, LedgerEntry, LedgerTransaction, SourceKind},
    ledger_check::BookedPurchase,
    limits::{Allowance, Overrides},
    paid::BillingAccount,
    payment::Provider,
    plan::Plan,
    plan_call::{PlanCall, PlanCallStage},
    ports::{
        AccountRepository, BillingRepositories, CheckoutRepository, CouponRepository, DisputeRepository,
        GenerationRepository, InboundEventRepository, InvoiceRepository, LedgerRepository, MeterRepository,
        MockGenerationRepository, MockMeterRepository, MockPlanRepository, MockSubscriptionRepository,
        PlanCallRepository, PlanRepository, ProductRepository, PurchaseRepository, RefundRepository,
        SiteSaleRepository, SubscriptionRepository,
    },
    product::Product,
    purchase::{Purchase, PurchaseItem, pending},
    refund::PurchaseRefund,
    site_sale::SiteSale,
};

mod coupons;

pub use portico_kernel::testing::env;

/// A plan that began a second before [`env`], and nothing that was agreed on instead.
pub fn allowance(plan: Plan) -> Allowance {
    let period_anchor = Timestamp::from_unix_seconds(1_789_999_999).unwrap();
    Allowance { plan, overrides: Overrides::default(), period_anchor, bandwidth_spent_until: None }
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
    fn inbound_events<'c>(&'c mut self) -> Box<dyn InboundEventRepository + 'c> {
        Box::new(self.shop.clone())
    }
    fn ledger<'c>(&'c mut self) -> Box<dyn LedgerRepository + 'c> {
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

/// What the tests of purchases store, in memory: what is done with it takes several steps, which mocks would have to repeat.
#[derive(Default)]
pub struct Rows {
    pub products: Vec<Product>,
    pub purchases: Vec<Purchase>,
    pub coupons: Vec<Coupon>,
    /// The purchases that use a coupon.
    pub redemptions: Vec<(TenantId, PurchaseId, CouponId)>,
    pub checkouts: Vec<PurchaseCheckout>,
    pub sales: Vec<SiteSale>,
    pub refunds: Vec<PurchaseRefund>,
    pub disputes: Vec<PurchaseDispute>,
    pub accounts: Vec<BillingAccount>,
    pub calls: Vec<PlanCall>,
    pub invoices: Vec<Invoice>,
    /// The last number of each series.
    pub numbers: BTreeMap<String, u64>,
    pub inbound: Vec<StoredEvent>,
    pub booked: Vec<(TenantId, LedgerTransaction)>,
    /// Entries besides those of what is booked: spoilt ones.
    pub entries: Vec<LedgerEntry>,
    pub jobs: Vec<NewJob>,
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
    async fn insert_missing(&mut self, product: &Product, _: Timestamp) -> Result<bool, StoreError> {
        let mut rows = self.rows();
        let missing = rows.products.iter().all(|stored| stored.id != product.id);
        if missing {
            rows.products.push(product.clone());
        }
        Ok(missing)
    }

    async fn active(&mut self, ids: &[String]) -> Result<Vec<Product>, StoreError> {
        let rows = self.rows();
        let active = rows.products.iter().filter(|product| product.is_active && ids.contains(&product.id));
        Ok(active.cloned().collect())
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
impl InboundEventRepository for Shop {
    async fn insert(&mut self, event: &StoredEvent) -> Result<bool, StoreError> {
        let mut rows = self.rows();
        let new = rows.inbound.iter().all(|stored| stored.id != event.id);
        if new {
            rows.inbound.push(event.clone());
        }
        Ok(new)
    }

    async fn find<'s>(&mut self, _: Provider, id: &'s str) -> Result<Option<StoredEvent>, StoreError> {
        Ok(self.rows().inbound.iter().find(|event| event.id == id).cloned())
    }

    async fn set_status<'s>(
        &mut self,
        _: Provider,
        id: &'s str,
        status: InboundStatus,
    ) -> Result<(), StoreError> {
        let mut rows = self.rows();
        rows.inbound.iter_mut().find(|event| event.id == id).unwrap().status = status;
        Ok(())
    }
}

#[async_trait]
impl LedgerRepository for Shop {
    async fn book(&mut self, tenant: TenantId, transaction: &LedgerTransaction) -> Result<(), StoreError> {
        let mut rows = self.rows();
        if rows.booked.iter().any(|(_, booked)| booked.source() == transaction.source()) {
            return Err(StoreError::Conflict("ledger_entries_source_key".to_owned()));
        }
        rows.booked.push((tenant, transaction.clone()));
        Ok(())
    }

    async fn book_missing(
        &mut self,
        tenant: TenantId,
        transaction: &LedgerTransaction,
    ) -> Result<bool, StoreError> {
        match self.book(tenant, transaction).await {
            Err(StoreError::Conflict(_)) => Ok(false),
            booked => booked.map(|()| true),
        }
    }

    async fn entries(&mut self, after: Option<EntryKey>, limit: u64) -> Result<Vec<LedgerEntry>, StoreError> {
        let order =
            |key: &EntryKey| (key.tenant_id, key.source.kind.as_str(), key.source.id.clone(), key.position);
        let rows = self.rows();
        let booked = rows.booked.iter().flat_map(|(tenant, booked)| {
            (0_i32..).zip(booked.entries()).map(move |(position, entry)| LedgerEntry {
                key: EntryKey { tenant_id: *tenant, source: booked.source().clone(), position },
                entry: *entry,
                currency: booked.currency().to_owned(),
            })
        });
        let mut all: Vec<LedgerEntry> = rows.entries.iter().cloned().chain(booked).collect();
        all.sort_by_key(|entry| order(&entry.key));
        let after = after.as_ref().map(order);
        let left = all.into_iter().filter(|entry| after.is_none() || Some(order(&entry.key)) > after);
        Ok(left.take(limit as usize).collect())
    }

    async fn purchases(
        &mut self,
        after: Option<(TenantId, PurchaseId)>,
        limit: u64,
    ) -> Result<Vec<BookedPurchase>, StoreError> {
        let rows = self.rows();
        // The second entry of each transaction is the other side of the balance.
        let sum = |kinds: [SourceKind; 2], ids: &[&str]| -> i64 {
            let booked = rows.booked.iter().map(|(_, booked)| booked);
            let booked = booked.filter(|booked| {
                kinds.contains(&booked.source().kind) && ids.contains(&booked.source().id.as_str())
            });
            booked.map(|booked| booked.entries()[1].amount).sum()
        };
        let booked = |purchase: &Purchase| {
            let checkouts = rows.checkouts.iter().filter(|checkout| checkout.purchase_id == purchase.id);
            let payments: Vec<&str> =
                checkouts.filter_map(|checkout| checkout.payment_id.as_deref()).collect();
            let refunds = rows.refunds.iter().filter(|refund| refund.purchase_id == purchase.id);
            let refunds: Vec<&str> = refunds.filter_map(|refund| refund.provider_id.as_deref()).collect();
            let disputes = rows.disputes.iter().filter(|dispute| dispute.purchase_id == purchase.id);
            let disputes: Vec<&str> = disputes.map(|dispute| dispute.provider_id.as_str()).collect();
            BookedPurchase {
                tenant_id: purchase.tenant_id,
                id: purchase.id,
                is_paid: purchase.completed_at.is_some(),
                status: purchase.status,
                amount: purchase.amount,
                refunded_amount: purchase.refunded_amount,
                paid: -sum([SourceKind::Payment; 2], &payments),
                refunded: sum([SourceKind::Refund, SourceKind::RefundFailed], &refunds),
                disputed: sum([SourceKind::Dispute, SourceKind::DisputeWon], &disputes),
            }
        };
        let mut all: Vec<BookedPurchase> = rows.purchases.iter().map(booked).collect();
        all.sort_by_key(|purchase| (purchase.tenant_id, purchase.id));
        let left = all
            .into_iter()
            .filter(|purchase| after.is_none_or(|after| (purchase.tenant_id, purchase.id) > after));
        Ok(left.take(limit as usize).collect())
    }
}

#[async_trait]
impl RefundRepository for Shop {
    async fn store(&mut self, refund: &PurchaseRefund) -> Result<(), StoreError> {
        let mut rows = self.rows();
        match rows.refunds.iter_mut().find(|stored| stored.id == refund.id) {
            Some(stored) => *stored = refund.clone(),
            None => rows.refunds.push(refund.clone()),
        }
        Ok(())
    }

    async fn of_purchase(
        &mut self,
        tenant: TenantId,
        purchase: PurchaseId,
    ) -> Result<Vec<PurchaseRefund>, StoreError> {
        let rows = self.rows();
        let found = rows.refunds.iter();
        let found = found.filter(|refund| (refund.tenant_id, refund.purchase_id) == (tenant, purchase));
        Ok(found.cloned().collect())
    }
}

#[async_trait]
impl DisputeRepository for Shop {
    async fn store(&mut self, dispute: &PurchaseDispute) -> Result<(), StoreError> {
        let mut rows = self.rows();
        match rows.disputes.iter_mut().find(|stored| stored.id == dispute.id) {
            Some(stored) => *stored = dispute.clone(),
            None => rows.disputes.push(dispute.clone()),
        }
        Ok(())
    }

    async fn of_purchase(
        &mut self,
        tenant: TenantId,
        purchase: PurchaseId,
    ) -> Result<Vec<PurchaseDispute>, StoreError> {
        let rows = self.rows();
        let found = rows.disputes.iter();
        let found = found.filter(|dispute| (dispute.tenant_id, dispute.purchase_id) == (tenant, purchase));
        Ok(found.cloned().collect())
    }
}

#[async_trait]
impl SiteSaleRepository for Shop {
    async fn insert(&mut self, sale: &SiteSale) -> Result<(), StoreError> {
        let mut rows = self.rows();
        let is_held = |other: &SiteSale| {
            (other.tenant_id, other.site_id) == (sale.tenant_id, sale.site_id) && other.status.holds_site()
        };
        if rows.sales.iter().any(is_held) {
            return Err(StoreError::Conflict("site_sales_active_key".to_owned()));
        }
        rows.sales.push(sale.clone());
        Ok(())
    }

    async fn find(&mut self, tenant: TenantId, id: PurchaseId) -> Result<Option<SiteSale>, StoreError> {
        let rows = self.rows();
        Ok(rows.sales.iter().find(|sale| (sale.tenant_id, sale.id) == (tenant, id)).cloned())
    }

    async fn lock(&mut self, tenant: TenantId, id: PurchaseId) -> Result<Option<SiteSale>, StoreError> {
        SiteSaleRepository::find(self, tenant, id).await
    }

    async fn update(&mut self, sale: &SiteSale) -> Result<(), StoreError> {
        let mut rows = self.rows();
        let stored = rows.sales.iter_mut().find(|stored| stored.id == sale.id).unwrap();
        *stored = sale.clone();
        Ok(())
    }

    async fn sold_at<'s>(&mut self, slug: &'s str) -> Result<bool, StoreError> {
        Ok(self.rows().sales.iter().any(|sale| sale.slug == slug && sale.status.is_paid()))
    }

    async fn due(&mut self, now: Timestamp, _: u64) -> Result<Vec<SiteSale>, StoreError> {
        let rows = self.rows();
        let due = rows.sales.iter().filter(|sale| sale.checkout.check_at.is_some_and(|at| at <= now));
        Ok(due.cloned().collect())
    }
}

#[async_trait]
impl AccountRepository for Shop {
    async fn insert_missing(&mut self, account: &BillingAccount) -> Result<bool, StoreError> {
        let mut rows = self.rows();
        let missing = rows.accounts.iter().all(|stored| stored.tenant_id != account.tenant_id);
        if missing {
            rows.accounts.push(account.clone());
        }
        Ok(missing)
    }

    async fn find(&mut self, tenant: TenantId) -> Result<Option<BillingAccount>, StoreError> {
        Ok(self.rows().accounts.iter().find(|account| account.tenant_id == tenant).cloned())
    }

    async fn lock(&mut self, tenant: TenantId) -> Result<Option<BillingAccount>, StoreError> {
        AccountRepository::find(self, tenant).await
    }

    async fn of_customer<'s>(
        &mut self,
        _: Provider,
        customer: &'s str,
    ) -> Result<Option<TenantId>, StoreError> {
        let rows = self.rows();
        let found = rows.accounts.iter().find(|account| account.customer_id.as_deref() == Some(customer));
        Ok(found.map(|account| account.tenant_id))
    }

    async fn update(&mut self, account: &BillingAccount) -> Result<(), StoreError> {
        let mut rows = self.rows();
        let stored = rows.accounts.iter_mut().find(|stored| stored.tenant_id == account.tenant_id).unwrap();
        *stored = account.clone();
        Ok(())
    }

    async fn due(&mut self, now: Timestamp, _: u64) -> Result<Vec<BillingAccount>, StoreError> {
        let rows = self.rows();
        let due = rows.accounts.iter().filter(|account| account.check_at.is_some_and(|at| at <= now));
        Ok(due.cloned().collect())
    }
}

#[async_trait]
impl PlanCallRepository for Shop {
    async fn insert(&mut self, call: &PlanCall) -> Result<(), StoreError> {
        let mut rows = self.rows();
        let is_free = rows
            .calls
            .iter()
            .all(|stored| stored.tenant_id != call.tenant_id || stored.stage == PlanCallStage::Ended);
        assert!(is_free, "one call is under way for a tenant at a time");
        rows.calls.push(call.clone());
        Ok(())
    }

    async fn under_way(&mut self, tenant: TenantId) -> Result<Option<PlanCall>, StoreError> {
        let rows = self.rows();
        let found =
            rows.calls.iter().find(|call| call.tenant_id == tenant && call.stage != PlanCallStage::Ended);
        Ok(found.cloned())
    }

    async fn update(&mut self, call: &PlanCall) -> Result<(), StoreError> {
        let mut rows = self.rows();
        *rows.calls.iter_mut().find(|stored| stored.id == call.id).unwrap() = call.clone();
        Ok(())
    }

    async fn due(&mut self, now: Timestamp, _: u64) -> Result<Vec<PlanCall>, StoreError> {
        let rows = self.rows();
        Ok(rows.calls.iter().filter(|call| call.check_at.is_some_and(|at| at <= now)).cloned().collect())
    }
}

#[async_trait]
impl InvoiceRepository for Shop {
    async fn list(&mut self, tenant: TenantId, page: PageRequest) -> Result<List<Invoice>, StoreError> {
        let rows = self.rows();
        let items: Vec<Invoice> =
            rows.invoices.iter().filter(|invoice| invoice.tenant_id == tenant).cloned().collect();
        let total = items.len() as u64;
        Ok(List::new(items, page, total))
    }

    async fn find(&mut self, tenant: TenantId, id: InvoiceId) -> Result<Option<Invoice>, StoreError> {
        let rows = self.rows();
        let found = rows.invoices.iter().find(|invoice| (invoice.tenant_id, invoice.id) == (tenant, id));
        Ok(found.cloned())
    }

    async fn of_provider(
        &mut self,
        tenant: TenantId,
        _: Provider,
        ids: &[String],
    ) -> Result<Vec<Invoice>, StoreError> {
        let rows = self.rows();
        let found = rows
            .invoices
            .iter()
            .filter(|invoice| invoice.tenant_id == tenant && ids.contains(&invoice.provider_id));
        Ok(found.cloned().collect())
    }

    async fn upsert(&mut self, invoice: &Invoice) -> Result<(), StoreError> {
        let mut rows = self.rows();
        rows.invoices.retain(|stored| stored.id != invoice.id);
        rows.invoices.push(invoice.clone());
        Ok(())
    }

    async fn next_number<'s>(&mut self, series: &'s str) -> Result<u64, StoreError> {
        let mut rows = self.rows();
        let last = rows.numbers.entry(series.to_owned()).or_default();
        *last += 1;
        Ok(*last)
    }
}
