//! Quotas: enforced at the moment of use, also under concurrency.

use async_trait::async_trait;
use portico_kernel::{
    EntitlementError, Entitlements, Feature, Headroom, Meter, Permission, Scope, StoreError, TenantId,
    Timestamp,
};
use serde::Serialize;
use time::Date;

use crate::{
    BillingError,
    limits::Allowance,
    period::Period,
    plan::{Plan, UNVERIFIED_STORAGE},
    ports::{BillingRepositories, RowCount, StorageRoom},
};

/// With more bytes left than these, changes of texts do not wait for each other, nor files for them, to check whether they fit: more than
/// all changes of texts under way at a time can add.
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
            Meter::Sites | Meter::AiGenerations | Meter::CustomDomains | Meter::Members | Meter::ApiKeys => {
                Self::Count
            }
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
        self.check_bytes(tenant, room).await
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
        self.check_bytes(tenant, room).await
    }

    async fn check_bytes(&mut self, tenant: TenantId, room: StorageRoom) -> Result<(), EntitlementError> {
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
        debug_assert!(!meter.counts_rows(), "not taken, see check_room");
        let margin = if meter == Meter::Storage { STORAGE_MARGIN } else { 0 };
        if self.repositories.meters().add_included(tenant, meter, amount, margin).await? {
            return Ok(());
        }
        // It does not fit, or only with a closer look: what is included is read, and decides.
        let allowance = self.allowance_of(tenant).await?;
        self.take_during(tenant, &allowance, meter, Period::Standing, None, amount).await
    }

    async fn release(&mut self, tenant: TenantId, meter: Meter, amount: u64) -> Result<(), EntitlementError> {
        Ok(self.repositories.meters().subtract(tenant, meter, Period::Standing, amount).await?)
    }

    async fn transfer(
        &mut self,
        meter: Meter,
        from: (TenantId, u64),
        to: (TenantId, u64),
    ) -> Result<(), EntitlementError> {
        let mut changes = [(from, false), (to, true)];
        changes.sort_unstable_by_key(|((tenant, _), _)| *tenant);
        for ((tenant, amount), is_added) in changes {
            if amount == 0 {
                continue;
            }
            if is_added {
                self.add_regardless(tenant, meter, amount).await?;
            } else {
                self.release(tenant, meter, amount).await?;
            }
        }
        Ok(())
    }

    async fn require(&mut self, tenant: TenantId, feature: Feature) -> Result<(), EntitlementError> {
        if self.allowance_of(tenant).await?.plan.has(feature) {
            return Ok(());
        }
        let plan = self.cheapest(|plan| plan.has(feature)).await?;
        Err(EntitlementError::PlanRequired { feature, plan })
    }
}

#[async_trait]
impl Headroom for Quotas<'_> {
    async fn check_room(
        &mut self,
        tenant: TenantId,
        meter: Meter,
        added: u64,
    ) -> Result<(), EntitlementError> {
        let room = self.repositories.meters().rows(tenant, meter).await?;
        let Some(RowCount { used, limit }) = room else { return Err(EntitlementError::NoPlan) };
        let used = used.saturating_sub(added);
        match limit {
            Some(limit) if used >= limit => {
                let allowance = self.allowance_of(tenant).await?;
                Err(self.exceeded(&allowance, meter, limit, used, used.saturating_add(1)).await?)
            }
            _ => Ok(()),
        }
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
#[path = "quota_tests.rs"]
mod tests;
