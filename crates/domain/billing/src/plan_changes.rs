//! Changes of plan by the tenant: upgrade, downgrade, end, and taking that back.
//!
//! What the provider is asked for is stored first; the flow calls it then, and what it answers is stored by
//! [`observation`](crate::observation). Whether something may be done is decided under the lock of the account, after its subscription
//! was asked for.

use portico_kernel::{Env, Event, Money, PlanChangeId, Scope, TenantId, Violations};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    BillingError,
    checkout::{CheckoutRule, CheckoutSession, Checkouts, KEY_LIVES},
    events,
    paid::{BillingAccount, PriceReference},
    payment::PaymentError,
    plan::FREE,
    plan_call::{PlanCall, PlanCallKind, PlanCallStage},
    plan_change::{Assessment, ChangeKind, PlanWish, assess},
    plan_coupon,
    ports::BillingRepositories,
    subscription::SubscriptionStatus,
    subscription_provider::{ProviderSubscription, SubscriptionCheckout},
};

/// Most characters of a reason.
const REASON_MAX: usize = 500;

/// The end of a subscription, as it is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({"reason": "We close our shop"})))]
pub struct Cancellation {
    /// Why, for the operator; at most 500 characters.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, max_length = 500))]
    pub reason: Option<String>,
    /// Now, and not at the end of the period. Nothing is given back.
    pub immediately: bool,
}

/// What is to be done for an upgrade or a downgrade.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Begun {
    /// This call is to be made once this is committed. It may be one that was made before without an answer.
    Call(PlanCall),
    /// The page is there already.
    Page(CheckoutSession),
    /// A page for something else is open. It is to be ended first.
    Replace(PlanCall),
}

/// Use cases around changes of plan.
pub struct PlanChanges<'a> {
    repositories: &'a mut dyn BillingRepositories,
    scope: &'a Scope,
    env: &'a Env,
}

impl<'a> PlanChanges<'a> {
    /// Over an open unit of work, for a caller.
    pub fn new(repositories: &'a mut dyn BillingRepositories, scope: &'a Scope, env: &'a Env) -> Self {
        Self { repositories, scope, env }
    }

    /// The account of the active tenant, made where there is none. Where its customer is not known yet, the call that makes it is to be
    /// made once this is committed.
    ///
    /// # Errors
    /// `Denied` as in [`Checkouts::buyer`]; `Payment` where the account is one of another provider, or of another mode.
    pub async fn account(&mut self, rule: &CheckoutRule) -> Result<BillingAccount, BillingError> {
        let (tenant, _) = Checkouts::buyer(self.scope)?;
        let now = self.env.now();
        self.repositories.accounts().insert_missing(&BillingAccount::new(tenant, rule, now)).await?;
        let mut account = self.lock(tenant).await?;
        if (account.provider, account.live) != (rule.provider, rule.live) {
            return Err(PaymentError::Unsupported.into());
        }
        if account.customer_id.is_none() && account.keyed_at + KEY_LIVES <= now {
            account.keyed_at = now;
            self.repositories.accounts().update(&account).await?;
        }
        Ok(account)
    }

    /// Notes the customer that the provider has made. The first one stays.
    ///
    /// # Errors
    /// `NoAccount`.
    pub async fn customer_made(
        &mut self,
        tenant: TenantId,
        customer_id: String,
    ) -> Result<BillingAccount, BillingError> {
        let mut account = self.lock(tenant).await?;
        if account.customer_id.is_none() {
            account.customer_id = Some(customer_id);
            self.repositories.accounts().update(&account).await?;
        }
        Ok(account)
    }

    /// The account of the active tenant, to be asked about or changed at its provider.
    ///
    /// # Errors
    /// `Denied` as in [`Checkouts::payer`]; `NoPaidSubscription` without one.
    pub async fn paying(&mut self) -> Result<BillingAccount, BillingError> {
        let (tenant, _) = Checkouts::payer(self.scope)?;
        let account = self.repositories.accounts().find(tenant).await?;
        account.filter(|account| account.customer_id.is_some()).ok_or(BillingError::NoPaidSubscription)
    }

    /// Stores the call that an upgrade needs. `has_method`: whether the customer has something on file that can be charged. `from_free`:
    /// refuses a tenant that is not on the free plan.
    ///
    /// # Errors
    /// `Denied` as in [`Checkouts::buyer`]; `Invalid`; `SubscriptionExists`; `AlreadyOnPlan`; `NotAnUpgrade`; `ChangeScheduled`;
    /// `ChangeInProgress`; `PaymentOverdue`; `Payment` where it is in another currency.
    pub async fn upgrade(
        &mut self,
        wish: &PlanWish,
        rule: &CheckoutRule,
        has_method: bool,
        from_free: bool,
    ) -> Result<Begun, BillingError> {
        let (tenant, _) = Checkouts::buyer(self.scope)?;
        let account = self.lock(tenant).await?;
        let assessment = assess(self.repositories, tenant, wish, self.env.now(), true).await?;
        if from_free && (account.running().is_some() || !self.is_free(tenant).await?) {
            return Err(BillingError::SubscriptionExists);
        }
        match assessment.kind {
            ChangeKind::Upgrade => {}
            ChangeKind::Same => return self.repeated(&assessment).await,
            ChangeKind::Downgrade | ChangeKind::Cancel => return Err(BillingError::NotAnUpgrade),
        }
        let kind = match account.running() {
            Some(running) => {
                self.check_changeable(running, &assessment).await?;
                if running.ends_at.is_some() || running.scheduled.is_some() {
                    return Err(BillingError::ChangeScheduled);
                }
                PlanCallKind::Change
            }
            None if has_method && assessment.trial_days == 0 => PlanCallKind::Create,
            None => PlanCallKind::Checkout,
        };
        let call = self.call(kind, &account, &assessment, wish, rule)?;
        self.begin(call).await
    }

    /// Stores the call that a downgrade to another paid plan needs.
    ///
    /// # Errors
    /// `Denied` as in [`Checkouts::buyer`]; `Invalid`; `AlreadyOnPlan`; `NotADowngrade`; `NoPaidSubscription`; `ChangeScheduled` where it
    /// ends; `ChangeInProgress`; `PaymentOverdue`; `Payment` where it is in another currency.
    pub async fn downgrade(&mut self, wish: &PlanWish, rule: &CheckoutRule) -> Result<Begun, BillingError> {
        let (tenant, _) = Checkouts::buyer(self.scope)?;
        let account = self.lock(tenant).await?;
        let assessment = assess(self.repositories, tenant, wish, self.env.now(), false).await?;
        match assessment.kind {
            ChangeKind::Downgrade => {}
            ChangeKind::Same => return Err(BillingError::AlreadyOnPlan),
            ChangeKind::Upgrade | ChangeKind::Cancel => return Err(BillingError::NotADowngrade),
        }
        let running = account.running().ok_or(BillingError::NoPaidSubscription)?;
        self.check_changeable(running, &assessment).await?;
        if running.ends_at.is_some() {
            return Err(BillingError::ChangeScheduled);
        }
        let call = self.call(PlanCallKind::Schedule, &account, &assessment, wish, rule)?;
        self.begin(call).await
    }

    /// Notes why the active tenant ends its subscription, before the provider is asked to end it.
    ///
    /// # Errors
    /// `Denied` as in [`Checkouts::payer`]; `Invalid`; `NoPaidSubscription`; `ChangeInProgress`.
    pub async fn cancel(&mut self, input: &Cancellation) -> Result<ProviderSubscription, BillingError> {
        let (tenant, _) = Checkouts::payer(self.scope)?;
        let mut violations = Violations::default();
        violations.optional_text("reason", input.reason.as_deref(), REASON_MAX);
        violations.into_result().map_err(BillingError::Invalid)?;
        let found = self.repositories.accounts().lock(tenant).await?;
        let mut account = found.ok_or(BillingError::NoPaidSubscription)?;
        let running = account.running().cloned().ok_or(BillingError::NoPaidSubscription)?;
        self.check_settled(tenant).await?;
        let reason = input.reason.as_deref().map(str::trim).filter(|reason| !reason.is_empty());
        account.cancel_reason = reason.map(str::to_owned);
        account.ends_with_tenant = false;
        self.repositories.accounts().update(&account).await?;
        let asked =
            json!({"call": "cancel", "immediately": input.immediately, "reason": account.cancel_reason});
        self.tell(tenant, asked).await?;
        Ok(running)
    }

    /// The subscription of the active tenant whose end, or whose scheduled change, is to be taken back.
    ///
    /// # Errors
    /// `Denied` as in [`Checkouts::buyer`]; `NoPaidSubscription`; `NothingToResume`; `ChangeInProgress`.
    pub async fn resume(&mut self) -> Result<ProviderSubscription, BillingError> {
        let (tenant, _) = Checkouts::buyer(self.scope)?;
        let found = self.repositories.accounts().lock(tenant).await?;
        let mut account = found.ok_or(BillingError::NoPaidSubscription)?;
        let running = account.running().cloned().ok_or(BillingError::NoPaidSubscription)?;
        if running.ends_at.is_none() && running.scheduled.is_none() {
            return Err(BillingError::NothingToResume);
        }
        self.check_settled(tenant).await?;
        account.cancel_reason = None;
        account.ends_with_tenant = false;
        self.repositories.accounts().update(&account).await?;
        self.tell(tenant, json!({"call": "resume"})).await?;
        Ok(running)
    }

    /// Stores the page that the provider has made for a call.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn opened(
        &mut self,
        call: &PlanCall,
        page: &SubscriptionCheckout,
    ) -> Result<PlanCall, BillingError> {
        let Some(call) = self.under_way(call.tenant_id, call.id).await? else { return Ok(call.clone()) };
        let stage = if page.url.is_some() { PlanCallStage::Open } else { PlanCallStage::Ended };
        let opened = PlanCall {
            stage,
            session_id: Some(page.id.clone()),
            url: page.url.clone(),
            expires_at: page.expires_at,
            check_at: (stage == PlanCallStage::Open).then(|| call.next_check(self.env.now())),
            ..call
        };
        self.repositories.plan_calls().update(&opened).await?;
        Ok(opened)
    }

    /// Ends a call: what came of it is in the subscription, or nothing did, and then its coupon is free again. The subscription MUST have
    /// been asked for since the call was made.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn end(&mut self, tenant: TenantId, id: PlanChangeId) -> Result<(), BillingError> {
        if let Some(call) = self.under_way(tenant, id).await? {
            if call.discount.is_some() {
                let account = self.lock(tenant).await?;
                plan_coupon::settle(self.repositories, &call, &account).await?;
            }
            let ended = PlanCall { stage: PlanCallStage::Ended, url: None, check_at: None, ..call };
            self.repositories.plan_calls().update(&ended).await?;
        }
        Ok(())
    }

    /// Looks after a call again later.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn postpone(&mut self, tenant: TenantId, id: PlanChangeId) -> Result<(), BillingError> {
        if let Some(call) = self.under_way(tenant, id).await? {
            let later = PlanCall { check_at: Some(call.next_check(self.env.now())), ..call };
            self.repositories.plan_calls().update(&later).await?;
        }
        Ok(())
    }

    /// The call of the tenant that is under way, if it is this one, under the lock of the account.
    async fn under_way(
        &mut self,
        tenant: TenantId,
        id: PlanChangeId,
    ) -> Result<Option<PlanCall>, BillingError> {
        self.lock(tenant).await?;
        let call = self.repositories.plan_calls().under_way(tenant).await?;
        Ok(call.filter(|call| call.id == id))
    }

    /// Whether every change that the tenant has asked for is known to be made or not. The call of one that is not may be on its way, or be
    /// repeated with its key: the provider would answer what it did then, and not undo what was asked for since.
    async fn check_settled(&mut self, tenant: TenantId) -> Result<(), BillingError> {
        let call = self.repositories.plan_calls().under_way(tenant).await?;
        let is_open =
            |call: &PlanCall| call.stage == PlanCallStage::Calling && call.kind != PlanCallKind::Checkout;
        if call.as_ref().is_some_and(is_open) { Err(BillingError::ChangeInProgress) } else { Ok(()) }
    }

    async fn lock(&mut self, tenant: TenantId) -> Result<BillingAccount, BillingError> {
        self.repositories.accounts().lock(tenant).await?.ok_or(BillingError::NoAccount)
    }

    async fn is_free(&mut self, tenant: TenantId) -> Result<bool, BillingError> {
        let plan = self.repositories.subscriptions().find(tenant).await?.ok_or(BillingError::NoTenant)?;
        Ok(plan.plan == FREE)
    }

    /// Whether another price may follow.
    async fn check_changeable(
        &mut self,
        running: &ProviderSubscription,
        assessment: &Assessment,
    ) -> Result<(), BillingError> {
        match running.status {
            SubscriptionStatus::PastDue | SubscriptionStatus::Unpaid => {
                return Err(BillingError::PaymentOverdue);
            }
            SubscriptionStatus::Incomplete => return Err(BillingError::ChangeInProgress),
            SubscriptionStatus::Trialing | SubscriptionStatus::Active | SubscriptionStatus::Canceled => {}
        }
        // A provider charges a customer in one currency.
        let paid = self.repositories.subscriptions().allowance(assessment.tenant).await?;
        let same = |plan: &crate::plan::Plan| {
            assessment.price.as_ref().is_none_or(|price| price.currency == plan.currency)
        };
        match paid {
            Some(paid) if !same(&paid.plan) => Err(PaymentError::Unsupported.into()),
            _ => Ok(()),
        }
    }

    fn call(
        &self,
        kind: PlanCallKind,
        account: &BillingAccount,
        assessment: &Assessment,
        wish: &PlanWish,
        rule: &CheckoutRule,
    ) -> Result<PlanCall, BillingError> {
        let now = self.env.now();
        // Only the free plan has no price, and that is neither an upgrade nor a downgrade.
        let price = assessment.price.as_ref().ok_or(BillingError::NoPlan)?;
        let (success_url, cancel_url) = match kind {
            PlanCallKind::Checkout => {
                let pages = wish.returns(&rule.returns, &rule.home)?;
                (Some(pages.paid), Some(pages.canceled))
            }
            PlanCallKind::Create | PlanCallKind::Change | PlanCallKind::Schedule => (None, None),
        };
        let running = account.running();
        let prorated_at = match (kind, running) {
            (PlanCallKind::Change, Some(running)) => wish.prorated_at(running.period_start, now)?,
            _ => now,
        };
        Ok(PlanCall {
            id: self.env.new_id(),
            tenant_id: account.tenant_id,
            kind,
            stage: PlanCallStage::Calling,
            price: PriceReference::new(&assessment.plan, price.interval),
            description: assessment.plan.name.clone(),
            amount: Money { amount: price.amount, currency: price.currency.clone() },
            customer_id: account.customer_id.clone().ok_or(BillingError::NoAccount)?,
            subscription_id: running.map(|running| running.id.clone()),
            discount: assessment.discount.clone(),
            trial_days: assessment.trial_days,
            prorated_at,
            success_url,
            cancel_url,
            session_id: None,
            url: None,
            created_at: now,
            expires_at: PlanCall::expiry(now),
            check_at: Some(PlanCall::first_check(now)),
        })
    }

    /// Stores a call, unless one is under way.
    async fn begin(&mut self, call: PlanCall) -> Result<Begun, BillingError> {
        let now = self.env.now();
        let earlier = self.repositories.plan_calls().under_way(call.tenant_id).await?;
        match earlier {
            Some(earlier) if earlier.serves(&call, now) => {
                if let Some(session) = earlier.session() {
                    return Ok(Begun::Page(session));
                }
                return Ok(Begun::Replace(earlier));
            }
            Some(earlier) if earlier.stage == PlanCallStage::Open => return Ok(Begun::Replace(earlier)),
            Some(earlier) if earlier.may_repeat(now) => {
                return match earlier.asks_the_same_as(&call) {
                    true => Ok(Begun::Call(earlier)),
                    false => Err(BillingError::ChangeInProgress),
                };
            }
            Some(earlier) => self.end(earlier.tenant_id, earlier.id).await?,
            None => {}
        }
        self.repositories.plan_calls().insert(&call).await?;
        plan_coupon::hold(self.repositories, &call, now).await?;
        let PriceReference { plan, version, interval } = &call.price;
        let mut asked =
            json!({"call": call.kind.as_str(), "plan": plan, "planVersion": version, "interval": interval});
        if let Some(discount) = &call.discount {
            asked["coupon"] = discount.code.as_str().into();
        }
        self.tell(call.tenant_id, asked).await?;
        Ok(Begun::Call(call))
    }

    /// The call that has put the tenant on this plan, if nobody got its answer: made again with its key, it answers what it has done.
    async fn repeated(&mut self, assessment: &Assessment) -> Result<Begun, BillingError> {
        let now = self.env.now();
        let earlier = self.repositories.plan_calls().under_way(assessment.tenant).await?;
        let price =
            assessment.price.as_ref().map(|price| PriceReference::new(&assessment.plan, price.interval));
        match earlier.filter(|call| call.may_repeat(now) && Some(&call.price) == price.as_ref()) {
            Some(call) if call.kind != PlanCallKind::Checkout => Ok(Begun::Call(call)),
            _ => Err(BillingError::AlreadyOnPlan),
        }
    }

    /// Appends who asks the provider for what.
    async fn tell(&mut self, tenant: TenantId, asked: Value) -> Result<(), BillingError> {
        let declared = &events::SUBSCRIPTION_CHANGE_REQUESTED;
        let event = Event::new(self.env, self.scope, declared, tenant.uuid()).in_tenant(tenant);
        Ok(self.repositories.events().append(event.after(&asked)).await?)
    }
}
