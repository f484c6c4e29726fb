//! Who a session belongs to and what it may do, read from the database about twice a second for a session in use.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use moka::future::Cache;
use portico_identity::session::CallerState;
use portico_kernel::{Env, SessionId, StoreError, TenantId};

use crate::{signals::Signals, unit_of_work::Store};

/// How long another instance may go on believing in a session that was ended here.
const TIME_TO_LIVE: Duration = Duration::from_millis(900);

/// Age at which an entry in use is read again in the background, so that nobody has to wait for it.
const RENEW_AFTER: Duration = Duration::from_millis(450);

/// Number of entries at most.
const CAPACITY: u64 = 100_000;

#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    session: SessionId,
    tenant: Option<TenantId>,
    /// What was read before a change is filed under an older epoch, and so is never found after it.
    epoch: u64,
}

struct Entry {
    state: Option<CallerState>,
    /// When the query began: what it found may be as old as that.
    read: Instant,
    renewing: AtomicBool,
}

/// The cache of callers.
pub struct Callers {
    store: Arc<dyn Store>,
    env: Env,
    signals: Arc<Signals>,
    cache: Cache<Key, Arc<Entry>>,
}

impl Callers {
    /// An empty cache in front of `store`.
    pub fn new(store: Arc<dyn Store>, env: Env, signals: Arc<Signals>) -> Self {
        let cache = Cache::builder().max_capacity(CAPACITY).time_to_live(TIME_TO_LIVE).build();
        Self { store, env, signals, cache }
    }

    /// The caller behind a session, and their role in `tenant`; `None` when the session is not good any more.
    /// Requests that ask at the same moment share one query.
    pub async fn get(
        &self,
        session: SessionId,
        tenant: Option<TenantId>,
    ) -> Result<Option<CallerState>, Arc<StoreError>> {
        let key = Key { session, tenant, epoch: self.signals.callers_epoch() };
        let mut entry = self.cache.try_get_with_by_ref(&key, read(&*self.store, &self.env, &key)).await?;
        if entry.read.elapsed() > TIME_TO_LIVE {
            // The query took so long that its result was old when it was filed.
            self.cache.invalidate(&key).await;
            entry = self.cache.try_get_with_by_ref(&key, read(&*self.store, &self.env, &key)).await?;
        }
        if entry.read.elapsed() > RENEW_AFTER && !entry.renewing.swap(true, Ordering::Relaxed) {
            let (store, env, cache) = (self.store.clone(), self.env.clone(), self.cache.clone());
            tokio::spawn(async move {
                // If it fails, the entry runs out, and whoever asks then is told.
                if let Ok(entry) = read(&*store, &env, &key).await {
                    cache.insert(key, entry).await;
                }
            });
        }
        Ok(entry.state.clone())
    }
}

async fn read(store: &dyn Store, env: &Env, key: &Key) -> Result<Arc<Entry>, StoreError> {
    let read = Instant::now();
    let state = store.reader().sessions().caller(key.session, key.tenant, env.now()).await?;
    Ok(Arc::new(Entry { state, read, renewing: AtomicBool::new(false) }))
}
