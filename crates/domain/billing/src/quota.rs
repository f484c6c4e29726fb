//! Quotas: enforced at the moment of use, also under concurrency.

use portico_kernel::{Permission, Scope, TenantId, Timestamp};
use serde::Serialize;

use crate::{
    BillingError,
    period::Period,
    plan::{Meter, Plan},
    ports::BillingRepositories,
};

/// How much of a meter is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Usage {
    /// What is counted.
    pub meter: Meter,
    /// What is used now.
    pub used: u64,
    /// What the plan includes; null where it sets no limit.
    pub limit: Option<u64>,
    /// When it begins at zero again; null for what is counted as long as it is there.
    pub resets_at: Option<Timestamp>,
}

/// Use cases around quotas.
pub struct Quotas<'a> {
    repositories: &'a mut dyn BillingRepositories,
    scope: &'a Scope,
}

impl<'a> Quotas<'a> {
    /// Over an open unit of work, for a caller.
    pub fn new(repositories: &'a mut dyn BillingRepositories, scope: &'a Scope) -> Self {
        Self { repositories, scope }
    }

    /// Counts `amount` against the tenant's plan. Must run in the unit of work of what uses it, whose use case has
    /// checked the permission. Fails with `QuotaExceeded` when the plan does not include so much; nothing is counted
    /// then.
    pub async fn consume(&mut self, tenant: TenantId, meter: Meter, amount: u64) -> Result<(), BillingError> {
        debug_assert!(!meter.is_monthly(), "counted by month, see consume_during");
        self.consume_during(tenant, meter, Period::Standing, amount).await
    }

    /// Like [`Quotas::consume`], for a meter that counts by periods.
    pub async fn consume_during(
        &mut self,
        tenant: TenantId,
        meter: Meter,
        period: Period,
        amount: u64,
    ) -> Result<(), BillingError> {
        let plan = self.plan_of(tenant).await?;
        let limit = plan.limit(meter);
        if self.repositories.meters().add(tenant, meter, period, amount, limit).await? {
            return Ok(());
        }
        let used = self.repositories.meters().used(tenant, meter, period).await?;
        let offers = self.repositories.plans().list().await?;
        let remedy = cheapest(offers, meter, used.saturating_add(amount));
        // Only a limit makes the counter refuse.
        Err(BillingError::QuotaExceeded { meter, limit: limit.unwrap_or(u64::MAX), used, plan: remedy })
    }

    /// Gives back what was counted before, in the unit of work of what gives it up.
    pub async fn release(&mut self, tenant: TenantId, meter: Meter, amount: u64) -> Result<(), BillingError> {
        Ok(self.repositories.meters().subtract(tenant, meter, Period::Standing, amount).await?)
    }

    /// That the tenant's plan has premium templates. The use case that uses one has checked the permission.
    ///
    /// # Errors
    /// `PlanRequired`, with the cheapest plan that has them.
    pub async fn require_premium_templates(&mut self, tenant: TenantId) -> Result<(), BillingError> {
        if self.plan_of(tenant).await?.premium_templates {
            return Ok(());
        }
        let offers = self.repositories.plans().list().await?;
        let fitting = offers.into_iter().filter(|plan| plan.premium_templates);
        let plan = fitting.min_by_key(|plan| (plan.amount, plan.position)).map(|plan| plan.id);
        Err(BillingError::PlanRequired { feature: "premium_templates", plan })
    }

    /// Each meter of the active tenant against its limit, in the period of `now`.
    pub async fn usage(&mut self, now: Timestamp) -> Result<Vec<Usage>, BillingError> {
        let tenant = self.scope.require(Permission::BillingRead)?;
        let plan = self.plan_of(tenant).await?;
        let mut usage = Vec::with_capacity(Meter::ALL.len());
        for meter in Meter::ALL {
            let period = meter.period(now);
            let used = self.repositories.meters().used(tenant, meter, period).await?;
            usage.push(Usage { meter, used, limit: plan.limit(meter), resets_at: period.ends_at() });
        }
        Ok(usage)
    }

    async fn plan_of(&mut self, tenant: TenantId) -> Result<Plan, BillingError> {
        let plan = self.repositories.subscriptions().plan_of(tenant).await?;
        plan.ok_or(BillingError::NotFound("subscription"))
    }
}

/// Id of the cheapest plan that includes so much of a meter.
fn cheapest(plans: Vec<Plan>, meter: Meter, amount: u64) -> Option<String> {
    let enough = plans.into_iter().filter(|plan| plan.includes(meter, amount));
    enough.min_by_key(|plan| (plan.amount, plan.position)).map(|plan| plan.id)
}

#[cfg(test)]
mod tests {
    use portico_kernel::{Fault, Kind, RequestInfo};

    use super::*;
    use crate::{
        plan::catalogue,
        ports::{MockMeterRepository, MockPlanRepository, MockSubscriptionRepository},
        testing::{Repositories, env},
    };

    fn on_plan(id: &'static str) -> Repositories {
        let mut subscriptions = MockSubscriptionRepository::new();
        let plan = catalogue().into_iter().find(|plan| plan.id == id);
        subscriptions.expect_plan_of().times(1).return_once(|_| Ok(plan));
        let mut repositories = Repositories::default();
        repositories.subscriptions.push_back(subscriptions);
        repositories
    }

    fn counter(limit: Option<u64>, fits: bool) -> MockMeterRepository {
        let mut meters = MockMeterRepository::new();
        meters
            .expect_add()
            .times(1)
            .withf(move |_, _, period, _, asked| *asked == limit && *period == Period::Standing)
            .return_once(move |_, _, _, _, _| Ok(fits));
        meters
    }

    fn reading(used: u64) -> MockMeterRepository {
        let mut meters = MockMeterRepository::new();
        meters.expect_used().times(1).return_once(move |_, _, _| Ok(used));
        meters
    }

    fn system(tenant: Option<TenantId>) -> Scope {
        Scope::system(tenant, RequestInfo::default())
    }

    #[tokio::test]
    async fn what_fits_is_counted_against_the_plan() {
        let mut repositories = on_plan("starter");
        repositories.meters.push_back(counter(Some(3), true));
        let scope = system(None);
        Quotas::new(&mut repositories, &scope).consume(env().new_id(), Meter::Sites, 1).await.unwrap();
        assert!(repositories.meters.is_empty() && repositories.subscriptions.is_empty());
    }

    #[tokio::test]
    async fn what_does_not_fit_names_the_cheapest_plan_that_would_do() {
        for (plan, limit, used, amount, remedy) in [
            ("free", 1, 1, 1, Some("starter")),
            ("free", 1, 1, 3, Some("professional")),
            ("free", 1, 1, u64::MAX, Some("enterprise")),
            ("professional", 10, 10, 1, Some("enterprise")),
        ] {
            let mut repositories = on_plan(plan);
            repositories.meters.extend([counter(Some(limit), false), reading(used)]);
            let mut plans = MockPlanRepository::new();
            plans.expect_list().times(1).return_once(|| Ok(catalogue()));
            repositories.plans.push_back(plans);
            let scope = system(None);
            let error =
                Quotas::new(&mut repositories, &scope).consume(env().new_id(), Meter::Sites, amount).await;
            let error = error.unwrap_err();
            assert_eq!(error.kind(), Kind::Quota);
            let BillingError::QuotaExceeded { limit: told, used: so_far, plan, .. } = error else {
                panic!("{error}")
            };
            assert_eq!((told, so_far, plan.as_deref()), (limit, used, remedy));
        }
    }

    #[tokio::test]
    async fn premium_templates_are_for_plans_that_have_them() {
        let scope = system(None);
        let mut repositories = on_plan("professional");
        Quotas::new(&mut repositories, &scope).require_premium_templates(env().new_id()).await.unwrap();
        for plan in ["free", "starter"] {
            let mut repositories = on_plan(plan);
            let mut plans = MockPlanRepository::new();
            plans.expect_list().times(1).return_once(|| Ok(catalogue()));
            repositories.plans.push_back(plans);
            let refused =
                Quotas::new(&mut repositories, &scope).require_premium_templates(env().new_id()).await;
            let error = refused.unwrap_err();
            assert_eq!((error.kind(), error.code()), (Kind::Quota, "plan_required"));
            assert_eq!(error.members()[1], ("plan", "professional".into()));
        }
    }

    #[test]
    fn no_plan_is_named_where_none_would_do() {
        let limited = catalogue().into_iter().filter(|plan| plan.id != "enterprise").collect();
        assert_eq!(cheapest(limited, Meter::Sites, 11), None);
    }

    #[tokio::test]
    async fn a_tenant_without_a_plan_uses_nothing() {
        let mut repositories = on_plan("no-such-plan");
        let scope = system(None);
        let result = Quotas::new(&mut repositories, &scope).consume(env().new_id(), Meter::Sites, 1).await;
        assert_eq!(result.unwrap_err().code(), "not_found");
    }

    #[tokio::test]
    async fn usage_lists_every_meter_with_its_limit() {
        let tenant = env().new_id();
        let mut repositories = on_plan("free");
        repositories.meters.extend([reading(1), reading(5), reading(0), reading(0)]);
        let scope = system(Some(tenant));
        let usage = Quotas::new(&mut repositories, &scope).usage(env().now()).await.unwrap();
        assert_eq!(usage.iter().map(|u| u.meter).collect::<Vec<_>>(), Meter::ALL);
        assert_eq!(usage[0], Usage { meter: Meter::Sites, used: 1, limit: Some(1), resets_at: None });
        assert_eq!(usage[2].resets_at, Period::month_of(env().now()).ends_at());

        let anonymous = Scope::anonymous(RequestInfo::default());
        let error = Quotas::new(&mut repositories, &anonymous).usage(env().now()).await.unwrap_err();
        assert_eq!(error.code(), "unauthenticated");
    }
}
