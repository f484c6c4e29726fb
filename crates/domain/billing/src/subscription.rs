//! The plan of a tenant.

use portico_kernel::{
    Env, Event, FieldError, Permission, Scope, StoreError, TenantId, Timestamp, UserId, Violations,
};
use serde::{Deserialize, Serialize};

use crate::{BillingError, events, plan::FREE, ports::BillingRepositories};

/// Most characters of the id of a plan.
const PLAN_ID_MAX: usize = 50;

/// Most characters of a reason.
const REASON_MAX: usize = 500;

/// Whether the plan of a subscription is in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum SubscriptionStatus {
    /// In force.
    Active,
    /// Ended.
    Canceled,
}

impl SubscriptionStatus {
    /// Name in JSON and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Canceled => "canceled",
        }
    }

    /// The status of this name.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Active, Self::Canceled].into_iter().find(|status| status.as_str() == text)
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

    /// Puts a new tenant on the free plan; `owner` is the user who made it. Asks for no permission: it is a part of making a
    /// tenant, in whose unit of work it runs.
    pub async fn start_free(
        &mut self,
        tenant: TenantId,
        owner: UserId,
    ) -> Result<Subscription, BillingError> {
        let now = self.env.now();
        let subscription = Subscription {
            tenant_id: tenant,
            plan: FREE.to_owned(),
            status: SubscriptionStatus::Active,
            created_at: now,
            updated_at: now,
        };
        self.repositories.subscriptions().insert(&subscription).await?;
        let event = Event::new(self.env, self.scope, &events::SUBSCRIPTION_CREATED, tenant.uuid());
        self.repositories
            .events()
            .append(event.in_tenant(tenant).by_user(owner).after(&subscription))
            .await?;
        Ok(subscription)
    }

    /// Puts a tenant on a plan, by staff, without a payment. Nothing is deleted where the new plan includes less: what is
    /// there stays, and nothing is added until there is room. The tenant that is on the plan already stays as it is.
    ///
    /// # Errors
    /// `Denied` without `platform:plans`; `Invalid`, also for a plan that does not exist; `NoTenant`.
    pub async fn grant(&mut self, tenant: TenantId, grant: PlanGrant) -> Result<Subscription, BillingError> {
        self.scope.require_platform(Permission::PlatformPlans)?;
        let mut violations = Violations::default();
        violations.line("plan", &grant.plan, 1, PLAN_ID_MAX);
        violations.line("reason", &grant.reason, 1, REASON_MAX);
        violations.into_result().map_err(BillingError::Invalid)?;
        let before = self.repositories.subscriptions().lock(tenant).await?.ok_or(BillingError::NoTenant)?;
        let after = Subscription {
            plan: grant.plan,
            status: SubscriptionStatus::Active,
            updated_at: self.env.now(),
            ..before.clone()
        };
        if (&after.plan, after.status) == (&before.plan, before.status) {
            return Ok(before);
        }
        self.repositories.subscriptions().update(&after).await.map_err(|error| match error {
            StoreError::MissingReference(_) => {
                let message = "There is no such plan, see GET /api/v1/billing/plans.";
                BillingError::Invalid(vec![FieldError::new("plan", "unknown_plan", message)])
            }
            error => BillingError::Store(error),
        })?;
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
        ports::MockSubscriptionRepository,
        testing::{Repositories, env},
    };

    #[tokio::test]
    async fn a_new_tenant_starts_on_the_free_plan() {
        let (env, scope) = (env(), Scope::anonymous(RequestInfo::default()));
        let tenant: TenantId = env.new_id();
        let mut subscriptions = MockSubscriptionRepository::new();
        let free = move |s: &Subscription| {
            s.tenant_id == tenant && s.plan == "free" && s.status == SubscriptionStatus::Active
        };
        subscriptions.expect_insert().times(1).withf(free).return_once(|_| Ok(()));
        let mut repositories = Repositories::default();
        repositories.subscriptions.push_back(subscriptions);
        Subscriptions::new(&mut repositories, &scope, &env).start_free(tenant, env.new_id()).await.unwrap();
        let events = repositories.events();
        assert_eq!(
            (events.len(), events[0].kind.as_ref(), events[0].tenant),
            (1, "subscription.created", tenant)
        );
        assert_eq!(events[0].after.as_ref().unwrap()["plan"], "free");
    }
}
