//! Who visited published sites.
//!
//! The row of a site's day is held from the first statement about it until the transaction ends. So two instances that store
//! visits of the same site take turns, and bounds are kept exactly; rows are held in the order of sites, so that nobody waits in
//! a circle.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use portico_kernel::{SiteId, StoreError, TenantId};
use portico_sites::{
    analytics::{Counts, Dimension, MAX_NAMES, OTHER, Salt, SiteDay, VisitBatch, VisitorHash},
    ports::VisitRepository,
};
use sea_orm::{ConnectionTrait, QueryResult, TryGetable, Value};
use time::{Date, macros::format_description};
use uuid::Uuid;

use crate::{
    dialect::{dialect, execute, query},
    error::{store_error, unreadable},
    time::to_row,
};

/// Rows in one statement.
const ROWS: usize = 200;

/// Who visited published sites, over one connection.
pub(crate) struct Visits<'c, C> {
    pub connection: &'c C,
}

fn get<T: TryGetable>(row: &QueryResult, column: &str) -> Result<T, StoreError> {
    row.try_get("", column).map_err(store_error)
}

/// A sum of `bigint` is `numeric` on Postgres, so statements cast it back.
fn count(row: &QueryResult, column: &str) -> Result<u64, StoreError> {
    get::<i64>(row, column).map(i64::unsigned_abs)
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn day_of(text: &str) -> Result<Date, StoreError> {
    Date::parse(text, format_description!("[year]-[month]-[day]"))
        .map_err(|_| unreadable("visit_days.day", text))
}

/// The values that every statement about a site's day begins with: `$1` tenant, `$2` site, `$3` day.
fn values(key: &SiteDay) -> Vec<Value> {
    vec![key.tenant.uuid().into(), key.site.uuid().into(), key.day.to_string().into()]
}

/// Rows of placeholders that begin with the tenant, site and day, each with `own` more: `($1, $2, $3, $4), ($1, $2, $3, $5)`.
fn rows(number: usize, own: usize) -> String {
    let row = |row: usize| {
        let more: Vec<String> = (0..own).map(|column| format!("${}", 4 + row * own + column)).collect();
        format!("($1, $2, $3, {})", more.join(", "))
    };
    (0..number).map(row).collect::<Vec<_>>().join(", ")
}

impl<C: ConnectionTrait + Send> Visits<'_, C> {
    /// Those of the sites that are still there, and stay so until the transaction ends: whoever deletes one waits here, and not
    /// in the midst of it for a row that is held.
    async fn existing(&self, sites: BTreeSet<(Uuid, Uuid)>) -> Result<BTreeSet<(Uuid, Uuid)>, StoreError> {
        let mut found = BTreeSet::new();
        let sites: Vec<_> = sites.into_iter().collect();
        for sites in sites.chunks(ROWS) {
            let pairs: Vec<String> =
                (0..sites.len()).map(|at| format!("(${}, ${})", 2 * at + 1, 2 * at + 2)).collect();
            let sql = format!(
                "select tenant_id, id from sites where (tenant_id, id) in (values {}) order by tenant_id, id {}",
                pairs.join(", "),
                dialect(self.connection).for_key_share
            );
            let ids = sites.iter().flat_map(|(tenant, site)| [Value::from(*tenant), Value::from(*site)]);
            for row in query(self.connection, &sql, ids).await? {
                found.insert((get(&row, "tenant_id")?, get(&row, "id")?));
            }
        }
        Ok(found)
    }

    async fn add(&self, key: &SiteDay, counts: &Counts) -> Result<(), StoreError> {
        execute(
            self.connection,
            "insert into visit_days (tenant_id, site_id, day, visits, visitors) values ($1, $2, $3, $4, 0) \
             on conflict (tenant_id, site_id, day) do update set visits = visit_days.visits + excluded.visits",
            values(key).into_iter().chain([signed(counts.visits).into()]),
        )
        .await?;
        let new = self.add_visitors(key, &counts.visitors).await?;
        if new > 0 {
            execute(
                self.connection,
                "update visit_days set visitors = visitors + $4 \
                 where tenant_id = $1 and site_id = $2 and day = $3",
                values(key).into_iter().chain([signed(new).into()]),
            )
            .await?;
        }
        self.add_names(key, &counts.names).await
    }

    /// Remembers visitors of the day. Answers how many are new.
    async fn add_visitors(&self, key: &SiteDay, visitors: &BTreeSet<VisitorHash>) -> Result<u64, StoreError> {
        let mut new = 0;
        let visitors: Vec<_> = visitors.iter().collect();
        for visitors in visitors.chunks(ROWS) {
            let sql = format!(
                "insert into visitor_hashes (tenant_id, site_id, day, hash) values {} on conflict do nothing",
                rows(visitors.len(), 1)
            );
            let hashes = visitors.iter().map(|hash| Value::from(hash.to_vec()));
            new += execute(self.connection, &sql, values(key).into_iter().chain(hashes)).await?;
        }
        Ok(new)
    }

    async fn add_names(
        &self,
        key: &SiteDay,
        names: &BTreeMap<(Dimension, String), u64>,
    ) -> Result<(), StoreError> {
        let mut bounded: BTreeMap<(Dimension, &str), u64> = BTreeMap::new();
        let held = self.held(key).await?;
        for dimension in Dimension::ALL {
            let mine: Vec<(&str, u64)> = names
                .iter()
                .filter(|((of, _), _)| *of == dimension)
                .map(|((_, name), count)| (name.as_str(), *count))
                .collect();
            let mut free = MAX_NAMES.saturating_sub(held.get(&dimension).copied().unwrap_or_default());
            // Hardly ever: a site has fewer pages, and a day fewer sources.
            let known = match mine.len() as u64 > free {
                true => Some(self.known(key, dimension).await?),
                false => None,
            };
            for (name, count) in mine {
                let fits = known.as_ref().is_none_or(|known| known.contains(name) || free > 0);
                if fits && known.as_ref().is_some_and(|known| !known.contains(name)) {
                    free -= 1;
                }
                *bounded.entry((dimension, if fits { name } else { OTHER })).or_default() += count;
            }
        }
        let bounded: Vec<_> = bounded.into_iter().collect();
        for names in bounded.chunks(ROWS) {
            let sql = format!(
                "insert into visit_names (tenant_id, site_id, day, dimension, name, visits) values {} \
                 on conflict (tenant_id, site_id, day, dimension, name) \
                 do update set visits = visit_names.visits + excluded.visits",
                rows(names.len(), 3)
            );
            let own = names.iter().flat_map(|((dimension, name), count)| {
                [dimension.as_str().into(), (*name).into(), signed(*count).into()]
            });
            execute(self.connection, &sql, values(key).into_iter().chain(own)).await?;
        }
        Ok(())
    }

    /// How many names there are of each dimension.
    async fn held(&self, key: &SiteDay) -> Result<BTreeMap<Dimension, u64>, StoreError> {
        let sql = "select dimension, count(*) as held from visit_names \
             where tenant_id = $1 and site_id = $2 and day = $3 and name <> $4 group by dimension";
        let found = query(self.connection, sql, values(key).into_iter().chain([OTHER.into()])).await?;
        found.iter().map(|row| Ok((dimension_of(row)?, count(row, "held")?))).collect()
    }

    /// The names that there are of a dimension.
    async fn known(&self, key: &SiteDay, dimension: Dimension) -> Result<BTreeSet<String>, StoreError> {
        let sql = "select name from visit_names \
             where tenant_id = $1 and site_id = $2 and day = $3 and dimension = $4";
        let values = values(key).into_iter().chain([dimension.as_str().into()]);
        query(self.connection, sql, values).await?.iter().map(|row| get(row, "name")).collect()
    }
}

fn dimension_of(row: &QueryResult) -> Result<Dimension, StoreError> {
    let word: String = get(row, "dimension")?;
    Dimension::parse(&word).ok_or_else(|| unreadable("visit_names.dimension", &word))
}

#[async_trait]
impl<C: ConnectionTrait + Send> VisitRepository for Visits<'_, C> {
    async fn salt(&mut self, day: Date, fresh: Salt) -> Result<Salt, StoreError> {
        let day = day.to_string();
        // Whoever comes second waits for the first one here, and reads below what that one wrote.
        execute(
            self.connection,
            "insert into visit_salts (day, salt) values ($1, $2) on conflict (day) do nothing",
            [day.as_str().into(), fresh.to_vec().into()],
        )
        .await?;
        let sql = "select salt from visit_salts where day = $1";
        let found = query(self.connection, sql, [day.as_str().into()]).await?;
        let salt: Vec<u8> = found.first().map_or(Ok(fresh.to_vec()), |row| get(row, "salt"))?;
        salt.try_into().map_err(|_| unreadable("visit_salts.salt", &day))
    }

    async fn store(&mut self, batch: &VisitBatch) -> Result<bool, StoreError> {
        let is_new = execute(
            self.connection,
            "insert into visit_batches (id, stored_at) values ($1, $2) on conflict (id) do nothing",
            [batch.id.uuid().into(), to_row(batch.at).into()],
        )
        .await?;
        if is_new == 0 {
            return Ok(false);
        }
        let sites = batch.sites.keys().map(|key| (key.tenant.uuid(), key.site.uuid())).collect();
        let existing = self.existing(sites).await?;
        for (key, counts) in &batch.sites {
            if existing.contains(&(key.tenant.uuid(), key.site.uuid())) {
                self.add(key, counts).await?;
            }
        }
        for ((tenant, day), traffic) in &batch.traffic {
            execute(
                self.connection,
                "insert into traffic_days (tenant_id, day, answers, bytes) values ($1, $2, $3, $4) \
                 on conflict (tenant_id, day) do update set answers = traffic_days.answers + excluded.answers, \
                 bytes = traffic_days.bytes + excluded.bytes",
                [
                    tenant.uuid().into(),
                    day.to_string().into(),
                    signed(traffic.answers).into(),
                    signed(traffic.bytes).into(),
                ],
            )
            .await?;
        }
        Ok(true)
    }

    async fn days(
        &mut self,
        tenant: TenantId,
        site: SiteId,
        from: Date,
        to: Date,
    ) -> Result<Vec<(Date, u64, u64)>, StoreError> {
        let found = query(
            self.connection,
            "select day, visits, visitors from visit_days \
             where tenant_id = $1 and site_id = $2 and day between $3 and $4 order by day",
            [tenant.uuid().into(), site.uuid().into(), from.to_string().into(), to.to_string().into()],
        )
        .await?;
        let shown =
            |row| Ok((day_of(&get::<String>(row, "day")?)?, count(row, "visits")?, count(row, "visitors")?));
        found.iter().map(shown).collect()
    }

    async fn names(
        &mut self,
        tenant: TenantId,
        site: SiteId,
        from: Date,
        to: Date,
        most: u64,
    ) -> Result<Vec<(Dimension, String, u64)>, StoreError> {
        let found = query(
            self.connection,
            "select dimension, name, total from (\
               select dimension, name, cast(sum(visits) as bigint) as total, \
                 row_number() over (partition by dimension order by sum(visits) desc, name) as place \
               from visit_names where tenant_id = $1 and site_id = $2 and day between $3 and $4 \
               group by dimension, name) ranked \
             where place <= $5 order by dimension, place",
            [
                tenant.uuid().into(),
                site.uuid().into(),
                from.to_string().into(),
                to.to_string().into(),
                signed(most).into(),
            ],
        )
        .await?;
        found.iter().map(|row| Ok((dimension_of(row)?, get(row, "name")?, count(row, "total")?))).collect()
    }

    async fn traffic(&mut self, tenant: TenantId, from: Date, to: Date) -> Result<(u64, u64), StoreError> {
        let found = query(
            self.connection,
            "select cast(coalesce(sum(answers), 0) as bigint) as answers, \
             cast(coalesce(sum(bytes), 0) as bigint) as bytes from traffic_days \
             where tenant_id = $1 and day between $2 and $3",
            [tenant.uuid().into(), from.to_string().into(), to.to_string().into()],
        )
        .await?;
        found.first().map_or(Ok((0, 0)), |row| Ok((count(row, "answers")?, count(row, "bytes")?)))
    }

    async fn forget(&mut self, day: Date, limit: u64) -> Result<u64, StoreError> {
        let mut forgotten = 0;
        for (table, key) in [
            ("visit_names", "tenant_id, site_id, day, dimension, name"),
            ("visit_days", "tenant_id, site_id, day"),
            ("traffic_days", "tenant_id, day"),
        ] {
            let sql = format!(
                "delete from {table} where ({key}) in (select {key} from {table} where day < $1 limit $2)"
            );
            forgotten +=
                execute(self.connection, &sql, [day.to_string().into(), signed(limit).into()]).await?;
        }
        Ok(forgotten)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_numbered() {
        assert_eq!(rows(2, 1), "($1, $2, $3, $4), ($1, $2, $3, $5)");
        assert_eq!(rows(2, 3), "($1, $2, $3, $4, $5, $6), ($1, $2, $3, $7, $8, $9)");
    }
}
