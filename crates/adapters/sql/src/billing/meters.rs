//! Counters of what tenants use.

use std::time::Instant;

use async_trait::async_trait;
use portico_billing::{
    period::Period,
    ports::{MeterRepository, RowCount, StorageRoom},
    thresholds::{Notice, Threshold},
};
use portico_kernel::{Meter, PageId, SiteId, StoreError, TenantId};
use portico_sites::site::Frozen;
use sea_orm::{ConnectionTrait, DbBackend, DbErr};
use time::Date;

use crate::{
    columns::Stored,
    db::{Db, Param, Row, placeholders},
    error::store_error,
    frozen,
    repositories::SqlUnitOfWork,
};

/// By its key.
impl Stored for Period {
    type Raw = String;

    fn store(&self) -> String {
        self.key()
    }

    fn load(raw: String) -> Result<Self, String> {
        Self::parse(&raw).ok_or(raw)
    }
}

/// In percent.
impl Stored for Threshold {
    type Raw = i32;

    fn store(&self) -> i32 {
        self.percent()
    }

    fn load(raw: i32) -> Result<Self, String> {
        Self::parse(raw).ok_or_else(|| raw.to_string())
    }
}

/// The meter of this name; `None` for one that this version does not know.
fn meter_of(name: &str) -> Option<Meter> {
    Meter::ALL.into_iter().find(|meter| meter.as_str() == name)
}

/// Counters over one connection.
pub(crate) struct Meters<'c> {
    pub db: Db<'c>,
}

/// How the rows of a meter that are its count are counted, of the tenant of this name.
fn rows_of(meter: Meter, tenant: &str) -> Option<String> {
    match meter {
        Meter::Members => Some(format!(
            "select count(*) from memberships join users on users.id = memberships.user_id \
             where memberships.tenant_id = {tenant} and users.status <> 'deleted'"
        )),
        Meter::ApiKeys => Some(format!(
            "select count(*) from api_keys where api_keys.tenant_id = {tenant} and api_keys.revoked_at is null"
        )),
        _ => None,
    }
}

/// What a subscription includes of the meter of this name, or what was agreed on instead; `unlimited` stands for no limit.
fn included(name: &str, unlimited: &str) -> String {
    format!(
        "case cast(overrides -> 'limits' -> '{name}' as text) when 'null' then {unlimited} \
         else coalesce(cast(overrides -> 'limits' ->> '{name}' as bigint), cast(plans.limits ->> '{name}' as bigint), {unlimited}) end"
    )
}

/// The subscription of tenant `$1` that is in force, with its plan.
const IN_FORCE: &str = "subscriptions join plans on plans.id = subscriptions.plan_id and plans.version = subscriptions.plan_version \
    where subscriptions.tenant_id = $1 and subscriptions.status = 'active'";

/// The bytes of the texts of tenant `$1`. A part of the count alone can be negative, see the migration.
const TEXTS: &str = "(select cast(coalesce(sum(bytes), 0) as bigint) from stored_texts where tenant_id = $1)";

/// Whether an owner of tenant `$1` has verified their address.
const VERIFIED: &str = "exists (select 1 from memberships join users on users.id = memberships.user_id \
    where memberships.tenant_id = $1 and memberships.role = 'owner' and users.email_verified)";

/// What tenant `$1` stores and may store, as columns; `$2` stands for no limit.
fn storage_columns() -> String {
    let included = included("storage", "$2");
    format!(
        "coalesce((select used from meters where tenant_id = $1 and meter = 'storage' and period = ''), 0) as files, \
         {TEXTS} as texts, (select {included} from {IN_FORCE}) as included, {VERIFIED} as verified"
    )
}

fn room(files: u64, texts: u64, included: Option<i64>, verified: bool) -> StorageRoom {
    let limit = included.map_or(Some(0), |most| (most != i64::MAX).then_some(most.unsigned_abs()));
    StorageRoom { files, texts, limit, verified }
}

fn no_row() -> StoreError {
    StoreError::Internal("a query without a condition has no row".into())
}

impl Meters<'_> {
    async fn room(&self, tenant: TenantId) -> Result<StorageRoom, StoreError> {
        let found = self.db.row(&format!("select {}", storage_columns()), (tenant, i64::MAX)).await?;
        let (files, texts, included, verified) = found.ok_or_else(no_row)?;
        Ok(room(files, texts, included, verified))
    }
}

impl SqlUnitOfWork {
    /// Why only staff may change one of these sites and those of these pages, as
    /// [`SiteRepository::frozen_among`](portico_sites::ports::SiteRepository::frozen_among) answers it, and what the tenant stores
    /// and may store, as [`MeterRepository::storage`] answers it, without waiting for others: in one statement, because each change
    /// of a page asks for both, and with it the rows that are to be added later. What the tenant stores may be told as it is without
    /// these rows; it is `None` for one that had plenty of room a moment ago, and so needs no check.
    pub async fn frozen_and_room(
        &mut self,
        tenant: TenantId,
        sites: &[SiteId],
        pages: &[PageId],
    ) -> Result<(Option<Frozen>, Option<StorageRoom>), StoreError> {
        let now = Instant::now();
        let is_roomy = self.remembered.has_room(tenant, now);
        // With much room nothing but this answer can be against the rows, and they need not be there yet; and it may be known.
        let has_only_read = is_roomy && !self.connection.has_begun();
        let is_unfrozen = |site: &SiteId| {
            self.written.unfrozen.contains(&(tenant, *site))
                || self.remembered.is_unfrozen(tenant, *site, now)
        };
        if has_only_read && pages.is_empty() && sites.iter().all(is_unfrozen) {
            return Ok((None, None));
        }
        let (room_columns, mut values) = match is_roomy {
            true => (String::new(), vec![tenant.value()]),
            false => (format!("{}, ", storage_columns()), vec![tenant.value(), i64::MAX.value()]),
        };
        let first = values.len() + 1;
        let site =
            format!("select {} from sites where tenant_id = $1 and {}", frozen::REASON, frozen::IS_FROZEN);
        let sql = format!(
            // Not with `or` between the two, which no index serves.
            "{room_columns}coalesce(\
             ({site} and id in ({}) limit 1), \
             ({site} and id in (select site_id from pages where tenant_id = $1 and id in ({})) limit 1)) as frozen",
            placeholders(first, sites.len()),
            placeholders(first + sites.len(), pages.len())
        );
        values.extend(sites.iter().map(|id| id.value()).chain(pages.iter().map(|id| id.value())));
        let found = match has_only_read {
            true => self.connection.read(sql, values).await?,
            false => self.connection.flush_with(sql, values).await?,
        };
        let found = found.ok_or_else(no_row)?;
        let unread = |error| store_error(DbErr::from(error));
        if is_roomy {
            let frozen: Option<Frozen> = Row::read(&found).map_err(unread)?;
            // What the transaction has changed itself, others see only when it has committed.
            if has_only_read && frozen.is_none() {
                sites.iter().for_each(|site| self.remembered.note_unfrozen(tenant, *site, now));
            }
            return Ok((frozen, None));
        }
        let (files, texts, included, verified, frozen) = Row::read(&found).map_err(unread)?;
        let room = room(files, texts, included, verified);
        self.remembered.note_room(tenant, &room, now);
        Ok((frozen, Some(room)))
    }
}

#[async_trait]
impl MeterRepository for Meters<'_> {
    async fn add(
        &mut self,
        tenant: TenantId,
        meter: Meter,
        period: Period,
        amount: u64,
        limit: Option<u64>,
    ) -> Result<bool, StoreError> {
        // One statement, so that no other one comes between the check and the change. The limit is compared without
        // adding to it or to `used`, which could overflow.
        let sql = "insert into meters (tenant_id, meter, period, used) select $1, $2, $5, $3 where $3 <= $4 \
             on conflict (tenant_id, meter, period) do update set used = meters.used + excluded.used \
             where meters.used <= $4 - excluded.used";
        Ok(self.db.execute(sql, (tenant, meter.as_str(), amount, limit.unwrap_or(u64::MAX), period)).await?
            == 1)
    }

    async fn add_included(
        &mut self,
        tenant: TenantId,
        meter: Meter,
        amount: u64,
        margin: u64,
    ) -> Result<bool, StoreError> {
        // As above, with a limit that the statement reads itself.
        let included = included(meter.as_str(), "$4");
        let room = match (meter, self.db.0.get_database_backend()) {
            (Meter::Storage, DbBackend::Sqlite) => {
                format!("{included} - $5 - {TEXTS} as most from {IN_FORCE} and {VERIFIED}")
            }
            // The subscription is locked before the counter, as where little room is left: else two could wait for each other.
            (Meter::Storage, _) => format!(
                "{included} - $5 - {TEXTS} as most from {IN_FORCE} and {VERIFIED} for no key update of subscriptions"
            ),
            _ => format!("{included} - $5 as most from {IN_FORCE}"),
        };
        let sql = format!(
            "with room as (select {room}) \
             insert into meters (tenant_id, meter, period, used) select $1, $2, '', $3 from room where $3 <= room.most \
             on conflict (tenant_id, meter, period) do update set used = meters.used + excluded.used \
             where meters.used <= (select room.most from room) - excluded.used"
        );
        Ok(self.db.execute(&sql, (tenant, meter.as_str(), amount, u64::MAX, margin)).await? == 1)
    }

    async fn add_on_day(
        &mut self,
        tenant: TenantId,
        meter: Meter,
        period: Period,
        day: Date,
        amount: u64,
        limit: Option<u64>,
    ) -> Result<bool, StoreError> {
        // As above, for two rows, of which only that of the period has a limit. It is the first one, and locked first by all.
        let sql = "insert into meters (tenant_id, meter, period, used) select $1, $2, counted.period, $3 \
             from (select cast($5 as text) as period union all select cast($6 as text) as period) counted where $3 <= $4 \
             on conflict (tenant_id, meter, period) do update set used = meters.used + excluded.used \
             where meters.period = $6 or meters.used <= $4 - excluded.used";
        let values = (tenant, meter.as_str(), amount, limit.unwrap_or(u64::MAX), period, Period::Day(day));
        match self.db.execute(sql, values).await? {
            0 => Ok(false),
            1 => {
                // The period has no room, and only the day was counted.
                self.subtract(tenant, meter, Period::Day(day), amount).await?;
                Ok(false)
            }
            _ => Ok(true),
        }
    }

    async fn subtract(
        &mut self,
        tenant: TenantId,
        meter: Meter,
        period: Period,
        amount: u64,
    ) -> Result<(), StoreError> {
        let sql = "update meters set used = case when used > $3 then used - $3 else 0 end \
             where tenant_id = $1 and meter = $2 and period = $4";
        self.db.execute(sql, (tenant, meter.as_str(), amount, period)).await.map(drop)
    }

    async fn subtract_on_day(
        &mut self,
        tenant: TenantId,
        meter: Meter,
        period: Period,
        day: Date,
        amount: u64,
    ) -> Result<(), StoreError> {
        let sql = "update meters set used = case when used > $3 then used - $3 else 0 end \
             where tenant_id = $1 and meter = $2 and period in ($4, $5)";
        self.db.execute(sql, (tenant, meter.as_str(), amount, period, Period::Day(day))).await.map(drop)
    }

    async fn storage(&mut self, tenant: TenantId, margin: u64) -> Result<StorageRoom, StoreError> {
        let room = self.room(tenant).await?;
        if room.left() >= margin || self.db.0.get_database_backend() == DbBackend::Sqlite {
            // On SQLite nobody else writes meanwhile.
            return Ok(room);
        }
        self.db
            .exists("select 1 from subscriptions where tenant_id = $1 for no key update", [tenant])
            .await?;
        self.room(tenant).await
    }

    async fn rows(&mut self, tenant: TenantId, meter: Meter) -> Result<Option<RowCount>, StoreError> {
        let Some(counted) = rows_of(meter, "$1") else { return Ok(None) };
        let included = included(meter.as_str(), "$2");
        let sql = format!("select ({counted}) as used, {included} as included from {IN_FORCE}");
        let found: Option<(u64, i64)> = self.db.row(&sql, (tenant, i64::MAX)).await?;
        let limit = |included: i64| (included != i64::MAX).then_some(included.unsigned_abs());
        Ok(found.map(|(used, included)| RowCount { used, limit: limit(included) }))
    }

    async fn used(&mut self, tenant: TenantId, meter: Meter, period: Period) -> Result<u64, StoreError> {
        if let Some(counted) = rows_of(meter, "$1") {
            return self.db.total(&format!("select ({counted}) as used"), [tenant]).await;
        }
        if meter == Meter::Bandwidth {
            // Counted by day.
            let Some((first, next)) = period.days() else { return Ok(0) };
            let sql = "select cast(coalesce(sum(bytes), 0) as bigint) as used from traffic_days \
                 where tenant_id = $1 and day >= $2 and day < $3";
            return self.db.total(sql, (tenant, first, next)).await;
        }
        let sql = "select used from meters where tenant_id = $1 and meter = $2 and period = $3";
        self.db.total(sql, (tenant, meter.as_str(), period)).await
    }

    async fn used_of_all(
        &mut self,
        tenant: TenantId,
        meters: &[(Meter, Period)],
    ) -> Result<Vec<u64>, StoreError> {
        let (mut parts, mut values) = (Vec::new(), vec![tenant.value()]);
        for (meter, period) in meters {
            let place = values.len() + 1;
            if let Some(counted) = rows_of(*meter, "$1") {
                parts.push(format!("select '{}' as meter, ({counted}) as used", meter.as_str()));
                continue;
            }
            parts.push(match (meter, period.days()) {
                // Counted by day.
                (Meter::Bandwidth, Some((first, next))) => {
                    values.extend([first.value(), next.value()]);
                    format!(
                        "select 'bandwidth' as meter, cast(coalesce(sum(bytes), 0) as bigint) as used from traffic_days \
                         where tenant_id = $1 and day >= ${place} and day < ${}",
                        place + 1
                    )
                }
                _ => {
                    values.extend([meter.as_str().value(), (*period).value()]);
                    format!(
                        "select meter, used from meters where tenant_id = $1 and meter = ${place} and period = ${}",
                        place + 1
                    )
                }
            });
            if *meter == Meter::Storage {
                parts.push(
                    "select 'storage' as meter, cast(coalesce(sum(bytes), 0) as bigint) as used from stored_texts \
                     where tenant_id = $1"
                        .to_owned(),
                );
            }
        }
        let rows: Vec<(String, i64)> = self.db.rows(&parts.join(" union all "), values).await?;
        // A part of the count of texts can be negative alone; the sum of all is not.
        let used = |meter: Meter| {
            rows.iter().filter(|(name, _)| name == meter.as_str()).map(|(_, used)| used).sum::<i64>()
        };
        Ok(meters.iter().map(|(meter, _)| u64::try_from(used(*meter)).unwrap_or_default()).collect())
    }

    async fn days(
        &mut self,
        tenant: TenantId,
        from: Date,
        to: Date,
    ) -> Result<Vec<(Date, Meter, u64)>, StoreError> {
        // Among the keys of periods those of days are the only ones of this length.
        let sql = "select day, 'bandwidth' as meter, bytes as used from traffic_days \
               where tenant_id = $1 and day between $2 and $3 \
             union all select period as day, meter, used from meters \
               where tenant_id = $1 and meter = 'ai_generations' and length(period) = 10 and period between $2 and $3 \
             union all select day, meter, used from usage_days where tenant_id = $1 and day > $2 and day <= $3 \
             union all select cast($2 as text) as day, meter, used from usage_days where tenant_id = $1 and (meter, day) in (\
               select earlier.meter, max(earlier.day) from usage_days earlier \
               where earlier.tenant_id = $1 and earlier.day <= $2 group by earlier.meter)";
        let rows: Vec<(Date, String, u64)> = self.db.rows(sql, (tenant, from, to)).await?;
        let known = |(day, name, used): (Date, String, u64)| meter_of(&name).map(|meter| (day, meter, used));
        Ok(rows.into_iter().filter_map(known).collect())
    }

    async fn record_day(&mut self, day: Date) -> Result<bool, StoreError> {
        // Whoever comes second waits for the first one here, and then does nothing.
        let sql = "insert into recorded_days (day) values ($1) on conflict (day) do nothing";
        if self.db.execute(sql, [day]).await? == 0 {
            return Ok(false);
        }
        let standing: Vec<Meter> = Meter::ALL.into_iter().filter(|meter| !meter.is_monthly()).collect();
        let rows = standing
            .iter()
            .filter_map(|meter| Some((meter.as_str(), rows_of(*meter, "subscriptions.tenant_id")?)))
            .map(|(name, counted)| format!("when '{name}' then ({counted})"))
            .collect::<Vec<_>>()
            .join(" ");
        let names = standing.iter().map(|meter| format!("select '{}' as meter", meter.as_str()));
        let names = names.collect::<Vec<_>>().join(" union all ");
        let sql = format!(
            "insert into usage_days (tenant_id, day, meter, used) \
             select counted.tenant_id, $1, counted.meter, counted.used from (\
               select subscriptions.tenant_id, standing.meter, \
                 coalesce((select used from meters where meters.tenant_id = subscriptions.tenant_id \
                   and meters.meter = standing.meter and meters.period = ''), 0) \
                 + case standing.meter when 'storage' then (select cast(coalesce(sum(bytes), 0) as bigint) from stored_texts \
                   where stored_texts.tenant_id = subscriptions.tenant_id) {rows} else 0 end as used \
               from subscriptions cross join \
                 ({names}) standing) counted \
             where counted.used <> coalesce((select usage_days.used from usage_days \
               where usage_days.tenant_id = counted.tenant_id and usage_days.meter = counted.meter \
               order by usage_days.day desc limit 1), -1)"
        );
        self.db.execute(&sql, [day]).await?;
        Ok(true)
    }

    async fn notices(&mut self, tenant: TenantId) -> Result<Vec<Notice>, StoreError> {
        let sql = "select meter, threshold, period from usage_notices where tenant_id = $1";
        let rows: Vec<(String, Threshold, Period)> = self.db.rows(sql, [tenant]).await?;
        let notice = |(name, threshold, period): (String, Threshold, Period)| {
            meter_of(&name).map(|meter| Notice { meter, threshold, period })
        };
        Ok(rows.into_iter().filter_map(notice).collect())
    }

    async fn note(&mut self, tenant: TenantId, notice: &Notice) -> Result<bool, StoreError> {
        let sql = "insert into usage_notices (tenant_id, meter, threshold, period) values ($1, $2, $3, $4) \
             on conflict (tenant_id, meter, threshold) do update set period = excluded.period \
             where usage_notices.period <> excluded.period";
        let values = (tenant, notice.meter.as_str(), notice.threshold, notice.period);
        Ok(self.db.execute(sql, values).await? == 1)
    }

    async fn forget_notice(&mut self, tenant: TenantId, notice: &Notice) -> Result<(), StoreError> {
        let sql = "delete from usage_notices \
             where tenant_id = $1 and meter = $2 and threshold = $3 and period = $4";
        let values = (tenant, notice.meter.as_str(), notice.threshold, notice.period);
        self.db.execute(sql, values).await.map(drop)
    }
}
