//! The plan of a tenant.

use portico_kernel::{Env, Event, FieldError, Permission, Scope, TenantId, Timestamp, UserId, Violations};
use serde::{Deserialize, Serialize};

use crate::{BillingError, events, plan::FREE, ports::BillingRepositories};

/// Most characters of the id of a plan.
const PLAN_ID_MAX: usize = 50;

/// Most characters of a reason.
const REASON_MAX: usize = 500;

/// How a subscription is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum SubscriptionStatus {
    /// In force, and not paid for yet.
    Trialing,
    /// In force.
    Active,
    /// In force although the last payment has failed; it is tried again.
    PastDue,
    /// Not in force: the payment has failed for good.
    Unpaid,
    /// Ended.
    Canceled,
    /// Not in force: the first payment is not finished.
    Incomplete,
}

impl SubscriptionStatus {
    /// Every status.
    pub const ALL: [Self; 6] =
        [Self::Trialing, Self::Active, Self::PastDue, Self::Unpaid, Self::Canceled, Self::Incomplete];

    /// Name in JSON and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Trialing => "trialing",
            Self::Active => "active",
            Self::PastDue => "past_due",
            Self::Unpaid => "unpaid",
            Self::Canceled => "canceled",
            Self::Incomplete => "incomplete",
        }
    }

    /// The status of this name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }

    /// Whether the plan that is paid for is in force.
    pub const fn is_in_force(self) -> bool {
        matches!(self, Self::Trialing | Self::Active | Self::PastDue)
    }
}

/// The plan of a tenant; exactly one for each tenant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Subscription {
    /// The tenant.
    pub tenant_id: TenantId,
    /// Id of the plan.
    pub plan: String,
    /// The version of the plan that was bought: its prices and limits hold for the tenant, whatever the plan is sold with now.
    pub plan_version: i32,
    /// Whether it is in force.
    pub status: SubscriptionStatus,
    /// When it began.
    pub created_at: Timestamp,
    /// Last change.
    pub updated_at: Timestamp,
}

/// Another plan for a tenant, by staff.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({"plan": "professional", "reason": "Paid by bank transfer"})))]
pub struct PlanGrant {
    /// Id of the plan.
    #[cfg_attr(feature = "openapi", schema(required = true, min_length = 1, max_length = 50))]
    pub plan: String,
    /// Why, for the audit trail; 1 to 500 characters.
    #[cfg_attr(feature = "openapi", schema(required = true, min_length = 1, max_length = 500))]
    pub reason: String,
}

/// Use cases around subscriptions.
pub struct Subscriptions<'a> {
    repositories: &'a mut dyn BillingRepositories,
    scope: &'a Scope,
    env: &'a Env,
}

impl<'a> Subscriptions<'a> {
    /// Over an open unit of work, for a caller.
    pub fn new(repositories: &'a mut dyn BillingRepositories, scope: &'a Scope, env: &'a Env) -> Self {
        Self { repositories, scope, env }
    }

    /// Puts a new tenant on the current version of the free plan; `owner` is the user who made it. Asks for no permission: it is a part
    /// of making a tenant, in whose unit of work it runs.
    ///
    /// # Errors
    /// `NoPlan` where no plan was ever stored.
    pub async fn start_free(
        &mut self,
        tenant: TenantId,
        owner: UserId,
    ) -> Result<Subscription, BillingError> {
        let now = self.env.now();
        let mut subscription = Subscription {
            tenant_id: tenant,
            plan: FREE.to_owned(),
            plan_version: 1,
            status: SubscriptionStatus::Active,
            created_at: now,
            updated_at: now,
        };
        let version = self.repositories.subscriptions().insert_current(&subscription).await?;
        subscription.plan_version = version.ok_or(BillingError::NoPlan)?;
        let event = Event::new(self.env, self.scope, &events::SUBSCRIPTION_CREATED, tenant.uuid());
        self.repositories
            .events()
            .append(event.in_tenant(tenant).by_user(owner).after(&subscription))
            .await?;
        Ok(subscription)
    }

    /// Puts a tenant on the current version of a plan, by staff, without a payment. Nothing is deleted where the new plan includes less:
    /// what is there stays, see [`crate::overage`], and nothing is added until there is room. The tenant that is on this version already
    /// stays as it is.
    ///
    /// # Errors
    /// `Denied` without `platform:plans`; `Invalid`, also for a plan that does not exist or is retired; `NoTenant`.
    pub async fn grant(&mut self, tenant: TenantId, grant: PlanGrant) -> Result<Subscription, BillingError> {
        self.scope.require_platform(Permission::PlatformPlans)?;
        let mut violations = Violations::default();
        violations.line("plan", &grant.plan, 1, PLAN_ID_MAX);
        violations.line("reason", &grant.reason, 1, REASON_MAX);
        violations.into_result().map_err(BillingError::Invalid)?;
        let before = self.repositories.subscriptions().lock(tenant).await?.ok_or(BillingError::NoTenant)?;
        let Some(plan) = self.repositories.plans().current(&grant.plan).await? else {
            let message = "There is no such plan, see GET /api/v1/billing/plans.";
            return Err(BillingError::Invalid(vec![FieldError::new("plan", "unknown_plan", message)]));
        };
        let after = Subscription {
            plan: plan.id,
            plan_version: plan.version,
            status: SubscriptionStatus::Active,
            updated_at: self.env.now(),
            ..before.clone()
        };
        let bought = |subscription: &Subscription| (subscription.plan_version, subscription.status);
        if after.plan == before.plan && bought(&after) == bought(&before) {
            return Ok(before);
        }
        self.repositories.subscriptions().update(&after).await?;
        let mut noted = serde_json::to_value(&after).unwrap_or_default();
        noted["reason"] = grant.reason.trim().into();
        let event = Event::new(self.env, self.scope, &events::SUBSCRIPTION_UPDATED, tenant.uuid());
        self.repositories.events().append(event.in_tenant(tenant).before(&before).after(&noted)).await?;
        Ok(after)
    }
}

#[cfg(test)]
mod tests {
    use portico_kernel::RequestInfo;

    use super::*;
    use crate::{
        plan::{Plan, catalogue},
        ports::{MockPlanRepository, MockSubscriptionRepository},
        testing::{Repositories, env},
    };

    fn on(plan: &str, plan_version: i32) -> Subscription {
        let env = env();
        Subscription {
            tenant_id: env.new_id(),
            plan: plan.to_owned(),
            plan_version,
            status: SubscriptionStatus::Active,
            created_at: env.now(),
            updated_at: env.now(),
        }
    }

    /// A tenant is on a plan, and another plan is found or is not.
    fn granting(before: &Subscription, found: Option<Plan>) -> Repositories {
        let mut lock = MockSubscriptionRepository::new();
        let before = before.clone();
        lock.expect_lock().times(1).return_once(|_| Ok(Some(before)));
        let mut plans = MockPlanRepository::new();
        plans.expect_current().times(1).return_once(|_| Ok(found));
        let mut repositories = Repositories::default();
        repositories.subscriptions.push_back(lock);
        repositories.plans.push_back(plans);
        repositories
    }

    fn wish(plan: &str) -> PlanGrant {
        PlanGrant { plan: plan.to_owned(), reason: " By phone ".to_owned() }
    }

    #[tokio::test]
    async fn a_new_tenant_starts_on_the_current_version_of_the_free_plan() {
        let (env, scope) = (env(), Scope::anonymous(RequestInfo::default()));
        let tenant: TenantId = env.new_id();
        let mut subscriptions = MockSubscriptionRepository::new();
        let free = move |s: &Subscription| {
            s.tenant_id == tenant && s.plan == "free" && s.status == SubscriptionStatus::Active
        };
        subscriptions.expect_insert_current().times(1).withf(free).return_once(|_| Ok(Some(3)));
        let mut repositories = Repositories::default();
        repositories.subscriptions.push_back(subscriptions);
        let made = Subscriptions::new(&mut repositories, &scope, &env)
            .start_free(tenant, env.new_id())
            .await
            .unwrap();
        assert_eq!(made.plan_version, 3);
        let events = repositories.events();
        assert_eq!(
            (events.len(), events[0].kind.as_ref(), events[0].tenant),
            (1, "subscription.created", tenant)
        );
        let after = events[0].after.as_ref().unwrap();
        assert_eq!((&after["plan"], &after["planVersion"]), (&"free".into(), &3.into()));
    }

    #[tokio::test]
    async fn a_grant_is_of_the_current_version() {
        let (env, scope) = (env(), Scope::system(None, RequestInfo::default()));
        // From another plan, and from an earlier version of the same.
        for before in [on("free", 1), on("starter", 1)] {
            let current = Plan { version: 2, ..catalogue().remove(1) };
            let mut repositories = granting(&before, Some(current));
            let mut store = MockSubscriptionRepository::new();
            store
                .expect_update()
                .times(1)
                .withf(|stored| (stored.plan.as_str(), stored.plan_version) == ("starter", 2))
                .return_once(|_| Ok(()));
            repositories.subscriptions.push_back(store);
            let granted = Subscriptions::new(&mut repositories, &scope, &env)
                .grant(before.tenant_id, wish("starter"))
                .await
                .unwrap();
            assert_eq!(granted.plan_version, 2);
            let events = repositories.events();
            assert_eq!((events.len(), events[0].kind.as_ref()), (1, "subscription.updated"));
            let after = events[0].after.as_ref().unwrap();
            assert_eq!((&after["planVersion"], &after["reason"]), (&2.into(), &"By phone".into()));
            assert_eq!(events[0].before.as_ref().unwrap()["planVersion"], 1);
        }
    }

    #[tokio::test]
    async fn who_is_on_that_version_stays_and_unknown_plans_are_refused() {
        let (env, scope) = (env(), Scope::system(None, RequestInfo::default()));
        let before = on("starter", 2);
        let mut repositories = granting(&before, Some(Plan { version: 2, ..catalogue().remove(1) }));
        let same = Subscriptions::new(&mut repositories, &scope, &env)
            .grant(before.tenant_id, wish("starter"))
            .await
            .unwrap();
        assert_eq!((same, repositories.events().len()), (before.clone(), 0));

        let mut repositories = granting(&before, None);
        let refused =
            Subscriptions::new(&mut repositories, &scope, &env).grant(before.tenant_id, wish("gold")).await;
        let Err(BillingError::Invalid(errors)) = refused else { panic!("{refused:?}") };
        assert_eq!((errors[0].field.as_str(), &*errors[0].code), ("plan", "unknown_plan"));
        assert!(repositories.events().is_empty());
    }
}
