//! A tenant that changes its plan, with repositories in memory, the simulated provider, and one clock for both.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, Ordering},
    },
};

use portico_kernel::{
    Actor, Clock, Env, EventLog, JobQueue, Meter, Outbox, Permission, Permissions, PlatformRole, RequestInfo,
    Scope, TenantId, Timestamp, testing::env_at,
};
use time::Duration;

use crate::{
    BillingError,
    checkout::{CheckoutRule, CheckoutSession, ReturnPages},
    limits::{Allowance, Overrides},
    observation::{Answer, Observations, Observed, Overdue},
    order::ReturnRule,
    paid::BillingAccount,
    payment::Provider,
    plan::{BillingInterval, Plan, catalogue},
    plan_call::{PlanCall, PlanCallKind},
    plan_change::PlanWish,
    plan_changes::{Begun, Cancellation, PlanChanges},
    ports::*,
    subscription::{Subscription, SubscriptionStatus},
    subscription_provider::{NewCustomer, SubscriptionProvider},
    subscription_simulation::SimulatedSubscriptions,
    tenant_subscription::{TenantSubscription, TenantSubscriptions},
    testing::Repositories,
};

struct Moving(AtomicI64);

impl Clock for Moving {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_seconds(self.0.load(Ordering::Relaxed)).unwrap()
    }
}

/// Repositories with plans, the plan of one tenant, and what it uses.
pub struct Rows {
    pub kept: Repositories,
    pub plans: Vec<Plan>,
    pub plan: Arc<Mutex<Option<Subscription>>>,
    pub used: BTreeMap<Meter, u64>,
}

impl Outbox for Rows {
    fn events<'c>(&'c mut self) -> Box<dyn EventLog + 'c> {
        Outbox::events(&mut self.kept)
    }
    fn jobs<'c>(&'c mut self) -> Box<dyn JobQueue + 'c> {
        self.kept.jobs()
    }
}

impl BillingRepositories for Rows {
    fn plans<'c>(&'c mut self) -> Box<dyn PlanRepository + 'c> {
        let plans = self.plans.clone();
        let mut mock = MockPlanRepository::new();
        mock.expect_current().returning(move |id| Ok(plans.iter().rfind(|plan| plan.id == id).cloned()));
        Box::new(mock)
    }

    fn subscriptions<'c>(&'c mut self) -> Box<dyn SubscriptionRepository + 'c> {
        let mut mock = MockSubscriptionRepository::new();
        let (found, locked, stored) = (self.plan.clone(), self.plan.clone(), self.plan.clone());
        let (held, plans) = (self.plan.clone(), self.plans.clone());
        mock.expect_find().returning(move |_| Ok(found.lock().unwrap().clone()));
        let (shown, shop) = (self.plan.clone(), self.kept.shop.clone());
        mock.expect_with_account().returning(move |tenant| {
            let plan = shown.lock().unwrap().clone();
            let rows = shop.rows();
            let account = rows.accounts.iter().find(|account| account.tenant_id == tenant).cloned();
            Ok(plan.map(|plan| (plan, account)))
        });
        mock.expect_lock().returning(move |_| Ok(locked.lock().unwrap().clone()));
        mock.expect_update().returning(move |subscription| {
            *stored.lock().unwrap() = Some(subscription.clone());
            Ok(())
        });
        mock.expect_allowance().returning(move |_| {
            let held = held.lock().unwrap().clone();
            Ok(held.and_then(|held| {
                let bought = |plan: &&Plan| plan.id == held.plan && plan.version == held.plan_version;
                Some(Allowance {
                    plan: plans.iter().find(bought)?.clone(),
                    overrides: Overrides::default(),
                    period_anchor: held.created_at,
                    bandwidth_spent_until: None,
                    overage: None,
                })
            }))
        });
        Box::new(mock)
    }

    fn meters<'c>(&'c mut self) -> Box<dyn MeterRepository + 'c> {
        let used = self.used.clone();
        let mut mock = MockMeterRepository::new();
        mock.expect_used_of_all().returning(move |_, meters| {
            Ok(meters.iter().map(|(meter, _)| used.get(meter).copied().unwrap_or_default()).collect())
        });
        Box::new(mock)
    }

    fn generations<'c>(&'c mut self) -> Box<dyn GenerationRepository + 'c> {
        self.kept.generations()
    }
    fn products<'c>(&'c mut self) -> Box<dyn ProductRepository + 'c> {
        self.kept.products()
    }
    fn purchases<'c>(&'c mut self) -> Box<dyn PurchaseRepository + 'c> {
        self.kept.purchases()
    }
    fn coupons<'c>(&'c mut self) -> Box<dyn CouponRepository + 'c> {
        self.kept.coupons()
    }
    fn checkouts<'c>(&'c mut self) -> Box<dyn CheckoutRepository + 'c> {
        self.kept.checkouts()
    }
    fn site_sales<'c>(&'c mut self) -> Box<dyn SiteSaleRepository + 'c> {
        self.kept.site_sales()
    }
    fn site_refunds<'c>(&'c mut self) -> Box<dyn RefundRepository + 'c> {
        self.kept.site_refunds()
    }
    fn refunds<'c>(&'c mut self) -> Box<dyn RefundRepository + 'c> {
        self.kept.refunds()
    }
    fn disputes<'c>(&'c mut self) -> Box<dyn DisputeRepository + 'c> {
        self.kept.disputes()
    }
    fn accounts<'c>(&'c mut self) -> Box<dyn AccountRepository + 'c> {
        self.kept.accounts()
    }
    fn plan_calls<'c>(&'c mut self) -> Box<dyn PlanCallRepository + 'c> {
        self.kept.plan_calls()
    }
    fn invoices<'c>(&'c mut self) -> Box<dyn InvoiceRepository + 'c> {
        self.kept.invoices()
    }
    fn ledger<'c>(&'c mut self) -> Box<dyn LedgerRepository + 'c> {
        self.kept.ledger()
    }
    fn finance<'c>(&'c mut self) -> Box<dyn FinanceRepository + 'c> {
        self.kept.finance()
    }
}

/// What a request of the tenant has led to.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    Page(CheckoutSession),
    Shown(Box<TenantSubscription>),
}

impl Outcome {
    pub fn page(self) -> CheckoutSession {
        match self {
            Self::Page(page) => page,
            Self::Shown(shown) => panic!("{shown:?}"),
        }
    }

    pub fn shown(self) -> TenantSubscription {
        match self {
            Self::Shown(shown) => *shown,
            Self::Page(page) => panic!("{page:?}"),
        }
    }
}

/// The tenant, on the free plan at first.
pub struct Desk {
    pub rows: Rows,
    pub env: Env,
    pub scope: Scope,
    pub tenant: TenantId,
    pub provider: SimulatedSubscriptions,
    clock: Arc<Moving>,
}

pub fn wish(plan: &str) -> PlanWish {
    PlanWish {
        plan: plan.to_owned(),
        success_url: Some("https://app.example.com/paid".to_owned()),
        cancel_url: Some("https://app.example.com/".to_owned()),
        ..PlanWish::default()
    }
}

impl Desk {
    /// `trial_days` of the plan `starter`.
    pub fn new(trial_days: u16) -> Self {
        let clock = Arc::new(Moving(AtomicI64::new(1_790_000_000)));
        let env = env_at(clock.clone());
        let tenant = env.new_id();
        let actor = Actor::User {
            id: env.new_id(),
            session: env.new_id(),
            email_verified: true,
            role: PlatformRole::Customer,
            impersonator: None,
        };
        let permissions = Permissions::from_list(&[Permission::BillingWrite, Permission::BillingRead]);
        let scope = Scope::user(actor, Some(tenant), permissions, RequestInfo::default());
        let mut plans = catalogue();
        plans[1].trial_days = trial_days;
        let free = Subscription {
            tenant_id: tenant,
            plan: "free".to_owned(),
            plan_version: 1,
            status: SubscriptionStatus::Active,
            created_at: env.now(),
            updated_at: env.now(),
        };
        let rows = Rows {
            kept: Repositories::default(),
            plans,
            plan: Arc::new(Mutex::new(Some(free))),
            used: BTreeMap::new(),
        };
        let provider = SimulatedSubscriptions::at(env.now());
        Self { rows, env, scope, tenant, provider, clock }
    }

    pub fn rule() -> CheckoutRule {
        CheckoutRule {
            provider: Provider::Stripe,
            live: false,
            returns: ReturnRule::Anywhere,
            home: ReturnPages {
                paid: "https://app.example.com/?result=paid".to_owned(),
                canceled: "https://app.example.com/".to_owned(),
            },
        }
    }

    /// Moves both clocks on.
    pub fn advance(&self, duration: Duration) {
        self.clock.0.fetch_add(duration.whole_seconds(), Ordering::Relaxed);
        self.provider.advance_to(self.env.now());
    }

    pub fn account(&self) -> BillingAccount {
        self.rows.kept.shop.rows().accounts[0].clone()
    }

    pub fn customer(&self) -> String {
        self.account().customer_id.unwrap()
    }

    /// Names of the events since the last time.
    pub fn news(&self, seen: &mut usize) -> Vec<String> {
        let events = self.rows.kept.events();
        let new = events[*seen..].iter().map(|event| event.kind.as_str().to_owned()).collect();
        *seen = events.len();
        new
    }

    pub async fn sync(&mut self) -> Observed {
        let account = self.account();
        let customer = account.customer_id.unwrap();
        let is_deleted = self.provider.is_deleted(&customer).await.unwrap();
        let (subscription, invoices) = match is_deleted {
            true => (None, Vec::new()),
            false => (
                self.provider.subscription(&customer).await.unwrap(),
                self.provider.invoices(&customer).await.unwrap(),
            ),
        };
        let answer = Answer {
            revision: account.revision,
            subscription: subscription.as_ref(),
            is_deleted,
            invoices: &invoices,
        };
        Observations::new(&mut self.rows, &self.scope, &self.env).observe(self.tenant, answer).await.unwrap()
    }

    /// What the schedule does about an account that is due.
    pub async fn look_after(&mut self) {
        if self.account().check_at.is_none_or(|at| at > self.env.now()) {
            return;
        }
        self.sync().await;
        let overdue =
            Observations::new(&mut self.rows, &self.scope, &self.env).remind(self.tenant).await.unwrap();
        if let Overdue::End(id) = overdue {
            self.provider.cancel(&id).await.unwrap();
            self.sync().await;
        }
    }

    pub async fn shown(&mut self) -> TenantSubscription {
        let now = self.env.now();
        TenantSubscriptions::new(&mut self.rows).get(&self.scope, now).await.unwrap()
    }

    async fn make(&mut self, call: &PlanCall) -> Result<Outcome, BillingError> {
        let price = self.provider.price(&call.new_price()).await.unwrap();
        let coupon = match call.new_coupon() {
            Some(new) => Some(self.provider.coupon(&new).await.unwrap()),
            None => None,
        };
        let (key, provider) = (call.key(), &self.provider);
        let made = match call.kind {
            PlanCallKind::Checkout => {
                let page = provider.create_checkout(&call.new_checkout(price, coupon), &key).await?;
                let mut changes = PlanChanges::new(&mut self.rows, &self.scope, &self.env);
                return Ok(Outcome::Page(changes.opened(call, &page).await?.session().unwrap()));
            }
            PlanCallKind::Create => provider.create(&call.new_subscription(price, coupon), &key).await,
            PlanCallKind::Change => provider.change(&call.new_change(price, coupon), &key).await,
            PlanCallKind::Schedule => {
                provider.schedule(call.subscription_id.as_deref().unwrap(), &price, &key).await
            }
        };
        if made.as_ref().is_err_and(|error| error.is_passing()) {
            return Err(made.unwrap_err().into());
        }
        self.sync().await;
        PlanChanges::new(&mut self.rows, &self.scope, &self.env).end(call.tenant_id, call.id).await?;
        made?;
        Ok(Outcome::Shown(Box::new(self.shown().await)))
    }

    pub async fn upgrade(&mut self, wish: &PlanWish) -> Result<Outcome, BillingError> {
        let mut changes = PlanChanges::new(&mut self.rows, &self.scope, &self.env);
        let account = changes.account(&Self::rule()).await?;
        let customer = match account.customer_id.clone() {
            Some(customer) => customer,
            None => {
                let new = NewCustomer {
                    reference: self.tenant.to_string(),
                    name: "Acme".to_owned(),
                    email: "ada@example.com".to_owned(),
                };
                let made = self.provider.create_customer(&new, &account.customer_key(&new)).await?;
                changes.customer_made(self.tenant, made.clone()).await?;
                made
            }
        };
        self.sync().await;
        let has_method =
            self.provider.payment_methods(&customer).await?.iter().any(|method| method.is_default);
        let mut changes = PlanChanges::new(&mut self.rows, &self.scope, &self.env);
        match changes.upgrade(wish, &Self::rule(), has_method, false).await? {
            Begun::Call(call) => self.make(&call).await,
            Begun::Page(session) => Ok(Outcome::Page(session)),
            Begun::Replace(page) => {
                self.provider.expire_checkout(page.session_id.as_deref().unwrap()).await?;
                self.sync().await;
                let mut changes = PlanChanges::new(&mut self.rows, &self.scope, &self.env);
                changes.end(page.tenant_id, page.id).await?;
                let begun = changes.upgrade(wish, &Self::rule(), has_method, false).await?;
                let Begun::Call(call) = begun else { panic!("{begun:?}") };
                self.make(&call).await
            }
        }
    }

    pub async fn downgrade(&mut self, plan: &str) -> Result<TenantSubscription, BillingError> {
        self.sync().await;
        let mut changes = PlanChanges::new(&mut self.rows, &self.scope, &self.env);
        let begun = changes.downgrade(&wish(plan), &Self::rule()).await?;
        let Begun::Call(call) = begun else { panic!("{begun:?}") };
        Ok(self.make(&call).await?.shown())
    }

    pub async fn cancel(&mut self, immediately: bool) -> Result<TenantSubscription, BillingError> {
        self.sync().await;
        let input = Cancellation { reason: Some(" We close ".to_owned()), immediately };
        let running = PlanChanges::new(&mut self.rows, &self.scope, &self.env).cancel(&input).await?;
        match immediately {
            true => self.provider.cancel(&running.id).await?,
            false => self.provider.cancel_at_end(&running.id).await?,
        };
        self.sync().await;
        Ok(self.shown().await)
    }

    pub async fn resume(&mut self) -> Result<TenantSubscription, BillingError> {
        self.sync().await;
        let running = PlanChanges::new(&mut self.rows, &self.scope, &self.env).resume().await?;
        self.provider.resume(&running.id).await?;
        self.sync().await;
        Ok(self.shown().await)
    }

    /// A subscription to a plan, paid by the month.
    pub async fn paying(plan: &str) -> Self {
        let mut desk = Self::new(0);
        let page = desk.upgrade(&wish(plan)).await.unwrap().page();
        desk.provider.finish_page(&page.session_id, true);
        desk.sync().await;
        let shown = desk.shown().await;
        assert_eq!((shown.plan.as_str(), shown.interval), (plan, Some(BillingInterval::Month)));
        desk
    }
}
