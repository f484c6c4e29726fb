//! Figures of growth.

use async_trait::async_trait;
use portico_kernel::{Month, StoreError, Timestamp};
use portico_tenancy::{growth::Figure, ports::GrowthRepository};
use time::{Date, Duration};
use uuid::Uuid;

use crate::db::Db;

/// Figures over one connection.
pub(crate) struct Growth<'c> {
    pub db: Db<'c>,
}

/// The least id that is made at a time: ids of events begin with the milliseconds of their making, and have an index.
fn least_id(time: Timestamp) -> Uuid {
    Uuid::from_u128(u128::try_from(time.unix_micros() / 1000).unwrap_or_default() << 80)
}

/// When an id was made, to the millisecond.
fn time_of(id: Uuid) -> Option<Timestamp> {
    let micros = (id.as_u128() >> 80) * 1000;
    i64::try_from(micros).ok().and_then(Timestamp::from_unix_micros)
}

#[async_trait]
impl GrowthRepository for Growth<'_> {
    async fn last_day(&mut self) -> Result<Option<Date>, StoreError> {
        let last: Option<Option<Date>> = self.db.row("select max(day) from activity_days", ()).await?;
        Ok(last.flatten())
    }

    async fn oldest_event(&mut self) -> Result<Option<Date>, StoreError> {
        let oldest: Option<Uuid> = self.db.row("select id from events order by id limit 1", ()).await?;
        Ok(oldest.and_then(time_of).map(|time| time.into_inner().date()))
    }

    async fn record_day(&mut self, day: Date) -> Result<bool, StoreError> {
        // Whoever comes second waits for the first one here, and then does nothing.
        let sql = "insert into activity_days (day) values ($1) on conflict (day) do nothing";
        if self.db.execute(sql, [day]).await? == 0 {
            return Ok(false);
        }
        let start = Timestamp::new(day.midnight().assume_utc());
        // Staff who suspend a customer or answer a ticket are authors of events in a tenant of which they are no members.
        let sql = "insert into tenant_activity (tenant_id, month, resource_type) \
             select distinct events.tenant_id, $1, events.resource_type from events join tenants on tenants.id = events.tenant_id \
             where events.id >= $2 and events.id < $3 and events.actor_kind in ('user', 'api_key') and events.impersonator_id is null \
             and (events.actor_kind = 'api_key' \
               or events.actor_id not in (select id from users where role <> 'customer') \
               or exists (select 1 from memberships where memberships.tenant_id = events.tenant_id \
                 and memberships.user_id = events.actor_id)) \
             on conflict (tenant_id, month, resource_type) do nothing";
        let values = (Month::of(start), least_id(start), least_id(start + Duration::DAY));
        self.db.execute(sql, values).await?;
        // Deployments vanish with their site, and the log is cut off.
        let sql = "update tenants set first_published_at = (select min(events.created_at) from events \
               where events.tenant_id = tenants.id and events.kind = 'site.deployed' and events.id >= $1 and events.id < $2) \
             where first_published_at is null and id in (select events.tenant_id from events \
               where events.kind = 'site.deployed' and events.id >= $1 and events.id < $2)";
        self.db.execute(sql, (least_id(start), least_id(start + Duration::DAY))).await?;
        Ok(true)
    }

    async fn count(&mut self, month: Month, activation: Duration) -> Result<(), StoreError> {
        self.db.execute("delete from growth_figures where month = $1", [month]).await?;
        let within = self.db.dialect().done_within_seconds;
        let sql = format!(
            "insert into growth_figures (month, figure, amount) \
             select $1, 'registrations', count(*) from users where created_at >= $2 and created_at < $3 \
             union all select $1, 'new_tenants', count(*) from tenants where created_at >= $2 and created_at < $3 \
             union all select $1, 'activated', count(*) from tenants made where made.created_at >= $2 and made.created_at < $3 \
               and exists (select 1 from (\
                 select made.first_published_at as at \
                 union all select completed_at as at from purchases where purchases.tenant_id = made.id \
                 union all select paid_at as at from site_sales where site_sales.buyer_tenant_id = made.id \
                 union all select changed_at as at from recurring_changes where recurring_changes.tenant_id = made.id \
                   and to_price is not null) done where {within}) \
             union all select $1, 'active', count(distinct tenant_id) from tenant_activity where month = $1 \
             union all select $1, 'lapsed', count(*) from (select distinct tenant_id from tenant_activity where month = $4) earlier \
               where not exists (select 1 from tenant_activity later where later.tenant_id = earlier.tenant_id and later.month = $1) \
             union all select $1, 'used:' || resource_type, count(*) from tenant_activity where month = $1 group by resource_type \
             union all select $1, 'cohort:' || made.month, count(*) from (\
               select distinct tenants.id, substr(cast(tenants.created_at as text), 1, 7) as month from tenant_activity \
               join tenants on tenants.id = tenant_activity.tenant_id where tenant_activity.month = $1) made group by made.month"
        );
        let values = (month, month.starts_at(), month.ends_at(), month.plus(-1), activation.whole_seconds());
        self.db.execute(&sql, values).await.map(drop)
    }

    async fn figures(&mut self, from: Month, to: Month) -> Result<Vec<(Month, Figure, u64)>, StoreError> {
        let sql = "select month, figure, amount from growth_figures where month >= $1 and month <= $2";
        let rows: Vec<(Month, String, u64)> = self.db.rows(sql, (from, to)).await?;
        let known =
            |(month, name, amount): (Month, String, u64)| Some((month, Figure::parse(&name)?, amount));
        Ok(rows.into_iter().filter_map(known).collect())
    }
}
