//! The limits of one tenant: those of its plan, and what staff agreed on with it instead.

use std::collections::BTreeMap;

use portico_kernel::{Env, Event, Meter, Permission, RuleMessage, Scope, TenantId, Timestamp, Violations};
use serde::{Deserialize, Serialize};

use crate::{BillingError, events, overage::Overage, period::Period, plan::Plan, ports::BillingRepositories};

/// Most characters of a reason.
const REASON_MAX: usize = 500;

/// The largest limit of a meter: the largest integer that every reader of JSON knows exactly.
pub(crate) const LIMIT_MAX: u64 = (1 << 53) - 1;

/// The largest limit of requests in a minute.
const RATE_MAX: u32 = 1_000_000;

/// Requests in a minute. Absent ones are those of the plan.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RequestRates {
    /// Of each member who acts in the tenant, 1 to 1,000,000.
    #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 1_000_000, example = 600))]
    pub per_user: Option<u32>,
    /// Of each API key, 1 to 1,000,000. A key with a limit of its own has the lower one of the two.
    #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 1_000_000, example = 3000))]
    pub per_key: Option<u32>,
}

/// What was agreed on with a tenant instead of the limits of its plan. It stays when the plan changes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Overrides {
    /// The limit of each meter that has another one than the plan; `None` is no limit.
    pub limits: BTreeMap<Meter, Option<u64>>,
    /// Requests in a minute.
    pub requests_per_minute: RequestRates,
    /// Why, in the words of staff.
    pub reason: Option<String>,
    /// When it was set.
    pub set_at: Option<Timestamp>,
}

impl Overrides {
    fn is_same_as(&self, other: &Self) -> bool {
        self.limits == other.limits && self.requests_per_minute == other.requests_per_minute
    }
}

/// What a tenant may use: its plan, and what was agreed on instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// The plan in force.
    pub plan: Plan,
    /// What is different for the tenant.
    pub overrides: Overrides,
    /// When its first billing period began. All others follow from it, see [`Period::of`], whatever becomes of the plan.
    pub period_anchor: Timestamp,
    /// The end of the period whose bandwidth is used up, as it was last checked, see [`crate::thresholds`]. It may be over.
    pub bandwidth_spent_until: Option<Timestamp>,
    /// Whether it had more sites than its limit, as it was last checked.
    pub overage: Option<Overage>,
}

impl Allowance {
    /// The limit of a meter; `None` is no limit.
    pub fn limit(&self, meter: Meter) -> Option<u64> {
        match self.overrides.limits.get(&meter) {
            Some(agreed) => *agreed,
            None => self.plan.limit(meter),
        }
    }

    /// The period that a meter counts over at this time.
    pub fn period(&self, meter: Meter, now: Timestamp) -> Period {
        Period::for_meter(meter, self.period_anchor, now)
    }

    /// Whether the limit of a meter is not that of the plan.
    pub fn is_agreed(&self, meter: Meter) -> bool {
        self.overrides.limits.contains_key(&meter)
    }
}

/// Other limits for a tenant. They replace all that were set before.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({
    "limits": {"sites": 5, "bandwidth": null}, "requestsPerMinute": {"perKey": 3000}, "reason": "Agreed on by phone"
})))]
pub struct LimitsUpdate {
    /// By meter, as in `limits` of a plan: 0 to 9,007,199,254,740,991; null is no limit. A meter that is absent has the limit of
    /// the plan.
    pub limits: BTreeMap<Meter, Option<u64>>,
    /// Requests in a minute. What is absent or null is that of the plan.
    #[serde(alias = "requests_per_minute")]
    pub requests_per_minute: RequestRates,
    /// Why, for the audit trail; 1 to 500 characters.
    #[cfg_attr(feature = "openapi", schema(required = true, min_length = 1, max_length = 500))]
    pub reason: String,
}

/// A limit of a tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = TenantLimit))]
pub struct Limit {
    /// What is limited.
    pub meter: Meter,
    /// The limit; null for none.
    pub limit: Option<u64>,
    /// That of the plan; null for none.
    pub plan_limit: Option<u64>,
    /// Whether it was agreed on with the tenant, and is not that of the plan.
    pub is_agreed: bool,
}

/// The limits of a tenant, as staff sees them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TenantLimits {
    /// The tenant.
    pub tenant_id: TenantId,
    /// Id of its plan.
    pub plan: String,
    /// Every meter.
    pub limits: Vec<Limit>,
    /// Requests in a minute that were agreed on; null where those of the plan hold.
    pub requests_per_minute: RequestRates,
    /// Why something was agreed on, if anything is.
    pub reason: Option<String>,
    /// When that was set.
    pub set_at: Option<Timestamp>,
}

impl TenantLimits {
    fn new(tenant_id: TenantId, allowance: Allowance) -> Self {
        let limits = Meter::ALL.map(|meter| Limit {
            meter,
            limit: allowance.limit(meter),
            plan_limit: allowance.plan.limit(meter),
            is_agreed: allowance.is_agreed(meter),
        });
        let Allowance { plan, overrides, .. } = allowance;
        Self {
            tenant_id,
            plan: plan.id,
            limits: limits.to_vec(),
            requests_per_minute: overrides.requests_per_minute,
            reason: overrides.reason,
            set_at: overrides.set_at,
        }
    }
}

/// Use cases around the limits of one tenant, for staff.
pub struct Agreements<'a> {
    repositories: &'a mut dyn BillingRepositories,
    scope: &'a Scope,
    env: &'a Env,
}

impl<'a> Agreements<'a> {
    /// Over an open unit of work, for a caller.
    pub fn new(repositories: &'a mut dyn BillingRepositories, scope: &'a Scope, env: &'a Env) -> Self {
        Self { repositories, scope, env }
    }

    /// The limits of a tenant.
    ///
    /// # Errors
    /// `Denied` without `platform:limits`; `NoTenant`.
    pub async fn get(&mut self, tenant: TenantId) -> Result<TenantLimits, BillingError> {
        self.scope.require_platform(Permission::PlatformLimits)?;
        let found = self.repositories.subscriptions().allowance(tenant).await?;
        Ok(TenantLimits::new(tenant, found.ok_or(BillingError::NoTenant)?))
    }

    /// The limits of a tenant, for whoever sees customers; `None` without a plan in force.
    ///
    /// # Errors
    /// `Denied` without `platform:customers`.
    pub async fn find(&mut self, tenant: TenantId) -> Result<Option<TenantLimits>, BillingError> {
        self.scope.require_platform(Permission::PlatformCustomers)?;
        let found = self.repositories.subscriptions().allowance(tenant).await?;
        Ok(found.map(|allowance| TenantLimits::new(tenant, allowance)))
    }

    /// Replaces what was agreed on with a tenant. It holds at once, and stays when the plan changes. Where the tenant uses more,
    /// what is there stays, see [`crate::overage`], and nothing is added until there is room. The same as before changes nothing.
    ///
    /// # Errors
    /// `Denied` without `platform:limits`; `Invalid`; `NoTenant`.
    pub async fn set(&mut self, tenant: TenantId, input: LimitsUpdate) -> Result<TenantLimits, BillingError> {
        self.scope.require_platform(Permission::PlatformLimits)?;
        let mut violations = Violations::default();
        for (meter, limit) in &input.limits {
            let fits = limit.is_none_or(|limit| limit <= LIMIT_MAX);
            let message = RuleMessage::new("A limit is 9,007,199,254,740,991 at most; null is no limit.");
            let message = message.min(0).max(LIMIT_MAX);
            violations.check(fits, format!("limits.{}", meter.as_str()), "too_large", message);
        }
        let rates = input.requests_per_minute;
        for (field, rate) in [("perUser", rates.per_user), ("perKey", rates.per_key)] {
            let fits = rate.is_none_or(|rate| (1..=RATE_MAX).contains(&rate));
            let message = RuleMessage::number(1, i64::from(RATE_MAX));
            violations.check(fits, format!("requestsPerMinute.{field}"), "out_of_range", message);
        }
        violations.line("reason", &input.reason, 1, REASON_MAX);
        violations.into_result().map_err(BillingError::Invalid)?;

        self.repositories.subscriptions().lock(tenant).await?.ok_or(BillingError::NoTenant)?;
        let found = self.repositories.subscriptions().allowance(tenant).await?;
        let before = found.ok_or(BillingError::NoTenant)?;
        let overrides = Overrides {
            limits: input.limits,
            requests_per_minute: rates,
            reason: Some(input.reason.trim().to_owned()),
            set_at: Some(self.env.now()),
        };
        if overrides.is_same_as(&before.overrides) {
            return Ok(TenantLimits::new(tenant, before));
        }
        self.repositories.subscriptions().set_overrides(tenant, &overrides).await?;
        let event = Event::new(self.env, self.scope, &events::SUBSCRIPTION_LIMITS_UPDATED, tenant.uuid())
            .in_tenant(tenant)
            .before(&before.overrides)
            .after(&overrides);
        self.repositories.events().append(event).await?;
        Ok(TenantLimits::new(tenant, Allowance { overrides, ..before }))
    }
}

#[cfg(test)]
mod tests {
    use portico_kernel::{Permissions, RequestInfo};

    use super::*;
    use crate::{
        plan::catalogue,
        ports::MockSubscriptionRepository,
        subscription::{Subscription, SubscriptionStatus},
        testing::{Repositories, allowance, env},
    };

    /// Locks, reads, and maybe stores.
    fn holding(overrides: Overrides, stores: bool) -> Repositories {
        let env = env();
        let mut lock = MockSubscriptionRepository::new();
        let subscription = Subscription {
            tenant_id: env.new_id(),
            plan: "free".to_owned(),
            plan_version: 1,
            status: SubscriptionStatus::Active,
            created_at: env.now(),
            updated_at: env.now(),
        };
        lock.expect_lock().times(1).return_once(|_| Ok(Some(subscription)));
        let mut read = MockSubscriptionRepository::new();
        let allowance = Allowance { overrides, ..allowance(catalogue().remove(0)) };
        read.expect_allowance().times(1).return_once(|_| Ok(Some(allowance)));
        let mut repositories = Repositories::default();
        repositories.subscriptions.extend([lock, read]);
        if stores {
            let mut store = MockSubscriptionRepository::new();
            store.expect_set_overrides().times(1).return_once(|_, _| Ok(()));
            repositories.subscriptions.push_back(store);
        }
        repositories
    }

    fn five_sites() -> LimitsUpdate {
        LimitsUpdate {
            limits: BTreeMap::from([(Meter::Sites, Some(5)), (Meter::Storage, None)]),
            requests_per_minute: RequestRates { per_user: None, per_key: Some(50) },
            reason: " By phone ".to_owned(),
        }
    }

    #[tokio::test]
    async fn what_is_agreed_on_is_recorded_with_what_was_before() {
        let (env, scope) = (env(), Scope::system(None, RequestInfo::default()));
        let tenant = env.new_id();
        let mut repositories = holding(Overrides::default(), true);
        let limits =
            Agreements::new(&mut repositories, &scope, &env).set(tenant, five_sites()).await.unwrap();
        let seen = |meter| {
            let limit = limits.limits.iter().find(|limit| limit.meter == meter).unwrap();
            (limit.limit, limit.plan_limit, limit.is_agreed)
        };
        assert_eq!(seen(Meter::Sites), (Some(5), Some(1), true));
        assert_eq!(seen(Meter::Storage), (None, Some(1 << 30), true));
        assert_eq!(seen(Meter::AiGenerations), (Some(10), Some(10), false));
        let events = repositories.events();
        assert_eq!((events.len(), events[0].kind.as_ref()), (1, "subscription.limits_updated"));
        assert_eq!(
            (events[0].tenant, &events[0].before.as_ref().unwrap()["limits"]),
            (tenant, &serde_json::json!({}))
        );
        let after = events[0].after.as_ref().unwrap();
        assert_eq!(after["limits"], serde_json::json!({"sites": 5, "storage": null}));
        assert_eq!(
            (&after["reason"], &after["requestsPerMinute"]["perKey"]),
            (&"By phone".into(), &50.into())
        );
    }

    #[tokio::test]
    async fn the_same_again_changes_nothing() {
        let (env, scope) = (env(), Scope::system(None, RequestInfo::default()));
        let LimitsUpdate { limits, requests_per_minute, .. } = five_sites();
        let stored = Overrides { limits, requests_per_minute, ..Overrides::default() };
        let mut repositories = holding(stored, false);
        Agreements::new(&mut repositories, &scope, &env).set(env.new_id(), five_sites()).await.unwrap();
        assert!(repositories.events().is_empty());
    }

    #[tokio::test]
    async fn all_errors_are_named_and_others_may_not() {
        let env = env();
        let scope = Scope::system(None, RequestInfo::default());
        let wrong = LimitsUpdate {
            limits: BTreeMap::from([(Meter::Sites, Some(u64::MAX))]),
            requests_per_minute: RequestRates { per_user: Some(0), per_key: Some(RATE_MAX + 1) },
            reason: String::new(),
        };
        let mut repositories = Repositories::default();
        let refused = Agreements::new(&mut repositories, &scope, &env).set(env.new_id(), wrong).await;
        let Err(BillingError::Invalid(errors)) = refused else { panic!("{refused:?}") };
        let fields: Vec<_> = errors.iter().map(|error| error.field.as_str()).collect();
        assert_eq!(
            fields,
            ["limits.sites", "requestsPerMinute.perUser", "requestsPerMinute.perKey", "reason"]
        );
        let maker = portico_kernel::KeyMaker { id: env.new_id(), email_verified: true };
        let key = Scope::api_key(
            env.new_id(),
            Some(maker),
            env.new_id(),
            Permissions::NONE,
            RequestInfo::default(),
        );
        let refused = Agreements::new(&mut repositories, &key, &env).set(env.new_id(), five_sites()).await;
        assert!(matches!(refused, Err(BillingError::Denied(_))));
    }
}
