//! Quotas: enforced at the moment of use, also under concurrency.

use async_trait::async_trait;
use portico_kernel::{
    EntitlementError, Entitlements, Feature, Meter, Permission, Scope, StoreError, TenantId, Timestamp,
};
use serde::Serialize;
use time::Date;

use crate::{
    BillingError,
    limits::Allowance,
    period::Period,
    plan::{Plan, UNVERIFIED_STORAGE},
    ports::{BillingRepositories, StorageRoom},
};

/// With more bytes left than these, changes of texts do not wait for each other to check whether they fit: more than all changes
/// under way at a time can add.
const STORAGE_MARGIN: u64 = 64 << 20;

/// What a meter counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = UsageUnit))]
pub enum Unit {
    /// Things.
    Count,
    /// Bytes.
    Bytes,
}

impl Unit {
    /// What this meter counts.
    pub const fn of(meter: Meter) -> Self {
        match meter {
            Meter::Storage | Meter::Bandwidth => Self::Bytes,
            Meter::Sites | Meter::AiGenerations | Meter::CustomDomains => Self::Count,
        }
    }

    /// Name in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::Bytes => "bytes",
        }
    }
}

/// How much of a meter is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Usage {
    /// What is counted.
    pub meter: Meter,
    /// What is used now.
    pub used: u64,
    /// What the plan includes, or what was agreed on with the tenant instead; null for no limit.
    pub limit: Option<u64>,
    /// What `used` and `limit` are in.
    pub unit: Unit,
    /// When it begins at zero again; null for what is counted as long as it exists.
    pub resets_at: Option<Timestamp>,
}

impl Usage {
    pub(crate) fn new(allowance: &Allowance, meter: Meter, period: Period, used: u64) -> Self {
        Self {
            meter,
            used,
            limit: allowance.limit(meter),
            unit: Unit::of(meter),
            resets_at: period.ends_at(),
        }
    }
}

/// What the plans allow, over an open unit of work.
pub struct Quotas<'a> {
    repositories: &'a mut dyn BillingRepositories,
}

impl<'a> Quotas<'a> {
    /// Over an open unit of work.
    pub fn new(repositories: &'a mut dyn BillingRepositories) -> Self {
        Self { repositories }
    }

    /// Like [`Entitlements::take`], for a meter that counts by billing periods: counts in the period of `now`, which is answered, and
    /// on its day.
    pub(crate) async fn take_at(
        &mut self,
        tenant: TenantId,
        meter: Meter,
        now: Timestamp,
        amount: u64,
    ) -> Result<Period, EntitlementError> {
        let allowance = self.allowance_of(tenant).await?;
        let period = allowance.period(meter, now);
        self.take_during(tenant, &allowance, meter, period, Some(now.into_inner().date()), amount).await?;
        Ok(period)
    }

    async fn take_during(
        &mut self,
        tenant: TenantId,
        allowance: &Allowance,
        meter: Meter,
        period: Period,
        day: Option<Date>,
        amount: u64,
    ) -> Result<(), EntitlementError> {
        let limit = allowance.limit(meter);
        // Texts take a part of the storage for files.
        let texts = match meter {
            Meter::Storage => {
                let room = self.repositories.meters().storage(tenant, u64::MAX).await?;
                refuse_unverified(room, amount)?;
                room.texts
            }
            _ => 0,
        };
        let room = limit.map(|limit| limit.saturating_sub(texts));
        let mut meters = self.repositories.meters();
        let fits = match day {
            Some(day) => meters.add_on_day(tenant, meter, period, day, amount, room).await?,
            None => meters.add(tenant, meter, period, amount, room).await?,
        };
        drop(meters);
        if fits {
            return Ok(());
        }
        let used = self.repositories.meters().used(tenant, meter, period).await?.saturating_add(texts);
        // Without a limit the counter does not refuse.
        let limit = limit.unwrap_or(u64::MAX);
        Err(self.exceeded(allowance, meter, limit, used, used.saturating_add(amount)).await?)
    }

    /// Counts what a tenant has got whatever its plan includes, such as a site that it has paid for.
    pub async fn add_regardless(
        &mut self,
        tenant: TenantId,
        meter: Meter,
        amount: u64,
    ) -> Result<(), StoreError> {
        debug_assert!(!meter.is_monthly(), "counted by period, see take_at");
        // Without a limit the counter does not refuse.
        self.repositories.meters().add(tenant, meter, Period::Standing, amount, None).await.map(drop)
    }

    /// Checks that the tenant stores no more than it may, after the unit of work has stored something whose bytes the store
    /// counts by itself.
    ///
    /// # Errors
    /// `QuotaExceeded`; `UnverifiedStorage`.
    pub async fn check_storage(&mut self, tenant: TenantId) -> Result<(), EntitlementError> {
        let room = self.repositories.meters().storage(tenant, STORAGE_MARGIN).await?;
        self.check_room(tenant, room).await
    }

    /// The same where it is known what the tenant stored before this change, which is smaller than [`STORAGE_MARGIN`]; asks again
    /// where less than that is left.
    ///
    /// # Errors
    /// `QuotaExceeded`; `UnverifiedStorage`.
    pub async fn check_storage_of(
        &mut self,
        tenant: TenantId,
        room: StorageRoom,
    ) -> Result<(), EntitlementError> {
        if room.left() < STORAGE_MARGIN {
            return self.check_storage(tenant).await;
        }
        self.check_room(tenant, room).await
    }

    async fn check_room(&mut self, tenant: TenantId, room: StorageRoom) -> Result<(), EntitlementError> {
        refuse_unverified(room, 0)?;
        match room.limit {
            Some(limit) if room.used() > limit => {
                let allowance = self.allowance_of(tenant).await?;
                Err(self.exceeded(&allowance, Meter::Storage, limit, room.used(), room.used()).await?)
            }
            _ => Ok(()),
        }
    }

    /// The error that names the cheapest plan that includes `wanted`; none where the limit is not that of a plan, because it
    /// would not change with one.
    async fn exceeded(
        &mut self,
        allowance: &Allowance,
        meter: Meter,
        limit: u64,
        used: u64,
        wanted: u64,
    ) -> Result<EntitlementError, StoreError> {
        let plan = match allowance.is_agreed(meter) {
            true => None,
            false => self.cheapest(|plan| plan.includes(meter, wanted)).await?,
        };
        Ok(EntitlementError::QuotaExceeded { meter, limit, used, plan })
    }

    /// Id of the cheapest plan on offer that meets the condition.
    async fn cheapest(&mut self, would_do: impl Fn(&Plan) -> bool) -> Result<Option<String>, StoreError> {
        let offers = self.repositories.plans().list().await?;
        let fitting = offers.into_iter().filter(would_do);
        Ok(fitting.min_by_key(|plan| (plan.amount, plan.position)).map(|plan| plan.id))
    }

    /// Each meter of any tenant against its limit, in the period of `now`, for staff. Empty where it has no plan.
    ///
    /// # Errors
    /// `Denied` without `platform:customers`.
    pub async fn usage_of(
        &mut self,
        scope: &Scope,
        tenant: TenantId,
        now: Timestamp,
    ) -> Result<Vec<Usage>, BillingError> {
        scope.require_platform(Permission::PlatformCustomers)?;
        match self.measure(tenant, now).await {
            Err(EntitlementError::NoPlan) => Ok(Vec::new()),
            measured => Ok(measured?),
        }
    }

    async fn measure(&mut self, tenant: TenantId, now: Timestamp) -> Result<Vec<Usage>, EntitlementError> {
        let allowance = self.allowance_of(tenant).await?;
        Ok(self.measured(tenant, &allowance, &Meter::ALL, now).await?)
    }

    /// These meters against their limits, in the period of a point in time.
    pub(crate) async fn measured(
        &mut self,
        tenant: TenantId,
        allowance: &Allowance,
        meters: &[Meter],
        at: Timestamp,
    ) -> Result<Vec<Usage>, StoreError> {
        let meters: Vec<_> = meters.iter().map(|meter| (*meter, allowance.period(*meter, at))).collect();
        let used = self.repositories.meters().used_of_all(tenant, &meters).await?;
        let usage = meters
            .into_iter()
            .zip(used)
            .map(|((meter, period), used)| Usage::new(allowance, meter, period, used));
        Ok(usage.collect())
    }

    pub(crate) async fn allowance_of(&mut self, tenant: TenantId) -> Result<Allowance, EntitlementError> {
        let allowance = self.repositories.subscriptions().allowance(tenant).await?;
        allowance.ok_or(EntitlementError::NoPlan)
    }
}

#[async_trait]
impl Entitlements for Quotas<'_> {
    async fn take(&mut self, tenant: TenantId, meter: Meter, amount: u64) -> Result<(), EntitlementError> {
        debug_assert!(!meter.is_monthly(), "counted by period, see take_at");
        let allowance = self.allowance_of(tenant).await?;
        self.take_during(tenant, &allowance, meter, Period::Standing, None, amount).await
    }

    async fn release(&mut self, tenant: TenantId, meter: Meter, amount: u64) -> Result<(), EntitlementError> {
        Ok(self.repositories.meters().subtract(tenant, meter, Period::Standing, amount).await?)
    }

    async fn require(&mut self, tenant: TenantId, feature: Feature) -> Result<(), EntitlementError> {
        if self.allowance_of(tenant).await?.plan.has(feature) {
            return Ok(());
        }
        let plan = self.cheapest(|plan| plan.has(feature)).await?;
        Err(EntitlementError::PlanRequired { feature, plan })
    }
}

/// Checks that so many bytes more are allowed for a tenant without a verified owner.
fn refuse_unverified(room: StorageRoom, more: u64) -> Result<(), EntitlementError> {
    let (used, limit) = (room.used(), UNVERIFIED_STORAGE);
    if !room.verified && used.saturating_add(more) > limit {
        return Err(EntitlementError::UnverifiedStorage { limit, used });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use portico_kernel::{Fault, Kind, RequestInfo};

    use super::*;
    use crate::{
        limits::Overrides,
        plan::catalogue,
        ports::{MockMeterRepository, MockPlanRepository, MockSubscriptionRepository},
        testing::{Repositories, allowance, env},
    };

    fn on_plan(id: &'static str) -> Repositories {
        let mut subscriptions = MockSubscriptionRepository::new();
        let plan = catalogue().into_iter().find(|plan| plan.id == id);
        let allowance = plan.map(allowance);
        subscriptions.expect_allowance().times(1).return_once(|_| Ok(allowance));
        let mut repositories = Repositories::default();
        repositories.subscriptions.push_back(subscriptions);
        repositories
    }

    /// On the free plan, with another limit of sites.
    fn agreed(sites: Option<u64>) -> Repositories {
        let mut subscriptions = MockSubscriptionRepository::new();
        let overrides = Overrides { limits: BTreeMap::from([(Meter::Sites, sites)]), ..Overrides::default() };
        let allowance = Allowance { overrides, ..allowance(catalogue().remove(0)) };
        subscriptions.expect_allowance().times(1).return_once(|_| Ok(Some(allowance)));
        let mut repositories = Repositories::default();
        repositories.subscriptions.push_back(subscriptions);
        repositories
    }

    #[tokio::test]
    async fn what_was_agreed_on_counts_instead_of_the_plan_and_no_plan_helps() {
        for limit in [Some(7), None] {
            let mut repositories = agreed(limit);
            repositories.meters.push_back(counter(limit, true));
            Quotas::new(&mut repositories).take(env().new_id(), Meter::Sites, 1).await.unwrap();
        }
        let mut repositories = agreed(Some(0));
        repositories.meters.extend([counter(Some(0), false), reading(0)]);
        let refused = Quotas::new(&mut repositories).take(env().new_id(), Meter::Sites, 1).await.unwrap_err();
        assert!(refused.members().contains(&("plan", serde_json::Value::Null)), "{refused:?}");
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
        Quotas::new(&mut repositories).take(env().new_id(), Meter::Sites, 1).await.unwrap();
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
            let error = Quotas::new(&mut repositories).take(env().new_id(), Meter::Sites, amount).await;
            let error = error.unwrap_err();
            assert_eq!(error.kind(), Kind::Quota);
            let EntitlementError::QuotaExceeded { limit: reported, used: so_far, plan, .. } = error else {
                panic!("{error}")
            };
            assert_eq!((reported, so_far, plan.as_deref()), (limit, used, remedy));
        }
    }

    fn room(files: u64, texts: u64, limit: Option<u64>, verified: bool) -> MockMeterRepository {
        let mut meters = MockMeterRepository::new();
        let room = StorageRoom { files, texts, limit, verified };
        meters.expect_storage().times(1).return_once(move |_, _| Ok(room));
        meters
    }

    #[tokio::test]
    async fn texts_count_against_the_storage_of_the_plan() {
        for (files, texts, limit, fits) in
            [(50, 50, Some(100), true), (50, 51, Some(100), false), (1 << 40, 1 << 40, None, true)]
        {
            let mut repositories = if fits { Repositories::default() } else { on_plan("free") };
            repositories.meters.push_back(room(files, texts, limit, true));
            let mut plans = MockPlanRepository::new();
            plans.expect_list().times(usize::from(!fits)).returning(|| Ok(catalogue()));
            repositories.plans.push_back(plans);
            let checked = Quotas::new(&mut repositories).check_storage(env().new_id()).await;
            match checked {
                Ok(()) => assert!(fits),
                Err(EntitlementError::QuotaExceeded { meter, limit: reported, used, plan }) => {
                    assert_eq!((meter, Some(reported), used), (Meter::Storage, limit, files + texts));
                    assert_eq!((fits, plan.as_deref()), (false, Some("free")));
                }
                Err(error) => panic!("{error}"),
            }
        }
        // Storage that texts take is not available for files.
        let mut repositories = on_plan("free");
        repositories.meters.extend([room(0, 24, Some(1 << 30), true), counter(Some((1 << 30) - 24), true)]);
        Quotas::new(&mut repositories).take(env().new_id(), Meter::Storage, 5).await.unwrap();
    }

    #[tokio::test]
    async fn without_a_verified_address_there_is_little_room_on_every_plan() {
        let mut repositories = Repositories::default();
        repositories.meters.push_back(room(UNVERIFIED_STORAGE, 1, None, false));
        let refused = Quotas::new(&mut repositories).check_storage(env().new_id()).await.unwrap_err();
        assert_eq!((refused.kind(), refused.code()), (Kind::Quota, "quota_exceeded"));
        assert!(refused.members().contains(&("limit", UNVERIFIED_STORAGE.into())), "{refused}");

        let mut repositories = on_plan("enterprise");
        repositories.meters.push_back(room(0, 10, None, false));
        let refused =
            Quotas::new(&mut repositories).take(env().new_id(), Meter::Storage, UNVERIFIED_STORAGE - 9).await;
        assert_eq!(refused.unwrap_err().code(), "quota_exceeded");
    }

    #[tokio::test]
    async fn premium_templates_are_for_plans_that_have_them() {
        let mut repositories = on_plan("professional");
        Quotas::new(&mut repositories).require(env().new_id(), Feature::PremiumTemplates).await.unwrap();
        for plan in ["free", "starter"] {
            let mut repositories = on_plan(plan);
            let mut plans = MockPlanRepository::new();
            plans.expect_list().times(1).return_once(|| Ok(catalogue()));
            repositories.plans.push_back(plans);
            let refused =
                Quotas::new(&mut repositories).require(env().new_id(), Feature::PremiumTemplates).await;
            let error = refused.unwrap_err();
            assert_eq!((error.kind(), error.code()), (Kind::Quota, "plan_required"));
            assert_eq!(error.members()[1], ("plan", "professional".into()));
        }
    }

    #[tokio::test]
    async fn no_plan_is_named_where_none_would_do() {
        let mut repositories = Repositories::default();
        let mut plans = MockPlanRepository::new();
        let limited = catalogue().into_iter().filter(|plan| plan.id != "enterprise").collect();
        plans.expect_list().times(1).return_once(|| Ok(limited));
        repositories.plans.push_back(plans);
        let cheapest =
            Quotas::new(&mut repositories).cheapest(|plan| plan.includes(Meter::Sites, 11)).await.unwrap();
        assert_eq!(cheapest, None);
    }

    #[tokio::test]
    async fn a_tenant_without_a_plan_uses_nothing() {
        let mut repositories = on_plan("no-such-plan");
        let result = Quotas::new(&mut repositories).take(env().new_id(), Meter::Sites, 1).await;
        assert_eq!(result.unwrap_err().code(), "not_found");
    }

    #[tokio::test]
    async fn usage_lists_every_meter_with_its_limit() {
        let mut repositories = on_plan("free");
        let mut meters = MockMeterRepository::new();
        let (now, anchor) = (env().now(), allowance(catalogue().remove(0)).period_anchor);
        let asked = Meter::ALL.map(|meter| (meter, Period::for_meter(meter, anchor, now)));
        meters
            .expect_used_of_all()
            .withf(move |_, meters| meters == asked)
            .times(1)
            .return_once(|_, _| Ok(vec![1, 5, 0, 0, 9]));
        repositories.meters.extend([meters]);
        let usage =
            Quotas::new(&mut repositories).usage_of(&system(None), env().new_id(), now).await.unwrap();
        assert_eq!(usage.iter().map(|u| u.meter).collect::<Vec<_>>(), Meter::ALL);
        let (unit, none) = (Unit::Count, None);
        assert_eq!(usage[0], Usage { meter: Meter::Sites, used: 1, limit: Some(1), unit, resets_at: none });
        assert_eq!((usage[1].meter, usage[1].used, usage[1].unit), (Meter::Storage, 5, Unit::Bytes));
        assert_eq!(usage[2].resets_at, Period::of(anchor, now).ends_at());
        assert_eq!((usage[4].meter, usage[4].used, usage[4].limit), (Meter::Bandwidth, 9, Some(10 << 30)));
        assert_eq!(usage[4].resets_at, usage[2].resets_at);

        let anonymous = Scope::anonymous(RequestInfo::default());
        let error =
            Quotas::new(&mut repositories).usage_of(&anonymous, env().new_id(), now).await.unwrap_err();
        assert_eq!(error.code(), "unauthenticated");
    }
}
