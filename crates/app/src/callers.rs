//! Who a session belongs to and what it may do, read from the database at most once a second for each session.

use std::{sync::Arc, time::Duration};

use moka::future::Cache;
use portico_identity::session::CallerState;
use portico_kernel::{Env, SessionId, StoreError, TenantId};

use crate::{signals::Signals, unit_of_work::Store};

/// How long another instance may go on believing in a session that was ended here.
const TIME_TO_LIVE: Duration = Duration::from_millis(900);

/// Number of entries at most.
const CAPACITY: u64 = 100_000;

#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    session: SessionId,
    tenant: Option<TenantId>,
    /// What was read before a change is filed under an older epoch, and so is never found after it.
    epoch: u64,
}

/// The cache of callers.
pub struct Callers {
    store: Arc<dyn Store>,
    env: Env,
    signals: Arc<Signals>,
    cache: Cache<Key, Option<CallerState>>,
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
        let now = self.env.now();
        self.cache
            .try_get_with(key, async { self.store.reader().sessions().caller(session, tenant, now).await })
            .await
    }
}
