//! Monthly meters count by the billing period of the tenant, and no longer by the calendar month; what was used is recorded by day; who
//! was told about a threshold is noted.
//!
//! No count is lost or begins anew. What was used in the running month counts in the billing period that runs now: it may include uses
//! from before that began, once. What was used in an earlier month is kept in the billing period that ran at its beginning; no two
//! months meet in one period. Uses that are under way follow their counts. Tokens of all tenants together stay with the calendar month,
//! because no tenant has them.

use sea_orm_migration::{
    prelude::*,
    sea_orm::{QueryResult, Statement, Value, prelude::Uuid},
};

use crate::dialect::{is_postgres, run};

/// See the module.
#[derive(DeriveMigrationName)]
pub struct Migration;

/// A point in time as the databases show it and as keys of periods have it: year, month from 0 to 11, day, and the time of the day
/// with a fraction that has no zeros at its end.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Moment {
    year: i32,
    month: i32,
    day: i32,
    time: String,
}

impl Moment {
    /// Of `2026-11-23 10:00:00.120000` and the like.
    fn parse(text: &str) -> Option<Self> {
        let (date, time) = (text.get(..10)?, text.get(11..)?);
        let mut parts = date.split('-').map(|part| part.parse::<i32>());
        let (year, month, day) = (parts.next()?.ok()?, parts.next()?.ok()?, parts.next()?.ok()?);
        // SQLite may have an offset behind it, which is that of UTC.
        let time = time.split(['Z', '+']).next()?.trim_end();
        let time = if time.contains('.') { time.trim_end_matches('0').trim_end_matches('.') } else { time };
        Some(Self { year, month: month - 1, day, time: time.to_owned() })
    }

    fn months(&self) -> i32 {
        self.year * 12 + self.month
    }

    /// This day and time, in the month of this number; on its last day if it is too short.
    fn in_month(&self, months: i32) -> Self {
        let (year, month) = (months.div_euclid(12), months.rem_euclid(12));
        let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let days = match month {
            1 if is_leap => 29,
            1 => 28,
            3 | 5 | 8 | 10 => 30,
            _ => 31,
        };
        Self { year, month, day: Ord::min(self.day, days), time: self.time.clone() }
    }

    fn key(&self) -> String {
        format!("{:04}-{:02}-{:02}T{}Z", self.year, self.month + 1, self.day, self.time)
    }

    /// The key of the period from this anchor in which a moment is.
    fn period_of(&self, moment: &Self) -> String {
        let start = self.in_month(moment.months());
        let first = if *moment < start { moment.months() - 1 } else { moment.months() };
        format!("{}/{}", self.in_month(first).key(), self.in_month(first + 1).key())
    }
}

/// The key of the calendar month that a billing period came from: the one at whose beginning it ran, or the one that runs now.
fn month_of(period: &str, now: &Moment) -> Option<String> {
    let (start, end) = period.split_once('/')?;
    let (start, end) = (Moment::parse(start)?, Moment::parse(end)?);
    let is_running = start <= *now && *now < end;
    let month = match is_running {
        true => now.months(),
        false if start.day == 1 && start.time == "00:00:00" => start.months(),
        false => end.months(),
    };
    Some(format!("{:04}-{:02}", month.div_euclid(12), month.rem_euclid(12) + 1))
}

async fn rows(manager: &SchemaManager<'_>, sql: &str) -> Result<Vec<QueryResult>, DbErr> {
    let connection = manager.get_connection();
    connection.query_all_raw(Statement::from_string(connection.get_database_backend(), sql)).await
}

async fn execute(manager: &SchemaManager<'_>, sql: &str, values: Vec<Value>) -> Result<(), DbErr> {
    let connection = manager.get_connection();
    let statement = Statement::from_sql_and_values(connection.get_database_backend(), sql, values);
    connection.execute_raw(statement).await.map(drop)
}

async fn now(manager: &SchemaManager<'_>) -> Result<Moment, DbErr> {
    let sql = if is_postgres(manager) {
        "select cast(now() at time zone 'utc' as text) as now"
    } else {
        "select strftime('%Y-%m-%d %H:%M:%f', 'now') as now"
    };
    let text = match rows(manager, sql).await?.first() {
        Some(row) => row.try_get::<String>("", "now")?,
        None => String::new(),
    };
    Moment::parse(&text).ok_or_else(|| DbErr::Migration(format!("the database has no time: {text:?}")))
}

/// Keys of calendar months, among those of meters.
const OF_A_MONTH: &str = "length(period) = 7";

/// Keys of billing periods.
const OF_A_PERIOD: &str = "period like '%/%'";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // A process of the version before, which runs until it is replaced, may store a subscription.
        let default =
            if is_postgres(manager) { "(now() at time zone 'utc')" } else { "'2026-01-01 00:00:00'" };
        let columns = format!(
            "
            alter table subscriptions add column period_anchor timestamp not null default {default};
            alter table subscriptions add column bandwidth_spent_until timestamp;
            update subscriptions set period_anchor = created_at;
            "
        );
        run(manager, &columns).await?;
        run(
            manager,
            "
            -- What there was of a meter at the end of a day, where that changed.
            create table usage_days (
                tenant_id uuid not null references tenants (id),
                day text not null,
                meter text not null,
                used bigint not null,
                primary key (tenant_id, meter, day)
            );

            -- Days of which that was recorded.
            create table recorded_days (
                day text not null primary key
            );

            -- Thresholds in percent that a tenant was told about, and the last period in which it was.
            create table usage_notices (
                tenant_id uuid not null references tenants (id),
                meter text not null,
                threshold integer not null,
                period text not null,
                primary key (tenant_id, meter, threshold)
            );
            ",
        )
        .await?;
        let now = now(manager).await?;
        let counted = format!(
            "select distinct meters.tenant_id, meters.period, cast(subscriptions.created_at as text) as anchor \
             from meters join subscriptions on subscriptions.tenant_id = meters.tenant_id where {}",
            OF_A_MONTH.replace("period", "meters.period")
        );
        for row in rows(manager, &counted).await? {
            let (month, anchor): (String, String) = (row.try_get("", "period")?, row.try_get("", "anchor")?);
            let tenant: Value = tenant(&row)?;
            let beginning = Moment::parse(&format!("{month}-01 00:00:00"));
            let (Some(anchor), Some(beginning)) = (Moment::parse(&anchor), beginning) else { continue };
            let is_running = beginning.months() == now.months();
            let period = anchor.period_of(if is_running { &now } else { &beginning });
            for table in ["meters", "generation_reservations"] {
                let sql = format!("update {table} set period = $1 where tenant_id = $2 and period = $3");
                let values = vec![period.clone().into(), tenant.clone(), month.clone().into()];
                execute(manager, &sql, values).await?;
            }
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let now = now(manager).await?;
        let counted = format!("select tenant_id, meter, period, used from meters where {OF_A_PERIOD}");
        for row in rows(manager, &counted).await? {
            let (period, meter): (String, String) = (row.try_get("", "period")?, row.try_get("", "meter")?);
            let (tenant, used): (Value, i64) = (tenant(&row)?, row.try_get("", "used")?);
            let Some(month) = month_of(&period, &now) else { continue };
            let sql = "insert into meters (tenant_id, meter, period, used) values ($1, $2, $3, $4) \
                 on conflict (tenant_id, meter, period) do update set used = meters.used + excluded.used";
            let values = vec![tenant.clone(), meter.into(), month.clone().into(), used.into()];
            execute(manager, sql, values).await?;
            let sql = "update generation_reservations set period = $1 where tenant_id = $2 and period = $3";
            execute(manager, sql, vec![month.into(), tenant, period.into()]).await?;
        }
        // Those of days are of this length.
        let statements = format!(
            "
            delete from meters where {OF_A_PERIOD} or length(period) = 10;
            drop table usage_notices;
            drop table recorded_days;
            drop table usage_days;
            alter table subscriptions drop column bandwidth_spent_until;
            alter table subscriptions drop column period_anchor;
            "
        );
        run(manager, &statements).await
    }
}

fn tenant(row: &QueryResult) -> Result<Value, DbErr> {
    Ok(row.try_get::<Uuid>("", "tenant_id")?.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(text: &str) -> Moment {
        Moment::parse(text).unwrap()
    }

    #[test]
    fn counts_go_to_the_period_that_runs_and_earlier_ones_to_that_at_the_beginning_of_their_month() {
        let anchor = moment("2026-08-31 10:20:30.120000");
        let now = moment("2026-11-23 00:00:00");
        assert_eq!(anchor.period_of(&now), "2026-10-31T10:20:30.12Z/2026-11-30T10:20:30.12Z");
        let october = moment("2026-10-01 00:00:00");
        assert_eq!(anchor.period_of(&october), "2026-09-30T10:20:30.12Z/2026-10-31T10:20:30.12Z");
        for (period, month) in [(anchor.period_of(&now), "2026-11"), (anchor.period_of(&october), "2026-10")]
        {
            assert_eq!(month_of(&period, &now).as_deref(), Some(month));
        }
        let first = moment("2026-09-01 00:00:00");
        assert_eq!(first.period_of(&october), "2026-10-01T00:00:00Z/2026-11-01T00:00:00Z");
        assert_eq!(month_of(&first.period_of(&october), &now).as_deref(), Some("2026-10"));
    }

    #[test]
    fn february_and_the_turn_of_the_year() {
        let anchor = moment("2027-12-31 23:59:59.5+00:00");
        assert_eq!(
            anchor.period_of(&moment("2028-03-01 00:00:00")),
            "2028-02-29T23:59:59.5Z/2028-03-31T23:59:59.5Z"
        );
        assert_eq!(
            anchor.period_of(&moment("2028-01-01 00:00:00")),
            "2027-12-31T23:59:59.5Z/2028-01-31T23:59:59.5Z"
        );
    }
}
