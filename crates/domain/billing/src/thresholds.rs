//! Thresholds: tenants are told when 80 % of a limit is used, and when all of it is.
//!
//! Checked in the background soon after a tenant used something, and not by what uses it: no request waits for it, and what is counted
//! by the store itself (texts, traffic) is treated alike. A check looks at what there is, and not at what was added, so one that was
//! missed is made up for by the next one. A threshold is told about once in a billing period. A meter that does not begin at zero
//! with the period, and stays over a threshold, is not told about again until it has been below that in a later period.
//!
//! The same check finds tenants with more sites than their limit, see [`crate::overage`].

use portico_kernel::{
    Env, Event, EventDeclaration, Meter, RequestInfo, Scope, StoreError, TenantId, Timestamp,
};
use serde::{Deserialize, Serialize};

use crate::{
    events,
    limits::Allowance,
    overage::OverageChange,
    period::Period,
    ports::BillingRepositories,
    quota::{Quotas, Unit, Usage},
};

/// How much of a limit is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Threshold {
    /// 80 %.
    Warning,
    /// All of it.
    Exhausted,
}

impl Threshold {
    /// Every threshold, the lowest first.
    pub const ALL: [Self; 2] = [Self::Warning, Self::Exhausted];

    /// In percent of the limit; also what the database has for it.
    pub const fn percent(self) -> i32 {
        match self {
            Self::Warning => 80,
            Self::Exhausted => 100,
        }
    }

    /// The threshold of so many percent.
    pub fn parse(percent: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|threshold| threshold.percent() == percent)
    }

    /// Whether so much of a limit is used. Nothing is used of a limit of zero.
    fn is_reached(self, used: u64, limit: u64) -> bool {
        used > 0 && u128::from(used) * 100 >= u128::from(limit) * self.percent().unsigned_abs() as u128
    }

    const fn event(self) -> &'static EventDeclaration {
        match self {
            Self::Warning => &events::USAGE_WARNING,
            Self::Exhausted => &events::USAGE_EXHAUSTED,
        }
    }
}

/// That a tenant was told about a threshold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Notice {
    /// The meter.
    pub meter: Meter,
    /// What was reached.
    pub threshold: Threshold,
    /// The billing period in which it was told.
    pub period: Period,
}

/// What the events about thresholds tell.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Reached {
    /// The tenant.
    pub tenant_id: TenantId,
    /// What is used.
    pub meter: Meter,
    /// How much is used.
    pub used: u64,
    /// How much there is.
    pub limit: u64,
    /// What both are in: `count` or `bytes`.
    pub unit: String,
    /// First moment of the billing period.
    pub period_start: Option<Timestamp>,
    /// End of the billing period.
    pub period_end: Option<Timestamp>,
    /// When it begins at zero again; null for what is counted as long as it exists.
    pub resets_at: Option<Timestamp>,
}

/// What a check has to store.
#[derive(Debug, Default, PartialEq, Eq)]
struct Changes {
    /// To be told, with what is used of what.
    told: Vec<(Notice, Usage)>,
    /// Noted, but not told about: more was reached at the same time.
    passed: Vec<Notice>,
    /// Noted in an earlier period, and not reached any more.
    over: Vec<Notice>,
    /// The bandwidth is used up until then, and that is not stored yet.
    bandwidth: Option<Option<Timestamp>>,
    /// Whether there are more sites than the limit, where that is not stored yet.
    overage: Option<OverageChange>,
}

/// What a check has found.
#[derive(Debug, PartialEq, Eq)]
pub struct Findings {
    changes: Changes,
    /// How many of the oldest sites of the tenant can be changed now; `None` is all of them. All others are to be read-only.
    pub kept_sites: Option<u64>,
}

impl Findings {
    /// Whether there is something to store. There hardly ever is.
    pub fn are_news(&self) -> bool {
        self.changes != Changes::default()
    }
}

/// What has to be stored, given what is used and what was told about before.
fn changes(allowance: &Allowance, usage: &[Usage], known: &[Notice], now: Timestamp) -> Changes {
    let (mut changes, period) = (Changes::default(), Period::of(allowance.period_anchor, now));
    for usage in usage {
        let reached =
            |threshold: Threshold| usage.limit.is_some_and(|limit| threshold.is_reached(usage.used, limit));
        for threshold in Threshold::ALL {
            let notice = Notice { meter: usage.meter, threshold, period };
            let before =
                known.iter().find(|known| (known.meter, known.threshold) == (usage.meter, threshold));
            let is_told = before.is_some_and(|known| !usage.meter.is_monthly() || known.period == period);
            match before {
                _ if reached(threshold) && is_told => {}
                _ if reached(threshold) => {
                    if threshold == Threshold::Warning && reached(Threshold::Exhausted) {
                        changes.passed.push(notice);
                    } else {
                        changes.told.push((notice, *usage));
                    }
                }
                Some(before) if before.period != period => changes.over.push(*before),
                _ => {}
            }
        }
        if usage.meter == Meter::Bandwidth {
            let until = period.ends_at().filter(|_| reached(Threshold::Exhausted));
            let stored = allowance.bandwidth_spent_until.filter(|until| now < *until);
            changes.bandwidth = (until != stored).then_some(until);
        }
        if usage.meter == Meter::Sites {
            changes.overage = OverageChange::between(allowance.overage, usage.used, usage.limit, now);
        }
    }
    changes
}

/// Use cases around thresholds, by Portico itself.
pub struct Thresholds<'a> {
    repositories: &'a mut dyn BillingRepositories,
    env: &'a Env,
}

impl<'a> Thresholds<'a> {
    /// Over an open unit of work, or over what is read for [`Thresholds::look`].
    pub fn new(repositories: &'a mut dyn BillingRepositories, env: &'a Env) -> Self {
        Self { repositories, env }
    }

    /// What there is to store about a tenant, and which of its sites can be changed; `None` for a tenant without a plan in force, which
    /// stays as it is. Asked without a unit of work first, because there is hardly ever anything to store.
    pub async fn look(&mut self, tenant: TenantId) -> Result<Option<Findings>, StoreError> {
        let Some(allowance) = self.repositories.subscriptions().allowance(tenant).await? else {
            return Ok(None);
        };
        let now = self.env.now();
        let usage = Quotas::new(self.repositories).measured(tenant, &allowance, &Meter::ALL, now).await?;
        let known = self.repositories.meters().notices(tenant).await?;
        let changes = changes(&allowance, &usage, &known, now);
        let overage = changes.overage.map_or(allowance.overage, |change| change.after);
        let kept_sites = overage.and_then(|overage| overage.kept_sites(now));
        Ok(Some(Findings { changes, kept_sites }))
    }

    /// Tells a tenant about the thresholds that its meters have reached since the last check, and about too many sites, and notes whether
    /// its bandwidth is used up. `found` was found in the same unit of work.
    pub async fn store(&mut self, tenant: TenantId, found: &Findings) -> Result<(), StoreError> {
        let changes = &found.changes;
        for notice in &changes.over {
            self.repositories.meters().forget_notice(tenant, notice).await?;
        }
        for notice in &changes.passed {
            self.repositories.meters().note(tenant, notice).await?;
        }
        for (notice, usage) in &changes.told {
            // Another process may have checked at the same time.
            if self.repositories.meters().note(tenant, notice).await? {
                self.tell(tenant, notice, usage).await?;
            }
        }
        if let Some(until) = changes.bandwidth {
            self.repositories.subscriptions().set_bandwidth_spent(tenant, until).await?;
        }
        if let Some(change) = &changes.overage {
            let is_first =
                self.repositories.subscriptions().set_overage(tenant, change.before, change.after).await?;
            if let Some(told) = change.told(tenant).filter(|_| is_first) {
                let event = self.event(tenant, &events::USAGE_OVER_LIMIT).after(&told);
                self.repositories.events().append(event).await?;
            }
        }
        Ok(())
    }

    async fn tell(&mut self, tenant: TenantId, notice: &Notice, usage: &Usage) -> Result<(), StoreError> {
        let reached = Reached {
            tenant_id: tenant,
            meter: usage.meter,
            used: usage.used,
            limit: usage.limit.unwrap_or_default(),
            unit: Unit::of(usage.meter).as_str().to_owned(),
            period_start: notice.period.starts_at(),
            period_end: notice.period.ends_at(),
            resets_at: usage.resets_at,
        };
        let event = self.event(tenant, notice.threshold.event()).after(&reached);
        self.repositories.events().append(event).await
    }

    fn event(&self, tenant: TenantId, kind: &'static EventDeclaration) -> Event {
        let scope = Scope::system(Some(tenant), RequestInfo::default());
        Event::new(self.env, &scope, kind, tenant.uuid())
    }
}

#[cfg(test)]
mod tests {
    use time::Duration;

    use super::*;
    use crate::{
        overage::Overage,
        plan::catalogue,
        ports::{MockMeterRepository, MockSubscriptionRepository},
        testing::{Repositories, allowance, env},
    };

    fn usage(allowance: &Allowance, meter: Meter, used: u64) -> Usage {
        Usage::new(allowance, meter, allowance.period(meter, env().now()), used)
    }

    #[test]
    fn a_threshold_is_reached_exactly_there() {
        let reached = |used, limit| Threshold::ALL.map(|threshold| threshold.is_reached(used, limit));
        for (used, limit, expected) in [
            (0, 0, [false, false]),
            (0, 10, [false, false]),
            (7, 10, [false, false]),
            (8, 10, [true, false]),
            (9, 10, [true, false]),
            (10, 10, [true, true]),
            (11, 10, [true, true]),
            (1, 1, [true, true]),
            (1, 0, [true, true]),
            (u64::MAX, u64::MAX, [true, true]),
            (u64::MAX / 100 * 80, u64::MAX, [false, false]),
        ] {
            assert_eq!(reached(used, limit), expected, "{used} of {limit}");
        }
        for threshold in Threshold::ALL {
            assert_eq!(Threshold::parse(threshold.percent()), Some(threshold));
        }
        assert_eq!(Threshold::parse(0), None);
    }

    #[test]
    fn each_threshold_is_told_once_in_a_period() {
        let (free, now) = (allowance(catalogue().remove(0)), env().now());
        let period = Period::of(free.period_anchor, now);
        let earlier = Period::of(free.period_anchor, free.period_anchor - Duration::days(1));
        let notice = |meter, threshold, period| Notice { meter, threshold, period };
        let told = |usage: &Usage, known: &[Notice]| {
            let changes = changes(&free, std::slice::from_ref(usage), known, now);
            let told: Vec<_> = changes.told.iter().map(|(notice, _)| notice.threshold).collect();
            (told, changes.passed.len(), changes.over.len())
        };
        let (warning, exhausted) = (Threshold::Warning, Threshold::Exhausted);
        let ai = Meter::AiGenerations;
        assert_eq!(told(&usage(&free, ai, 7), &[]), (vec![], 0, 0));
        assert_eq!(told(&usage(&free, ai, 8), &[]), (vec![warning], 0, 0));
        assert_eq!(told(&usage(&free, ai, 9), &[notice(ai, warning, period)]), (vec![], 0, 0));
        assert_eq!(told(&usage(&free, ai, 10), &[notice(ai, warning, period)]), (vec![exhausted], 0, 0));
        // Who comes to both at once hears of one.
        assert_eq!(told(&usage(&free, ai, 10), &[]), (vec![exhausted], 1, 0));
        // Less again, because a use was given back or the limit was raised: not forgotten in the same period.
        assert_eq!(told(&usage(&free, ai, 2), &[notice(ai, warning, period)]), (vec![], 0, 0));
        // The next period.
        assert_eq!(told(&usage(&free, ai, 8), &[notice(ai, warning, earlier)]), (vec![warning], 0, 0));
        assert_eq!(told(&usage(&free, ai, 2), &[notice(ai, warning, earlier)]), (vec![], 0, 1));
        // What stays as it is, is not told every month.
        let both = [notice(Meter::Sites, warning, earlier), notice(Meter::Sites, exhausted, earlier)];
        assert_eq!(told(&usage(&free, Meter::Sites, 1), &both), (vec![], 0, 0));
        assert_eq!(told(&usage(&free, Meter::Sites, 0), &both), (vec![], 0, 2));
    }

    #[test]
    fn used_up_bandwidth_is_stored_until_the_period_ends() {
        let (mut free, now) = (allowance(catalogue().remove(0)), env().now());
        let end = Period::of(free.period_anchor, now).ends_at();
        let stored = |free: &Allowance, used| {
            changes(free, &[usage(free, Meter::Bandwidth, used)], &[], now).bandwidth
        };
        assert_eq!((stored(&free, 9 << 30), stored(&free, 10 << 30)), (None, Some(end)));
        free.bandwidth_spent_until = end;
        // The limit was raised, or is lower again.
        assert_eq!((stored(&free, 9 << 30), stored(&free, 10 << 30)), (Some(None), None));
        // What was stored in an earlier period is over by itself.
        free.bandwidth_spent_until = Some(now);
        assert_eq!((stored(&free, 9 << 30), stored(&free, 10 << 30)), (None, Some(end)));
    }

    /// A check of a tenant that has made 8 of 10 texts.
    fn checking(is_noted: bool) -> Repositories {
        let mut subscriptions = MockSubscriptionRepository::new();
        let free = allowance(catalogue().remove(0));
        subscriptions.expect_allowance().times(1).return_once(|_| Ok(Some(free)));
        let [mut used, mut known, mut note] = [(); 3].map(|()| MockMeterRepository::new());
        used.expect_used_of_all().times(1).return_once(|_, _| Ok(vec![0, 0, 8, 0, 0]));
        known.expect_notices().times(1).return_once(|_| Ok(Vec::new()));
        note.expect_note().times(1).return_once(move |_, _| Ok(is_noted));
        let mut repositories = Repositories::default();
        repositories.subscriptions.push_back(subscriptions);
        repositories.meters.extend([used, known, note]);
        repositories
    }

    /// Looks and stores, as a check does in its unit of work.
    async fn check(repositories: &mut Repositories, env: &Env, tenant: TenantId) -> Option<u64> {
        let mut thresholds = Thresholds::new(repositories, env);
        let found = thresholds.look(tenant).await.unwrap().unwrap();
        assert!(found.are_news());
        thresholds.store(tenant, &found).await.unwrap();
        found.kept_sites
    }

    #[tokio::test]
    async fn whoever_notes_it_first_tells() {
        let (env, tenant) = (env(), env().new_id());
        let mut repositories = checking(true);
        check(&mut repositories, &env, tenant).await;
        let events = repositories.events();
        assert_eq!((events.len(), events[0].kind.as_ref(), events[0].tenant), (1, "usage.warning", tenant));
        let after = events[0].after.as_ref().unwrap();
        assert_eq!((&after["meter"], &after["unit"]), (&"ai_generations".into(), &"count".into()));
        assert_eq!((&after["used"], &after["limit"]), (&8.into(), &10.into()));
        assert_eq!(after["periodEnd"], after["resetsAt"]);

        let mut repositories = checking(false);
        check(&mut repositories, &env, tenant).await;
        assert!(repositories.events().is_empty());
    }

    /// A check of a tenant on the free plan, which has one site, that has five and was told about the thresholds. `change` is what is
    /// stored, and whether it was stored.
    fn with_five_sites(overage: Option<Overage>, change: Option<(Option<Overage>, bool)>) -> Repositories {
        let free = Allowance { overage, ..allowance(catalogue().remove(0)) };
        let period = Period::of(free.period_anchor, env().now());
        let known = Threshold::ALL.map(|threshold| Notice { meter: Meter::Sites, threshold, period });
        let [mut used, mut notices] = [(); 2].map(|()| MockMeterRepository::new());
        used.expect_used_of_all().times(1).return_once(|_, _| Ok(vec![5, 0, 0, 0, 0]));
        notices.expect_notices().times(1).return_once(move |_| Ok(known.to_vec()));
        let mut read = MockSubscriptionRepository::new();
        read.expect_allowance().times(1).return_once(|_| Ok(Some(free)));
        let mut repositories = Repositories::default();
        repositories.subscriptions.push_back(read);
        if let Some((stored, is_first)) = change {
            let mut store = MockSubscriptionRepository::new();
            store
                .expect_set_overage()
                .times(1)
                .withf(move |_, before, after| (*before, *after) == (overage, stored))
                .return_once(move |_, _, _| Ok(is_first));
            repositories.subscriptions.push_back(store);
        }
        repositories.meters.extend([used, notices]);
        repositories
    }

    #[tokio::test]
    async fn too_many_sites_are_told_once_with_the_day_on_which_they_are_read_only() {
        let (env, tenant) = (env(), env().new_id());
        for is_first in [true, false] {
            let now = env.now();
            let found = Some(Overage { since: now, limit: 1 });
            let mut repositories = with_five_sites(None, Some((found, is_first)));
            assert_eq!(check(&mut repositories, &env, tenant).await, None, "there is time to choose");
            let events = repositories.events();
            assert_eq!(events.len(), usize::from(is_first));
            for event in events {
                let after = event.after.unwrap();
                assert_eq!((event.kind.as_ref(), event.tenant), ("usage.over_limit", tenant));
                assert_eq!((&after["used"], &after["limit"]), (&5.into(), &1.into()));
                assert_eq!(after["readOnlyAt"], serde_json::json!(now + Duration::days(30)));
            }
        }
    }

    #[tokio::test]
    async fn which_sites_can_be_changed_follows_from_the_time_without_anything_to_store() {
        let (env, tenant) = (env(), env().new_id());
        for (days, kept) in [(29, None), (30, Some(1)), (300, Some(1))] {
            let overage = Overage { since: env.now() - Duration::days(days), limit: 1 };
            let mut repositories = with_five_sites(Some(overage), None);
            let found = Thresholds::new(&mut repositories, &env).look(tenant).await.unwrap().unwrap();
            assert_eq!((found.are_news(), found.kept_sites), (false, kept), "after {days} days");
        }
        // The limit has fallen since: all of them, for thirty days.
        let overage = Overage { since: env.now() - Duration::days(300), limit: 3 };
        let now = Overage { since: env.now(), limit: 1 };
        let mut repositories = with_five_sites(Some(overage), Some((Some(now), true)));
        assert_eq!(check(&mut repositories, &env, tenant).await, None);
        assert_eq!(repositories.events().len(), 1);
    }

    #[tokio::test]
    async fn a_tenant_without_a_plan_is_told_nothing() {
        let mut subscriptions = MockSubscriptionRepository::new();
        subscriptions.expect_allowance().times(1).return_once(|_| Ok(None));
        let mut repositories = Repositories::default();
        repositories.subscriptions.push_back(subscriptions);
        assert_eq!(Thresholds::new(&mut repositories, &env()).look(env().new_id()).await.unwrap(), None);
    }
}
