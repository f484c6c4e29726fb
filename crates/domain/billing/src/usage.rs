//! Usage as it is told to a tenant: by billing period, and by day.

use std::collections::BTreeMap;

use portico_kernel::{Env, FieldError, Meter, Permission, RuleMessage, Scope, Timestamp};
use serde::Serialize;
use time::{Date, Duration};

use crate::{
    BillingError,
    period::Period,
    ports::BillingRepositories,
    quota::{Quotas, Unit, Usage},
};

/// Most days of one request.
pub const DAYS_MAX: i64 = 366;

/// Days where none are named.
const DAYS: i64 = 30;

/// What a tenant used in a billing period, against its limits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct UsageReport {
    /// First moment of the period.
    pub period_start: Timestamp,
    /// End of the period, and first moment of the next one.
    pub period_end: Timestamp,
    /// When the newest sites become read-only, or since when they are: there are more than the limit. Null where there are not.
    pub sites_read_only_at: Option<Timestamp>,
    /// Each meter.
    pub items: Vec<Usage>,
}

/// A meter on one day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DayOfMeter {
    /// The day, in UTC.
    #[serde(serialize_with = "iso_date")]
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = "date", example = "2026-11-21"))]
    pub date: Date,
    /// The meter.
    pub meter: Meter,
    /// What was added on the day, of meters that begin at zero in each period; what there was at its end of the others, and what there
    /// is now today.
    pub used: u64,
    /// What `used` is in.
    pub unit: Unit,
}

/// What a tenant used on each day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DailyUsage {
    /// The first day.
    #[serde(serialize_with = "iso_date")]
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = "date", example = "2026-11-21"))]
    pub from: Date,
    /// The last day.
    #[serde(serialize_with = "iso_date")]
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = "date", example = "2026-11-21"))]
    pub to: Date,
    /// Each day with each meter, oldest first. A meter that does not begin at zero in each period is left out on days of which nothing
    /// was recorded.
    pub items: Vec<DayOfMeter>,
}

/// Use cases around what a tenant used.
pub struct UsageReports<'a> {
    repositories: &'a mut dyn BillingRepositories,
    scope: &'a Scope,
    env: &'a Env,
}

impl<'a> UsageReports<'a> {
    /// For a caller.
    pub fn new(repositories: &'a mut dyn BillingRepositories, scope: &'a Scope, env: &'a Env) -> Self {
        Self { repositories, scope, env }
    }

    /// What the active tenant has used in the running billing period, or used in the one to which a day belongs. Of an earlier one it is
    /// against the limits of today; meters that do not begin at zero are told as they were at the end of its last whole day, as far as
    /// that was recorded.
    ///
    /// # Errors
    /// `Denied` without `billing:read`; `Invalid` for a day in the future or before the first period.
    pub async fn report(&mut self, day: Option<Date>) -> Result<UsageReport, BillingError> {
        let tenant = self.scope.require(Permission::BillingRead)?;
        let allowance = Quotas::new(self.repositories).allowance_of(tenant).await?;
        let (now, anchor) = (self.env.now(), allowance.period_anchor);
        let current = Period::of(anchor, now);
        let sites_read_only_at = allowance.overage.map(|overage| overage.read_only_at());
        let period = match day {
            Some(day) => of_day(anchor, now, day)?,
            None => current,
        };
        let (Some(start), Some(end), Some((_, next))) = (period.starts_at(), period.ends_at(), period.days())
        else {
            let items = Vec::new();
            return Ok(UsageReport { period_start: anchor, period_end: anchor, sites_read_only_at, items });
        };
        let items = if period == current {
            Quotas::new(self.repositories).measured(tenant, &allowance, &Meter::ALL, now).await?
        } else {
            let monthly: Vec<Meter> = Meter::ALL.into_iter().filter(|meter| meter.is_monthly()).collect();
            let mut items =
                Quotas::new(self.repositories).measured(tenant, &allowance, &monthly, start).await?;
            let last = next - Duration::DAY;
            for (_, meter, used) in self.repositories.meters().days(tenant, last, last).await? {
                if !meter.is_monthly() {
                    items.push(Usage::new(&allowance, meter, Period::Standing, used));
                }
            }
            items.sort_by_key(|usage| usage.meter);
            items
        };
        Ok(UsageReport { period_start: start, period_end: end, sites_read_only_at, items })
    }

    /// What the active tenant used on each day from the first to the last, 30 days where none are named. Not after today.
    ///
    /// # Errors
    /// `Denied` without `billing:read`; `Invalid` for more than [`DAYS_MAX`] days, or where the last one is before the first one.
    pub async fn daily(&mut self, from: Option<Date>, to: Option<Date>) -> Result<DailyUsage, BillingError> {
        let tenant = self.scope.require(Permission::BillingRead)?;
        let now = self.env.now();
        let today = now.into_inner().date();
        let (from, to) = range(from, to, today)?;
        let known = self.repositories.meters().days(tenant, from, to).await?;
        let known: BTreeMap<(Meter, Date), u64> =
            known.into_iter().map(|(date, meter, used)| ((meter, date), used)).collect();
        let standing: Vec<_> = Meter::ALL
            .into_iter()
            .filter(|meter| !meter.is_monthly())
            .map(|meter| (meter, Period::Standing))
            .collect();
        let mut left: BTreeMap<Meter, u64> = BTreeMap::new();
        let mut items = Vec::new();
        let days =
            std::iter::successors(Some(from), |day| day.next_day()).take_while(|day| *day <= to.min(today));
        for date in days {
            if date == today {
                let used = self.repositories.meters().used_of_all(tenant, &standing).await?;
                left.extend(standing.iter().map(|(meter, _)| *meter).zip(used));
            }
            for meter in Meter::ALL {
                let recorded = known.get(&(meter, date)).copied();
                let used = match recorded {
                    _ if meter.is_monthly() => Some(recorded.unwrap_or_default()),
                    Some(used) if date < today => {
                        left.insert(meter, used);
                        recorded
                    }
                    _ => left.get(&meter).copied(),
                };
                items.extend(used.map(|used| DayOfMeter { date, meter, used, unit: Unit::of(meter) }));
            }
        }
        Ok(DailyUsage { from, to, items })
    }
}

/// As `2026-11-21`.
fn iso_date<S: serde::Serializer>(date: &Date, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(date)
}

/// The period to which a day belongs: the one that begins on it, or runs at its end.
fn of_day(anchor: Timestamp, now: Timestamp, day: Date) -> Result<Period, BillingError> {
    let invalid = |code: &'static str, message: &'static str| {
        Err(BillingError::Invalid(vec![FieldError::new("period", code, message)]))
    };
    if day > now.into_inner().date() {
        return invalid("in_future", "Name a day that is not in the future.");
    }
    if day < anchor.into_inner().date() {
        return invalid("too_early", "The tenant was made after this day.");
    }
    let end = Period::Day(day).ends_at().map_or(now, |end| end - Duration::microseconds(1));
    Ok(Period::of(anchor, end.min(now)))
}

fn range(from: Option<Date>, to: Option<Date>, today: Date) -> Result<(Date, Date), BillingError> {
    let invalid = |code: &'static str, message: RuleMessage| {
        Err(BillingError::Invalid(vec![FieldError::new("to", code, message)]))
    };
    let latest = |from: Date| today.max(from).min(from.saturating_add(Duration::days(DAYS_MAX - 1)));
    let to = to.or_else(|| from.map(latest)).unwrap_or(today);
    let from = from.unwrap_or_else(|| to.saturating_sub(Duration::days(DAYS - 1)));
    if to < from {
        return invalid("before_from", "The last day is before the first one.".into());
    }
    if (to - from).whole_days() >= DAYS_MAX {
        let message = RuleMessage::new(format!("Ask for {DAYS_MAX} days at most.")).max(DAYS_MAX);
        return invalid("out_of_range", message);
    }
    Ok((from, to))
}

#[cfg(test)]
mod tests {
    use portico_kernel::RequestInfo;

    use super::*;
    use crate::{
        plan::catalogue,
        ports::{MockMeterRepository, MockSubscriptionRepository},
        testing::{Repositories, allowance, env},
    };

    fn today() -> Date {
        env().now().into_inner().date()
    }

    fn system() -> Scope {
        Scope::system(Some(env().new_id()), RequestInfo::default())
    }

    /// On the free plan since so many days.
    fn since(days: i64) -> Repositories {
        let mut subscriptions = MockSubscriptionRepository::new();
        let mut free = allowance(catalogue().remove(0));
        free.period_anchor = free.period_anchor - Duration::days(days);
        subscriptions.expect_allowance().times(1).return_once(|_| Ok(Some(free)));
        let mut repositories = Repositories::default();
        repositories.subscriptions.push_back(subscriptions);
        repositories
    }

    #[tokio::test]
    async fn the_running_period_has_every_meter_as_it_is_now() {
        for day in [None, Some(today())] {
            let mut repositories = since(40);
            let mut meters = MockMeterRepository::new();
            meters.expect_used_of_all().times(1).return_once(|_, _| Ok(vec![1, 2, 3, 4, 5]));
            repositories.meters.push_back(meters);
            let (env, scope) = (env(), system());
            let report = UsageReports::new(&mut repositories, &scope, &env).report(day).await.unwrap();
            assert!(report.period_start <= env.now() && env.now() < report.period_end);
            assert_eq!(report.items.iter().map(|usage| usage.used).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
            assert_eq!(report.items[4].resets_at, Some(report.period_end));
        }
    }

    #[tokio::test]
    async fn an_earlier_period_has_what_was_used_in_it() {
        let mut repositories = since(100);
        let [mut used, mut days] = [(); 2].map(|()| MockMeterRepository::new());
        used.expect_used_of_all()
            .times(1)
            .withf(|_, meters| meters.len() == 2 && meters.iter().all(|(meter, _)| meter.is_monthly()))
            .return_once(|_, _| Ok(vec![7, 9]));
        days.expect_days()
            .times(1)
            .return_once(|_, day, _| Ok(vec![(day, Meter::AiGenerations, 3), (day, Meter::Sites, 2)]));
        repositories.meters.extend([used, days]);
        let (env, scope) = (env(), system());
        let day = today() - Duration::days(60);
        let report = UsageReports::new(&mut repositories, &scope, &env).report(Some(day)).await.unwrap();
        let noon = day.midnight().assume_utc() + Duration::hours(12);
        assert!(report.period_start <= noon.into() && report.period_end <= env.now());
        let items: Vec<_> = report.items.iter().map(|usage| (usage.meter, usage.used)).collect();
        assert_eq!(items, [(Meter::Sites, 2), (Meter::AiGenerations, 7), (Meter::Bandwidth, 9)]);
    }

    #[tokio::test]
    async fn days_before_the_tenant_and_after_today_are_none() {
        let (env, scope) = (env(), system());
        for (day, code) in
            [(today() + Duration::DAY, "in_future"), (today() - Duration::days(12), "too_early")]
        {
            let mut repositories = since(10);
            let refused = UsageReports::new(&mut repositories, &scope, &env).report(Some(day)).await;
            let Err(BillingError::Invalid(errors)) = refused else { panic!("{refused:?}") };
            assert_eq!((errors[0].field.as_str(), &*errors[0].code), ("period", code));
        }
    }

    #[test]
    fn a_day_on_which_a_period_begins_belongs_to_that() {
        let anchor = env().now() - Duration::days(90);
        for days in 0..=90 {
            let day = anchor.into_inner().date() + Duration::days(days);
            let (first, next) = of_day(anchor, env().now(), day).unwrap().days().unwrap();
            assert!(first <= day && day < next, "{day}");
        }
    }

    #[tokio::test]
    async fn what_stays_is_known_until_it_changes_and_what_is_added_is_zero_else() {
        let (env, scope) = (env(), system());
        let mut repositories = Repositories::default();
        let [mut days, mut now] = [(); 2].map(|()| MockMeterRepository::new());
        let first = today() - Duration::days(3);
        days.expect_days().times(1).return_once(move |_, _, _| {
            Ok(vec![
                (first + Duration::DAY, Meter::Sites, 2),
                (first + Duration::DAY, Meter::AiGenerations, 5),
                (first, Meter::Storage, 100),
                (today(), Meter::Bandwidth, 11),
            ])
        });
        now.expect_used_of_all().times(1).return_once(|_, _| Ok(vec![3, 101, 0]));
        repositories.meters.extend([days, now]);
        let daily = UsageReports::new(&mut repositories, &scope, &env)
            .daily(Some(first), Some(today() + Duration::DAY))
            .await
            .unwrap();
        let of = |meter| -> Vec<u64> {
            daily.items.iter().filter(|item| item.meter == meter).map(|item| item.used).collect()
        };
        assert_eq!(of(Meter::Sites), [2, 2, 3], "nothing is known of the first day");
        assert_eq!(of(Meter::Storage), [100, 100, 100, 101]);
        assert_eq!(of(Meter::CustomDomains), [0]);
        assert_eq!(of(Meter::AiGenerations), [0, 5, 0, 0]);
        assert_eq!(of(Meter::Bandwidth), [0, 0, 0, 11]);
    }

    #[test]
    fn a_year_of_days_at_most() {
        let day = |days| Some(today() + Duration::days(days));
        assert_eq!(range(None, None, today()).unwrap(), (today() - Duration::days(29), today()));
        assert!(range(day(-365), day(0), today()).is_ok());
        assert!(range(day(-366), day(0), today()).is_err());
        assert!(range(day(1), day(0), today()).is_err());
        assert_eq!(range(day(-3), None, today()).unwrap(), (today() - Duration::days(3), today()));
    }
}
