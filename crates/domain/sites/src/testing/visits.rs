//! Visits of published sites, in memory.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use portico_kernel::{SiteId, StoreError, TenantId};
use time::Date;
use uuid::Uuid;

use super::View;
use crate::{
    analytics::{Counts, Dimension, Salt, SiteDay, Traffic, VisitBatch},
    ports::VisitRepository,
};

/// The stored rows.
#[derive(Default)]
pub(crate) struct State {
    salts: BTreeMap<Date, Salt>,
    batches: BTreeSet<Uuid>,
    sites: BTreeMap<SiteDay, Counts>,
    traffic: BTreeMap<(TenantId, Date), Traffic>,
}

#[async_trait]
impl VisitRepository for View<'_> {
    async fn salt(&mut self, day: Date, fresh: Salt) -> Result<Salt, StoreError> {
        Ok(*self.0.visits.salts.entry(day).or_insert(fresh))
    }
    async fn store(&mut self, batch: &VisitBatch) -> Result<bool, StoreError> {
        let state = &mut self.0.visits;
        if !state.batches.insert(batch.id.uuid()) {
            return Ok(false);
        }
        for (key, new) in &batch.sites {
            let counts = state.sites.entry(*key).or_default();
            counts.visits += new.visits;
            counts.visitors.extend(&new.visitors);
            for (name, count) in &new.names {
                *counts.names.entry(name.clone()).or_default() += count;
            }
        }
        for (key, new) in &batch.traffic {
            let traffic = state.traffic.entry(*key).or_default();
            traffic.answers += new.answers;
            traffic.bytes += new.bytes;
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
        let all = self.0.visits.sites.iter();
        let found =
            all.filter(|(key, _)| (key.tenant, key.site) == (tenant, site) && (from..=to).contains(&key.day));
        Ok(found.map(|(key, counts)| (key.day, counts.visits, counts.visitors.len() as u64)).collect())
    }
    async fn names(
        &mut self,
        tenant: TenantId,
        site: SiteId,
        from: Date,
        to: Date,
        most: u64,
    ) -> Result<Vec<(Dimension, String, u64)>, StoreError> {
        let all = self.0.visits.sites.iter();
        let mut sums: BTreeMap<(Dimension, String), u64> = BTreeMap::new();
        for (_, counts) in
            all.filter(|(key, _)| (key.tenant, key.site) == (tenant, site) && (from..=to).contains(&key.day))
        {
            for (name, count) in &counts.names {
                *sums.entry(name.clone()).or_default() += count;
            }
        }
        let mut names: Vec<_> =
            sums.into_iter().map(|((dimension, name), count)| (dimension, name, count)).collect();
        names.sort_by_key(|(dimension, _, count)| (*dimension, std::cmp::Reverse(*count)));
        let mut kept: BTreeMap<Dimension, u64> = BTreeMap::new();
        names.retain(|(dimension, ..)| {
            let kept = kept.entry(*dimension).or_default();
            *kept += 1;
            *kept <= most
        });
        Ok(names)
    }
    async fn traffic(&mut self, tenant: TenantId, from: Date, to: Date) -> Result<(u64, u64), StoreError> {
        let all = self.0.visits.traffic.iter();
        let found = all.filter(|((of, day), _)| *of == tenant && (from..=to).contains(day));
        Ok(found.fold((0, 0), |(answers, bytes), (_, traffic)| {
            (answers + traffic.answers, bytes + traffic.bytes)
        }))
    }
    async fn forget(&mut self, day: Date, _: Date, _: u64) -> Result<u64, StoreError> {
        let before = self.0.visits.sites.len();
        self.0.visits.sites.retain(|key, _| key.day >= day);
        Ok((before - self.0.visits.sites.len()) as u64)
    }
}
