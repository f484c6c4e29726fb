//! Visits of published sites: recorded in memory while pages are sent, stored in batches.
//!
//! Recording a visit never waits, and never fails a request: visits that do not fit are dropped and counted. Only counts
//! are stored; the address of a visitor is kept only in memory, for some seconds.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
};

use portico_kernel::{Fault, Kind, StoreError, TenantId};
use portico_runtime::{core::Core, logging::chain};
use portico_sites::analytics::{SALT_GRACE, Salt, Seen, Traffic, VisitBatch};
use time::Date;
use tokio::sync::{Notify, mpsc};

/// Maximum number of visits queued in memory: about 10 MB of them.
const QUEUE: usize = 10_000;

/// Sites and days stored in one transaction.
const BATCH: usize = 100;

/// Maximum number of batches that wait for the database. Beyond that visits stay in the queue, and are dropped when it is
/// full.
const MOST_WAITING: usize = 20;

/// Visits since the last store. A crash loses them: the last few seconds.
pub struct VisitCounter {
    seen: mpsc::Sender<Seen>,
    traffic: Mutex<BTreeMap<(TenantId, Date), Traffic>>,
    /// Notified when the queue is half full.
    pub half_full: Notify,
    storing: tokio::sync::Mutex<Storing>,
}

/// Visits in transit from the queue to the database. One task at a time works on it.
struct Storing {
    seen: mpsc::Receiver<Seen>,
    /// Taken from the queue when its salt could not be read.
    held: Option<Seen>,
    salts: BTreeMap<Date, Salt>,
    waiting: VecDeque<VisitBatch>,
}

impl Default for VisitCounter {
    fn default() -> Self {
        Self::with_capacity(QUEUE)
    }
}

impl VisitCounter {
    fn with_capacity(capacity: usize) -> Self {
        let (sender, receiver) = mpsc::channel(capacity);
        let storing =
            Storing { seen: receiver, held: None, salts: BTreeMap::new(), waiting: VecDeque::new() };
        Self {
            seen: sender,
            traffic: Mutex::default(),
            half_full: Notify::new(),
            storing: tokio::sync::Mutex::new(storing),
        }
    }

    /// Records that a page was sent. Returns whether there was room for it.
    pub fn note(&self, seen: Seen) -> bool {
        let noted = self.seen.try_send(seen).is_ok();
        if !noted {
            metrics::counter!("portico_visits_dropped_total").increment(1);
        }
        if self.seen.capacity() <= self.seen.max_capacity() / 2 {
            self.half_full.notify_one();
        }
        noted
    }

    /// Counts a response of `bytes`.
    pub fn sent(&self, tenant: TenantId, day: Date, bytes: u64) {
        let mut traffic = self.traffic();
        let traffic = traffic.entry((tenant, day)).or_default();
        traffic.answers += 1;
        traffic.bytes += bytes;
    }

    /// Stores everything recorded so far, for the last time.
    pub async fn flush(&self, core: &Core) {
        if let Err(error) = self.try_flush(core).await {
            tracing::warn!(error = %chain(&error), "visits could not be stored");
        }
    }

    /// Stores everything recorded so far.
    ///
    /// # Errors
    /// When the database is unavailable, or a concurrent transaction conflicts: what was not stored is kept.
    pub async fn try_flush(&self, core: &Core) -> Result<(), StoreError> {
        let mut storing = self.storing.lock().await;
        if storing.waiting.len() < MOST_WAITING {
            let mut batch = VisitBatch::new(&core.env);
            let drained = storing.drain(core, &mut batch).await;
            batch.traffic = std::mem::take(&mut *self.traffic());
            storing.waiting.extend(split(core, batch));
            drained?;
        }
        while let Some(batch) = storing.waiting.front() {
            if let Err(error) = store(core, batch).await {
                // The data of a site that was deleted meanwhile is left out at the next attempt.
                if matches!(error.kind(), Kind::Unavailable | Kind::Conflict | Kind::NotFound) {
                    return Err(error);
                }
                tracing::error!(error = %chain(&error), "visits are lost");
            }
            storing.waiting.pop_front();
        }
        Ok(())
    }

    fn traffic(&self) -> MutexGuard<'_, BTreeMap<(TenantId, Date), Traffic>> {
        // Counts are consistent after every line, so a panic leaves nothing half done.
        self.traffic.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Storing {
    /// Counts the visits in the queue. Stops early when a salt cannot be read.
    async fn drain(&mut self, core: &Core, batch: &mut VisitBatch) -> Result<(), StoreError> {
        let oldest = (core.env.now() - SALT_GRACE).into_inner().date();
        // Salts of past days are deleted, so that no visitor can be traced back to an address.
        self.salts.retain(|day, _| *day >= oldest);
        // Bounded, so that a flood of visits does not keep this from ending.
        for _ in 0..=QUEUE {
            let Some(seen) = self.held.take().or_else(|| self.seen.try_recv().ok()) else { break };
            match self.salt(core, seen.day()).await {
                Ok(salt) => batch.add(&seen, &salt),
                Err(error) => {
                    self.held = Some(seen);
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    async fn salt(&mut self, core: &Core, day: Date) -> Result<Salt, StoreError> {
        if let Some(salt) = self.salts.get(&day) {
            return Ok(*salt);
        }
        let mut work = core.begin().await?;
        let salt = work.visits().salt(day, core.env.random_bytes()).await?;
        work.commit().await?;
        self.salts.insert(day, salt);
        Ok(salt)
    }
}

/// Splits a batch into parts of the size of one transaction.
fn split(core: &Core, mut batch: VisitBatch) -> Vec<VisitBatch> {
    let mut pieces = Vec::new();
    while batch.sites.len() > BATCH {
        let Some(from) = batch.sites.keys().nth(BATCH).copied() else { break };
        let rest = batch.sites.split_off(&from);
        let mut piece = VisitBatch::new(&core.env);
        piece.sites = std::mem::replace(&mut batch.sites, rest);
        pieces.push(piece);
    }
    if !batch.is_empty() {
        pieces.push(batch);
    }
    pieces
}

/// Stores a batch. A batch that was committed before, although the commit seemed to fail, is not added again.
async fn store(core: &Core, batch: &VisitBatch) -> Result<(), StoreError> {
    let mut work = core.begin().await?;
    if work.visits().store(batch).await? {
        work.commit().await?;
        for (tenant, _) in batch.traffic.keys() {
            core.signals.usage.mark(*tenant);
        }
        let visits: u64 = batch.sites.values().map(|counts| counts.visits).sum();
        metrics::counter!("portico_visits_stored_total").increment(visits);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use portico_kernel::{SiteId, Timestamp};
    use portico_security::system_env;

    use super::*;

    fn seen() -> Seen {
        let env = system_env();
        Seen {
            tenant: env.new_id(),
            site: env.new_id::<portico_kernel::SiteKind>() as SiteId,
            at: Timestamp::from_unix_seconds(1_795_237_629).unwrap(),
            path: "/".to_owned(),
            query: String::new(),
            host: String::new(),
            referrer: None,
            user_agent: String::new(),
            mobile: None,
            country: None,
            address: [192, 0, 2, 1].into(),
            private: false,
        }
    }

    #[tokio::test]
    async fn a_full_queue_drops_and_never_waits() {
        let counter = VisitCounter::with_capacity(4);
        let noted: Vec<bool> = (0..6).map(|_| counter.note(seen())).collect();
        assert_eq!(noted, [true, true, true, true, false, false]);
        // The half-full notification is sent before the queue is full.
        tokio::time::timeout(std::time::Duration::from_secs(1), counter.half_full.notified()).await.unwrap();
    }

    #[tokio::test]
    async fn noting_a_visit_costs_no_more_when_somebody_stores() {
        let counter = VisitCounter::with_capacity(4);
        let storing = counter.storing.lock().await;
        assert!(counter.note(seen()), "also while the store is busy");
        counter.sent(seen().tenant, seen().day(), 10);
        drop(storing);
    }
}
