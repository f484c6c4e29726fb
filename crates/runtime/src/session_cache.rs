//! Who a session belongs to and what it may do.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use portico_identity::session::CallerState;
use portico_kernel::{Env, SessionId, StoreError, TenantId, UserId};

use crate::{
    epoch_cache::{EpochCache, Epochs, Source},
    signals::Signals,
    store::Store,
};

/// Sessions, and what they may do in a tenant.
pub struct SessionCache {
    cache: EpochCache<Sessions>,
}

struct Sessions {
    store: Arc<dyn Store>,
    env: Env,
    signals: Arc<Signals>,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    session: SessionId,
    user: UserId,
    tenant: Option<TenantId>,
}

impl SessionCache {
    /// An empty cache in front of `store`.
    pub fn new(store: Arc<dyn Store>, env: Env, signals: Arc<Signals>) -> Self {
        let sessions = Sessions { store, env, signals: signals.clone() };
        Self { cache: EpochCache::new(sessions, signals) }
    }

    /// The caller behind a session of `user`, and their role in `tenant`; `None` when the session is not good any more.
    ///
    /// Boxed: an `async fn` would be compiled in each crate that calls it, with the cache that it uses.
    pub fn get(
        &self,
        session: SessionId,
        user: UserId,
        tenant: Option<TenantId>,
    ) -> BoxFuture<'_, Result<Option<CallerState>, Arc<StoreError>>> {
        Box::pin(async move { self.cache.get(&Key { session, user, tenant }).await })
    }

    /// The result of [`SessionCache::get`] if that needs no query, else `None`.
    pub fn known(
        &self,
        session: SessionId,
        user: UserId,
        tenant: Option<TenantId>,
    ) -> Option<Option<CallerState>> {
        self.cache.known(&Key { session, user, tenant })
    }
}

impl Source for Sessions {
    type Key = Key;
    type Value = Option<CallerState>;
    type Error = StoreError;

    async fn read(&self, key: &Key) -> Result<Option<CallerState>, StoreError> {
        metrics::counter!("portico_caller_lookups_total").increment(1);
        self.store.reader().sessions().caller(key.session, key.tenant, self.env.now()).await
    }

    fn epochs(&self, key: &Key, state: &Option<CallerState>) -> Epochs {
        let [user, tenant, ..] = self.epochs_of_key(key);
        let impersonator = state.as_ref().and_then(|state| state.impersonator);
        [user, tenant, impersonator.map_or(0, |user| self.signals.user_epoch(user))]
    }

    fn epochs_of_key(&self, key: &Key) -> Epochs {
        let tenant = key.tenant.map_or(0, |tenant| self.signals.tenant_epoch(tenant));
        [self.signals.user_epoch(key.user), tenant, 0]
    }
}
