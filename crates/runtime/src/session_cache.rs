//! Cache of sessions: their user and permissions. A session in use is read from the database once in a few seconds, and at
//! once after a change, here or in another process.

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

/// Upper bound of the lifetime of entries, see [`Signals::max_age`].
const TIME_TO_LIVE: Duration = Duration::from_secs(5);

/// Maximum number of entries.
const CAPACITY: u64 = 100_000;

#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    session: SessionId,
    tenant: Option<TenantId>,
    /// Epochs of user and tenant, as part of the key: what was read before a change is never found after it.
    epochs: (u64, u64),
}

struct Entry {
    state: Option<CallerState>,
    /// Epoch of the impersonator, if there is one; only known once it is read.
    impersonator_epoch: u64,
    /// When the query began; the result may be as old as that.
    read: Instant,
    renewing: AtomicBool,
}

/// Sessions and their permissions: read from the database once in a few seconds.
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

    /// The user of a session, and their role in `tenant`; `None` when the session is no longer valid. Concurrent calls
    /// share one query.
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
            // Too old, perhaps because the query was slow; or changed since.
            self.cache.invalidate(&key).await;
            entry = self.read_through(&key).await?;
        }
        // Renewed in the background while it is valid, so that no request waits for it.
        if entry.read.elapsed() > max_age / 2 && !entry.renewing.swap(true, Ordering::Relaxed) {
            let (store, env, signals) = (self.store.clone(), self.env.clone(), self.signals.clone());
            let cache = self.cache.clone();
            tokio::spawn(async move {
                // If it fails, the entry expires, and the next call gets the error.
                if let Ok(entry) = read(&*store, &env, &signals, &key).await {
                    cache.insert(key, entry).await;
                }
            });
        }
        Ok(entry.state.clone())
    }

    /// The result of [`SessionCache::get`] if that needs no query, else `None`.
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
        // The epoch must be read before the entry; whose it is, is known only after the first reading.
        let impersonator_epoch = impersonator_epoch(signals, &state);
        if impersonator_epoch == before {
            return Ok(Arc::new(Entry { state, impersonator_epoch, read, renewing: AtomicBool::new(false) }));
        }
        before = impersonator_epoch;
    }
}
