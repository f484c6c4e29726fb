//! Who a session belongs to and what it may do. Read from the database once in a few seconds for a session in use, and at
//! once after something about it changed, here or in another process.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use moka::future::Cache;
use portico_identity::session::CallerState;
use portico_kernel::{Env, SessionId, StoreError, TenantId, UserId};

use crate::{signals::Signals, store::Store};

/// After this time an entry is of no use to anybody, see [`Signals::max_age`].
const TIME_TO_LIVE: Duration = Duration::from_secs(5);

/// Number of entries at most.
const CAPACITY: u64 = 100_000;

#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    session: SessionId,
    tenant: Option<TenantId>,
    /// Epochs of user and tenant. What was read before a change is filed under older ones, and so is never found after it.
    epochs: (u64, u64),
}

struct Entry {
    state: Option<CallerState>,
    /// Epoch of who acts through the session, if anybody; only known once it is read.
    impersonator_epoch: u64,
    /// When the query began: what it found may be as old as that.
    read: Instant,
    renewing: AtomicBool,
}

/// Sessions, and what they may do: read from the database once in a few seconds.
pub struct SessionCache {
    store: Arc<dyn Store>,
    env: Env,
    signals: Arc<Signals>,
    cache: Cache<Key, Arc<Entry>>,
}

impl SessionCache {
    /// An empty cache in front of `store`.
    pub fn new(store: Arc<dyn Store>, env: Env, signals: Arc<Signals>) -> Self {
        let cache = Cache::builder().max_capacity(CAPACITY).time_to_live(TIME_TO_LIVE).build();
        Self { store, env, signals, cache }
    }

    /// The caller behind a session of `user`, and their role in `tenant`; `None` when the session is not good any more.
    /// Requests that ask at the same moment share one query.
    pub async fn get(
        &self,
        session: SessionId,
        user: UserId,
        tenant: Option<TenantId>,
    ) -> Result<Option<CallerState>, Arc<StoreError>> {
        let key = self.key(session, user, tenant);
        let mut entry = self.read_through(&key).await?;
        let max_age = self.signals.max_age();
        if entry.read.elapsed() > max_age || entry.impersonator_epoch != self.impersonator_epoch(&entry.state)
        {
            // Too old, perhaps because the query took long; or what was read is not so any more.
            self.cache.invalidate(&key).await;
            entry = self.read_through(&key).await?;
        }
        // In the background while it is good, so that nobody has to wait for it.
        if entry.read.elapsed() > max_age / 2 && !entry.renewing.swap(true, Ordering::Relaxed) {
            let (store, env, signals) = (self.store.clone(), self.env.clone(), self.signals.clone());
            let cache = self.cache.clone();
            tokio::spawn(async move {
                // If it fails, the entry runs out, and whoever asks then is told.
                if let Ok(entry) = read(&*store, &env, &signals, &key).await {
                    cache.insert(key, entry).await;
                }
            });
        }
        Ok(entry.state.clone())
    }

    /// What [`SessionCache::get`] would answer without a query; `None` when it would need one.
    pub async fn known(
        &self,
        session: SessionId,
        user: UserId,
        tenant: Option<TenantId>,
    ) -> Option<Option<CallerState>> {
        let entry = self.cache.get(&self.key(session, user, tenant)).await?;
        let current = entry.read.elapsed() <= self.signals.max_age()
            && entry.impersonator_epoch == self.impersonator_epoch(&entry.state);
        current.then(|| entry.state.clone())
    }

    fn key(&self, session: SessionId, user: UserId, tenant: Option<TenantId>) -> Key {
        let tenant_epoch = tenant.map_or(0, |tenant| self.signals.tenant_epoch(tenant));
        Key { session, tenant, epochs: (self.signals.user_epoch(user), tenant_epoch) }
    }

    async fn read_through(&self, key: &Key) -> Result<Arc<Entry>, Arc<StoreError>> {
        let load = read(&*self.store, &self.env, &self.signals, key);
        self.cache.try_get_with_by_ref(key, load).await
    }

    fn impersonator_epoch(&self, state: &Option<CallerState>) -> u64 {
        impersonator_epoch(&self.signals, state)
    }
}

fn impersonator_epoch(signals: &Signals, state: &Option<CallerState>) -> u64 {
    let impersonator = state.as_ref().and_then(|state| state.impersonator);
    impersonator.map_or(0, |user| signals.user_epoch(user))
}

async fn read(store: &dyn Store, env: &Env, signals: &Signals, key: &Key) -> Result<Arc<Entry>, StoreError> {
    let mut before = 0;
    loop {
        metrics::counter!("caller_lookups_total").increment(1);
        let read = Instant::now();
        let state = store.reader().sessions().caller(key.session, key.tenant, env.now()).await?;
        // The epoch has to be older than the reading; whose it is is known only after the first one.
        let impersonator_epoch = impersonator_epoch(signals, &state);
        if impersonator_epoch == before {
            return Ok(Arc::new(Entry { state, impersonator_epoch, read, renewing: AtomicBool::new(false) }));
        }
        before = impersonator_epoch;
    }
}
