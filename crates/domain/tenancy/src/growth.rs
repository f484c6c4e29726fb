//! The usage and growth report: who registers, begins in earnest, stays, and uses what.
//!
//! Reports read figures that were counted before: once a day what tenants did on the day before is taken from the event log, and the
//! figures of the month, and of the one before it, are counted anew. The words are defined in `docs/staff.md`.

use std::collections::BTreeMap;

use portico_kernel::{Env, FieldError, Month, Permission, RuleMessage, Scope, StoreError, Timestamp};
use serde::Serialize;
use time::{Date, Duration};

use crate::{TenancyError, ports::TenancyRepositories};

/// Most months of one report.
pub const MONTHS_MAX: i32 = 60;

/// Months where none are named.
const MONTHS: i32 = 12;

/// How long after registering a tenant is activated if it publishes a site or pays for something.
pub const ACTIVATION: Duration = Duration::days(14);

/// How far back the event log is read, and months are counted, where nothing was recorded yet.
const LOOK_BACK: Duration = Duration::days(366);

/// How long after its end a day is recorded. Events of the last moments may be committed later.
const SETTLED: Duration = Duration::HOUR;

/// What is counted in a month.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Figure {
    /// Accounts that were made.
    Registrations,
    /// Tenants that were made.
    NewTenants,
    /// Those of them that were activated within [`ACTIVATION`].
    Activated,
    /// Tenants in which somebody did something.
    Active,
    /// Tenants that were active in the month before, and are not in this one.
    Lapsed,
    /// Active tenants that did something with this sort of resource.
    Used(String),
    /// Active tenants that were made in this month.
    Cohort(Month),
}

impl Figure {
    /// Reads the name of a figure.
    pub fn parse(text: &str) -> Option<Self> {
        Some(match (text, text.split_once(':')) {
            ("registrations", _) => Self::Registrations,
            ("new_tenants", _) => Self::NewTenants,
            ("activated", _) => Self::Activated,
            ("active", _) => Self::Active,
            ("lapsed", _) => Self::Lapsed,
            (_, Some(("used", resource))) => Self::Used(resource.to_owned()),
            (_, Some(("cohort", month))) => Self::Cohort(Month::parse(month)?),
            _ => return None,
        })
    }
}

/// How many active tenants have worked with a sort of resource.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FeatureUse {
    /// The sort, as in the audit trail: `page`, `webhook` and others.
    #[cfg_attr(feature = "openapi", schema(example = "page"))]
    pub resource: String,
    /// Tenants that changed or made one, or took part in it.
    pub tenants: u64,
}

/// A month.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct GrowthMonth {
    /// The month, in UTC.
    #[cfg_attr(feature = "openapi", schema(value_type = String, example = "2026-11"))]
    pub month: Month,
    /// Accounts that were made.
    pub registrations: u64,
    /// Tenants that were made.
    pub new_tenants: u64,
    /// Those of them that have published a site or paid for something within 14 days.
    pub activated: u64,
    /// Which part of the new tenants that is, 0 to 1 with four decimals; null without any.
    #[cfg_attr(feature = "openapi", schema(example = 0.25))]
    pub activation: Option<f64>,
    /// Tenants in which a member or an API key did something. What staff did as a customer or about one does not count.
    pub active_tenants: u64,
    /// Tenants that were active in the month before and not in this one. Of a month that is not over, those that were not yet.
    pub lapsed_tenants: u64,
    /// Which part of those who were active in the month before that is, 0 to 1 with four decimals; null where nobody was, or where the
    /// month before is not in the report.
    #[cfg_attr(feature = "openapi", schema(example = 0.05))]
    pub churn: Option<f64>,
    /// What active tenants have worked with, the most used first.
    pub features: Vec<FeatureUse>,
}

/// How many of those who came in the same month were active in one.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Retained {
    /// The month, in UTC.
    #[cfg_attr(feature = "openapi", schema(value_type = String, example = "2026-12"))]
    pub month: Month,
    /// Tenants of the cohort that were active in it.
    pub active: u64,
    /// Which part of the cohort that is, 0 to 1 with four decimals.
    #[cfg_attr(feature = "openapi", schema(example = 0.6))]
    pub retention: Option<f64>,
}

/// The tenants that were made in the same month.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Cohort {
    /// The month in which they were made, in UTC.
    #[cfg_attr(feature = "openapi", schema(value_type = String, example = "2026-11"))]
    pub month: Month,
    /// How many they are.
    pub tenants: u64,
    /// That month and each after it, as far as the report goes.
    pub months: Vec<Retained>,
}

/// The usage and growth report.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct GrowthReport {
    /// The first month.
    #[cfg_attr(feature = "openapi", schema(value_type = String, example = "2026-01"))]
    pub from: Month,
    /// The last month.
    #[cfg_attr(feature = "openapi", schema(value_type = String, example = "2026-12"))]
    pub to: Month,
    /// The last day that was counted, in UTC; null before the first count.
    #[serde(serialize_with = "iso_date")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = "date", example = "2026-11-21"))]
    pub through: Option<Date>,
    /// Each month that was counted, the oldest first.
    pub items: Vec<GrowthMonth>,
    /// The tenants of each of these months in the months that followed.
    pub cohorts: Vec<Cohort>,
}

/// Use cases around growth.
pub struct Growth<'a> {
    repositories: &'a mut dyn TenancyRepositories,
    env: &'a Env,
}

impl<'a> Growth<'a> {
    /// Over repositories.
    pub fn new(repositories: &'a mut dyn TenancyRepositories, env: &'a Env) -> Self {
        Self { repositories, env }
    }

    /// The report of the months from the first to the last, twelve up to now where none are named.
    ///
    /// # Errors
    /// `Denied` without `platform:growth`; `Invalid` for more than [`MONTHS_MAX`] months, and where the last one is before the first one.
    pub async fn report(
        &mut self,
        scope: &Scope,
        from: Option<Month>,
        to: Option<Month>,
    ) -> Result<GrowthReport, TenancyError> {
        scope.require_platform(Permission::PlatformGrowth)?;
        let (from, to) = range(from, to, Month::of(self.env.now()))?;
        let through = self.repositories.growth().last_day().await?;
        let figures = self.repositories.growth().figures(from, to).await?;
        let mut by_month: BTreeMap<Month, BTreeMap<Figure, u64>> = BTreeMap::new();
        for (month, figure, amount) in figures {
            by_month.entry(month).or_default().insert(figure, amount);
        }
        let items = by_month.keys().map(|month| of_month(*month, &by_month)).collect();
        let cohorts = by_month.keys().map(|month| cohort(*month, &by_month)).collect();
        Ok(GrowthReport { from, to, through, items, cohorts })
    }

    /// Records the next day that is over, and counts anew what has changed with it: the month of the day and the one before, because new
    /// tenants may be activated later. Of many days at once, only the last of each month and the last of all are counted. Answers the day
    /// where one was recorded, and `None` where none is left or another unit of work has done it.
    ///
    /// The first day of all is that of the oldest event of the last year, because there is nothing to be recorded of days before it. The
    /// months before it are counted with it: accounts and tenants may be older than the log.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn record_next(&mut self) -> Result<Option<Date>, StoreError> {
        let now = self.env.now();
        let Some(newest) = (now - SETTLED).into_inner().date().previous_day() else { return Ok(None) };
        let last = self.repositories.growth().last_day().await?;
        let (day, counted_from) = match last.and_then(Date::next_day) {
            Some(next) => (next, month_of(next)),
            None => {
                let begin = newest.saturating_sub(LOOK_BACK);
                let oldest = self.repositories.growth().oldest_event().await?;
                (oldest.map_or(newest, |oldest| oldest.clamp(begin, newest)), month_of(begin))
            }
        };
        if day > newest || !self.repositories.growth().record_day(day).await? {
            return Ok(None);
        }
        let ends_month = day.next_day().is_some_and(|next| next.month() != day.month());
        if last.is_none() || ends_month || day == newest {
            for month in counted_from.plus(-1).through(month_of(day)) {
                self.repositories.growth().count(month, ACTIVATION).await?;
            }
        }
        Ok(Some(day))
    }
}

/// The month of a day, in UTC.
fn month_of(day: Date) -> Month {
    Month::of(Timestamp::new(day.midnight().assume_utc()))
}

fn of_month(month: Month, all: &BTreeMap<Month, BTreeMap<Figure, u64>>) -> GrowthMonth {
    let amount =
        |month: Month, figure: &Figure| all.get(&month).and_then(|figures| figures.get(figure)).copied();
    let of = |figure: &Figure| amount(month, figure).unwrap_or_default();
    let (new_tenants, activated, lapsed) =
        (of(&Figure::NewTenants), of(&Figure::Activated), of(&Figure::Lapsed));
    let mut features: Vec<FeatureUse> = all
        .get(&month)
        .into_iter()
        .flatten()
        .filter_map(|(figure, tenants)| match figure {
            Figure::Used(resource) => Some(FeatureUse { resource: resource.clone(), tenants: *tenants }),
            _ => None,
        })
        .collect();
    features.sort_by(|one, other| {
        other.tenants.cmp(&one.tenants).then_with(|| one.resource.cmp(&other.resource))
    });
    GrowthMonth {
        month,
        registrations: of(&Figure::Registrations),
        new_tenants,
        activated,
        activation: part(activated, new_tenants),
        active_tenants: of(&Figure::Active),
        lapsed_tenants: lapsed,
        churn: part(lapsed, amount(month.plus(-1), &Figure::Active).unwrap_or_default()),
        features,
    }
}

fn cohort(made: Month, all: &BTreeMap<Month, BTreeMap<Figure, u64>>) -> Cohort {
    let of = |month: Month, figure: &Figure| {
        all.get(&month).and_then(|figures| figures.get(figure)).copied().unwrap_or_default()
    };
    let tenants = of(made, &Figure::NewTenants);
    let months = all.range(made..).map(|(month, _)| {
        let active = of(*month, &Figure::Cohort(made));
        Retained { month: *month, active, retention: part(active, tenants) }
    });
    Cohort { month: made, tenants, months: months.collect() }
}

/// A part of a whole with four decimals; `None` of nothing.
fn part(part: u64, whole: u64) -> Option<f64> {
    let ten_thousandths = (part.saturating_mul(10_000) + whole / 2).checked_div(whole)?;
    u32::try_from(ten_thousandths).ok().map(|part| f64::from(part) / 10_000.0)
}

fn range(from: Option<Month>, to: Option<Month>, now: Month) -> Result<(Month, Month), TenancyError> {
    let invalid = |code: &'static str, message: RuleMessage| {
        Err(TenancyError::Invalid(vec![FieldError::new("to", code, message)]))
    };
    let to = to.unwrap_or_else(|| from.map_or(now, |from| now.max(from).min(from.plus(MONTHS_MAX - 1))));
    let from = from.unwrap_or_else(|| to.plus(1 - MONTHS));
    if to < from {
        return invalid("before_from", "The last month is before the first one.".into());
    }
    if to.since(from) >= MONTHS_MAX {
        let message = RuleMessage::new(format!("Ask for {MONTHS_MAX} months at most.")).max(MONTHS_MAX);
        return invalid("out_of_range", message);
    }
    Ok((from, to))
}

/// As `2026-11-21`.
fn iso_date<S: serde::Serializer>(date: &Option<Date>, serializer: S) -> Result<S::Ok, S::Error> {
    match date {
        Some(date) => serializer.collect_str(date),
        None => serializer.serialize_none(),
    }
}

#[cfg(test)]
#[path = "growth_tests.rs"]
mod tests;
