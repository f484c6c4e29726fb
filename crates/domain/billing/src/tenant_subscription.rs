//! The subscription of a tenant, as it is shown: the plan in force, and what is paid for it.

use portico_kernel::{Permission, Scope, TenantId, Timestamp};
use serde::Serialize;

use crate::{
    BillingError,
    paid::{BillingAccount, PriceReference},
    payment::Provider,
    period::Period,
    plan::BillingInterval,
    ports::BillingRepositories,
    subscription::{Subscription, SubscriptionStatus},
    subscription_provider::RunningDiscount,
};

/// A plan that follows at the end of the period.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PendingChange {
    /// Id of the plan.
    pub plan: String,
    /// How long a payment is for.
    pub interval: BillingInterval,
    /// From when on.
    pub at: Timestamp,
}

/// The subscription of a tenant; exactly one for each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({
    "id": "0199f3c2-6d4e-7c3a-9d7c-5a8e1f2b3c4d", "tenantId": "0199f3c2-6d4e-7c3a-9d7c-5a8e1f2b3c4d", "plan": "starter", "planVersion": 1,
    "interval": "month", "status": "active", "currentPeriodStart": "2026-11-23T10:00:00Z", "currentPeriodEnd": "2026-12-23T10:00:00Z",
    "trialEndsAt": null, "cancelAt": null, "pendingChange": null, "graceEndsAt": null, "discount": null, "defaultPaymentMethodId": "pm_1a2b3c",
    "provider": "stripe", "createdAt": "2026-11-23T10:00:00Z", "updatedAt": "2026-11-23T10:00:00Z"
})))]
pub struct TenantSubscription {
    /// That of the tenant.
    pub id: TenantId,
    /// The tenant.
    pub tenant_id: TenantId,
    /// Id of the plan in force.
    pub plan: String,
    /// The version of the plan that was bought: its prices and limits hold for the tenant, whatever the plan is sold with now.
    pub plan_version: i32,
    /// How long a payment is for; null where nothing is paid.
    pub interval: Option<BillingInterval>,
    /// How it is. Where nothing is paid, it is `active`.
    pub status: SubscriptionStatus,
    /// Beginning of the period that is paid for; of the period over which usage is counted where nothing is paid.
    pub current_period_start: Timestamp,
    /// End of that period.
    pub current_period_end: Timestamp,
    /// When the trial ends; null where there is none.
    pub trial_ends_at: Option<Timestamp>,
    /// When it ends and the free plan follows; null while it goes on.
    pub cancel_at: Option<Timestamp>,
    /// The plan that follows at the end of the period; null where none does.
    pub pending_change: Option<PendingChange>,
    /// When the plan falls to the free one if a missing payment does not come; null where none is missing.
    pub grace_ends_at: Option<Timestamp>,
    /// What a coupon takes off the next invoices; null where none does.
    pub discount: Option<RunningDiscount>,
    /// What it is paid with; null where nothing is on file.
    pub default_payment_method_id: Option<String>,
    /// Where it is paid; null where nothing is paid.
    pub provider: Option<Provider>,
    /// When the tenant got its first plan.
    pub created_at: Timestamp,
    /// Last change.
    pub updated_at: Timestamp,
}

impl TenantSubscription {
    /// Of the plan in force and what is paid, at a time.
    pub fn new(plan: &Subscription, account: Option<&BillingAccount>, now: Timestamp) -> Self {
        // Billing periods of usage are counted from the day of the first plan.
        let period = Period::of(plan.created_at, now);
        let mut shown = Self {
            id: plan.tenant_id,
            tenant_id: plan.tenant_id,
            plan: plan.plan.clone(),
            plan_version: plan.plan_version,
            interval: None,
            status: plan.status,
            current_period_start: period.starts_at().unwrap_or(plan.created_at),
            current_period_end: period.ends_at().unwrap_or(plan.created_at),
            trial_ends_at: None,
            cancel_at: None,
            pending_change: None,
            grace_ends_at: None,
            discount: None,
            default_payment_method_id: None,
            provider: None,
            created_at: plan.created_at,
            updated_at: plan.updated_at,
        };
        let Some(account) = account else { return shown };
        shown.updated_at = plan.updated_at.max(account.updated_at);
        let Some(running) = account.running() else { return shown };
        let reference = |text: &Option<String>| text.as_deref().and_then(PriceReference::parse);
        shown.status = running.status;
        shown.default_payment_method_id.clone_from(&running.payment_method_id);
        shown.provider = Some(account.provider);
        if !running.status.is_in_force() {
            return shown;
        }
        shown.interval = reference(&running.price).map(|price| price.interval);
        (shown.current_period_start, shown.current_period_end) = (running.period_start, running.period_end);
        let is_trial = running.status == SubscriptionStatus::Trialing;
        shown.trial_ends_at = running.trial_ends_at.filter(|_| is_trial);
        shown.cancel_at = running.ends_at;
        shown.pending_change = running.scheduled.as_ref().and_then(|scheduled| {
            let price = reference(&scheduled.reference)?;
            Some(PendingChange { plan: price.plan, interval: price.interval, at: scheduled.at })
        });
        shown.grace_ends_at = account.grace_ends_at();
        let runs = |discount: &RunningDiscount| discount.ends_at.is_none_or(|end| end > now);
        shown.discount = running.discount.clone().filter(runs);
        shown
    }
}

/// The plan of a tenant, in short.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Package {
    /// Id of the plan.
    #[cfg_attr(feature = "openapi", schema(example = "free"))]
    pub plan: String,
    /// How it is.
    pub status: SubscriptionStatus,
    /// When the next payment is due; absent where none is.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(required = false, value_type = Timestamp))]
    pub renews_at: Option<Timestamp>,
    /// When the plan ends and the free one follows: it was cancelled, a payment is missing, or its trial ends and nothing to pay with is
    /// on file. Absent where it goes on.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(required = false, value_type = Timestamp))]
    pub expires_at: Option<Timestamp>,
}

impl From<TenantSubscription> for Package {
    fn from(shown: TenantSubscription) -> Self {
        // A trial goes on only where something to pay with is on file.
        let trial_ends_at = shown.trial_ends_at.filter(|_| shown.default_payment_method_id.is_none());
        let expires_at = shown.cancel_at.or(shown.grace_ends_at).or(trial_ends_at);
        let renews = expires_at.is_none() && shown.interval.is_some();
        Self {
            plan: shown.plan,
            status: shown.status,
            renews_at: renews.then_some(shown.current_period_end),
            expires_at,
        }
    }
}

/// Reading of subscriptions.
pub struct TenantSubscriptions<'a> {
    repositories: &'a mut dyn BillingRepositories,
}

impl<'a> TenantSubscriptions<'a> {
    /// Over repositories.
    pub fn new(repositories: &'a mut dyn BillingRepositories) -> Self {
        Self { repositories }
    }

    /// The subscription of the active tenant.
    ///
    /// # Errors
    /// `Denied` without `billing:read`; `NoTenant`, also for a tenant without a subscription.
    pub async fn get(&mut self, scope: &Scope, now: Timestamp) -> Result<TenantSubscription, BillingError> {
        let tenant = scope.require(Permission::BillingRead)?;
        self.of(tenant, now).await?.ok_or(BillingError::NoTenant)
    }

    /// The subscription of a tenant, without a check of permissions: for what whoever may see the tenant sees. `None` without one.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn of(
        &mut self,
        tenant: TenantId,
        now: Timestamp,
    ) -> Result<Option<TenantSubscription>, BillingError> {
        let found = self.repositories.subscriptions().with_account(tenant).await?;
        Ok(found.map(|(plan, account)| TenantSubscription::new(&plan, account.as_ref(), now)))
    }
}

#[cfg(test)]
mod tests {
    use portico_kernel::RequestInfo;

    use super::*;
    use crate::{
        checkout::CheckoutRule,
        order::ReturnRule,
        paid::GRACE,
        ports::MockSubscriptionRepository,
        subscription_provider::{ProviderSubscription, ScheduledPrice},
        testing::{Repositories, env},
    };

    fn free(tenant_id: TenantId) -> Subscription {
        let now = env().now();
        Subscription {
            tenant_id,
            plan: "free".to_owned(),
            plan_version: 1,
            status: SubscriptionStatus::Active,
            created_at: now,
            updated_at: now,
        }
    }

    fn account(tenant: TenantId, status: SubscriptionStatus) -> BillingAccount {
        let now = env().now();
        let rule = CheckoutRule {
            provider: Provider::Stripe,
            live: false,
            returns: ReturnRule::Anywhere,
            home: Default::default(),
        };
        let running = ProviderSubscription {
            id: "sub_1".to_owned(),
            status,
            price: Some("starter-1-year".to_owned()),
            period_start: now,
            period_end: now + time::Duration::days(365),
            trial_ends_at: Some(now),
            ends_at: None,
            scheduled: Some(ScheduledPrice { reference: Some("unknown".to_owned()), at: now }),
            payment_method_id: None,
            discount: None,
            live: false,
        };
        BillingAccount { subscription: Some(running), ..BillingAccount::new(tenant, &rule, now) }
    }

    #[test]
    fn what_is_not_in_force_is_shown_by_its_status_only() {
        let (env, now) = (env(), env().now());
        let tenant = env.new_id();
        let plan = free(tenant);
        let nothing = TenantSubscription::new(&plan, None, now);
        assert_eq!((nothing.interval, nothing.provider), (None, None));
        assert_eq!((nothing.current_period_start, nothing.created_at), (now, now));
        for status in SubscriptionStatus::ALL {
            let shown = TenantSubscription::new(&plan, Some(&account(tenant, status)), now);
            let is_paid = status.is_in_force();
            assert_eq!(shown.interval, is_paid.then_some(BillingInterval::Year), "{status:?}");
            let is_trial = status == SubscriptionStatus::Trialing;
            assert_eq!(shown.trial_ends_at.is_some(), is_trial, "a trial that is over is not shown");
            assert_eq!(shown.pending_change, None, "a price that was not made here has no plan");
            let expected = if status == SubscriptionStatus::Canceled { plan.status } else { status };
            assert_eq!(shown.status, expected, "{status:?}");
            let package = Package::from(shown);
            assert_eq!(package.renews_at.is_some(), is_paid && !is_trial, "{status:?}");
        }
    }

    #[test]
    fn a_plan_either_renews_or_expires() {
        let (env, now) = (env(), env().now());
        let plan = free(env.new_id());
        let package = |status, change: fn(&mut BillingAccount)| {
            let mut account = account(plan.tenant_id, status);
            change(&mut account);
            let package = Package::from(TenantSubscription::new(&plan, Some(&account), now));
            (package.renews_at, package.expires_at)
        };
        let on_file: fn(&mut BillingAccount) = |account| {
            account.subscription.as_mut().unwrap().payment_method_id = Some("pm_1".to_owned());
        };
        let cancelled: fn(&mut BillingAccount) = |account| {
            let running = account.subscription.as_mut().unwrap();
            running.ends_at = Some(running.period_end);
        };
        let missing: fn(&mut BillingAccount) = |account| account.past_due_since = Some(account.created_at);
        let no_change: fn(&mut BillingAccount) = |_| {};
        let end = now + time::Duration::days(365);
        assert_eq!(package(SubscriptionStatus::Active, on_file), (Some(end), None));
        assert_eq!(package(SubscriptionStatus::Active, cancelled), (None, Some(end)));
        assert_eq!(package(SubscriptionStatus::Trialing, on_file), (Some(end), None));
        assert_eq!(
            package(SubscriptionStatus::Trialing, no_change),
            (None, Some(now)),
            "the end of the trial"
        );
        assert_eq!(package(SubscriptionStatus::PastDue, missing), (None, Some(now + GRACE)));
        assert_eq!(package(SubscriptionStatus::Unpaid, missing), (None, None), "the free plan");
        let nothing = Package::from(TenantSubscription::new(&plan, None, now));
        assert_eq!((nothing.renews_at, nothing.expires_at), (None, None));
    }

    #[tokio::test]
    async fn the_subscription_of_the_active_tenant_is_read() {
        let env = env();
        let stored = free(env.new_id());
        let scope = Scope::system(Some(stored.tenant_id), RequestInfo::default());
        let mut repositories = Repositories::default();
        for found in [Some(stored.clone()), None] {
            let mut mock = MockSubscriptionRepository::new();
            mock.expect_with_account().times(1).return_once(|_| Ok(found.map(|found| (found, None))));
            repositories.subscriptions.push_back(mock);
        }
        let mut reading = TenantSubscriptions::new(&mut repositories);
        let shown = reading.get(&scope, env.now()).await.unwrap();
        assert_eq!((shown.plan.as_str(), shown.tenant_id), ("free", stored.tenant_id));
        let missing = reading.get(&scope, env.now()).await;
        assert!(matches!(missing, Err(BillingError::NoTenant)));
        let anonymous = Scope::anonymous(RequestInfo::default());
        let denied = reading.get(&anonymous, env.now()).await;
        assert!(matches!(denied, Err(BillingError::Denied(_))));
    }
}
