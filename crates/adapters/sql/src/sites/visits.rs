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
use sea_orm::Value;
use time::Date;

use crate::{
    columns::words,
    db::{Db, Param, Params},
};

/// Rows in one statement.
const ROWS: usize = 200;

words!(Dimension);

/// Who visited published sites, over one connection.
pub(crate) struct Visits<'c> {
    pub db: Db<'c>,
}

/// The values that every statement about a site's day begins with: `$1` tenant, `$2` site, `$3` day; and its own.
fn values(key: &SiteDay, own: impl IntoIterator<Item = Value>) -> Vec<Value> {
    (key.tenant, key.site, key.day).values().into_iter().chain(own).collect()
}

/// Rows of placeholders that begin with the tenant, site and day, each with `own` more: `($1, $2, $3, $4), ($1, $2, $3, $5)`.
fn rows(number: usize, own: usize) -> String {
    let row = |row: usize| {
        let more: Vec<String> = (0..own).map(|column| format!("${}", 4 + row * own + column)).collect();
        format!("($1, $2, $3, {})", more.join(", "))
    };
    (0..number).map(row).collect::<Vec<_>>().join(", ")
}

impl Visits<'_> {
    /// Those of the sites that are still there, and stay so until the transaction ends: whoever deletes one waits here, and not
    /// in the midst of it for a row that is held.
    async fn existing(
        &self,
        sites: BTreeSet<(TenantId, SiteId)>,
    ) -> Result<BTreeSet<(TenantId, SiteId)>, StoreError> {
        let mut found = BTreeSet::new();
        let sites: Vec<_> = sites.into_iter().collect();
        for sites in sites.chunks(ROWS) {
            let pairs: Vec<String> =
                (0..sites.len()).map(|at| format!("(${}, ${})", 2 * at + 1, 2 * at + 2)).collect();
            let sql = format!(
                "select tenant_id, id from sites where (tenant_id, id) in (values {}) order by tenant_id, id {}",
                pairs.join(", "),
                self.db.dialect().for_key_share
            );
            let ids: Vec<_> = sites.iter().flat_map(|(tenant, site)| (*tenant, *site).values()).collect();
            found.extend(self.db.rows::<(TenantId, SiteId)>(&sql, ids).await?);
        }
        Ok(found)
    }

    async fn add(&self, key: &SiteDay, counts: &Counts) -> Result<(), StoreError> {
        let sql = "insert into visit_days (tenant_id, site_id, day, visits, visitors) values ($1, $2, $3, $4, 0) \
             on conflict (tenant_id, site_id, day) do update set visits = visit_days.visits + excluded.visits";
        self.db.execute(sql, values(key, [counts.visits.value()])).await?;
        let new = self.add_visitors(key, &counts.visitors).await?;
        if new > 0 {
            let sql = "update visit_days set visitors = visitors + $4 \
                 where tenant_id = $1 and site_id = $2 and day = $3";
            self.db.execute(sql, values(key, [new.value()])).await?;
        }
        self.add_names(key, &counts.names).await
    }

    /// Remembers visitors of the day. Answers how many are new.
    async fn add_visitors(&self, key: &SiteDay, visitors: &BTreeSet<VisitorHash>) -> Result<u64, StoreError> {
        let mut new = 0;
        let visitors: Vec<_> = visitors.iter().copied().collect();
        for visitors in visitors.chunks(ROWS) {
            let sql = format!(
                "insert into visitor_hashes (tenant_id, site_id, day, hash) values {} on conflict do nothing",
                rows(visitors.len(), 1)
            );
            new += self.db.execute(&sql, values(key, visitors.iter().map(|hash| hash.value()))).await?;
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
            let own =
                names.iter().flat_map(|((dimension, name), count)| (*dimension, *name, *count).values());
            self.db.execute(&sql, values(key, own)).await?;
        }
        Ok(())
    }

    /// How many names there are of each dimension.
    async fn held(&self, key: &SiteDay) -> Result<BTreeMap<Dimension, u64>, StoreError> {
        let sql = "select dimension, count(*) as held from visit_names \
             where tenant_id = $1 and site_id = $2 and day = $3 and name <> $4 group by dimension";
        Ok(self.db.rows(sql, values(key, [OTHER.value()])).await?.into_iter().collect())
    }

    /// The names that there are of a dimension.
    async fn known(&self, key: &SiteDay, dimension: Dimension) -> Result<BTreeSet<String>, StoreError> {
        let sql = "select name from visit_names \
             where tenant_id = $1 and site_id = $2 and day = $3 and dimension = $4";
        Ok(self.db.rows(sql, values(key, [dimension.value()])).await?.into_iter().collect())
    }
}

#[async_trait]
impl VisitRepository for Visits<'_> {
    async fn salt(&mut self, day: Date, fresh: Salt) -> Result<Salt, StoreError> {
        // Whoever comes second waits for the first one here, and reads below what that one wrote.
        let sql = "insert into visit_salts (day, salt) values ($1, $2) on conflict (day) do nothing";
        self.db.execute(sql, (day, fresh)).await?;
        Ok(self.db.row("select salt from visit_salts where day = $1", [day]).await?.unwrap_or(fresh))
    }

    async fn store(&mut self, batch: &VisitBatch) -> Result<bool, StoreError> {
        let sql = "insert into visit_batches (id, stored_at) values ($1, $2) on conflict (id) do nothing";
        let is_new = self.db.execute(sql, (batch.id, batch.at)).await?;
        if is_new == 0 {
            return Ok(false);
        }
        let sites = batch.sites.keys().map(|key| (key.tenant, key.site)).collect();
        let existing = self.existing(sites).await?;
        for (key, counts) in &batch.sites {
            if existing.contains(&(key.tenant, key.site)) {
                self.add(key, counts).await?;
            }
        }
        for ((tenant, day), traffic) in &batch.traffic {
            let sql = "insert into traffic_days (tenant_id, day, answers, bytes) values ($1, $2, $3, $4) \
                 on conflict (tenant_id, day) do update set answers = traffic_days.answers + excluded.answers, \
                 bytes = traffic_days.bytes + excluded.bytes";
            self.db.execute(sql, (*tenant, *day, traffic.answers, traffic.bytes)).await?;
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
        let sql = "select day, visits, visitors from visit_days \
             where tenant_id = $1 and site_id = $2 and day between $3 and $4 order by day";
        self.db.rows(sql, (tenant, site, from, to)).await
    }

    async fn names(
        &mut self,
        tenant: TenantId,
        site: SiteId,
        from: Date,
        to: Date,
        most: u64,
    ) -> Result<Vec<(Dimension, String, u64)>, StoreError> {
        let sql = "select dimension, name, total from (\
               select dimension, name, cast(sum(visits) as bigint) as total, \
                 row_number() over (partition by dimension order by sum(visits) desc, name) as place \
               from visit_names where tenant_id = $1 and site_id = $2 and day between $3 and $4 \
               group by dimension, name) ranked \
             where place <= $5 order by dimension, place";
        self.db.rows(sql, (tenant, site, from, to, most)).await
    }

    async fn traffic(&mut self, tenant: TenantId, from: Date, to: Date) -> Result<(u64, u64), StoreError> {
        let sql = "select cast(coalesce(sum(answers), 0) as bigint) as answers, \
             cast(coalesce(sum(bytes), 0) as bigint) as bytes from traffic_days \
             where tenant_id = $1 and day between $2 and $3";
        Ok(self.db.row(sql, (tenant, from, to)).await?.unwrap_or_default())
    }

    async fn forget(&mut self, visits: Date, traffic: Date, limit: u64) -> Result<u64, StoreError> {
        let mut forgotten = 0;
        for (table, key, day) in [
            ("visit_names", "tenant_id, site_id, day, dimension, name", visits),
            ("visit_days", "tenant_id, site_id, day", visits),
            ("traffic_days", "tenant_id, day", traffic),
        ] {
            let sql = format!(
                "delete from {table} where ({key}) in (select {key} from {table} where day < $1 limit $2)"
            );
            forgotten += self.db.execute(&sql, (day, limit)).await?;
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
