//! API keys as requests show them.

use std::{sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use portico_identity::api_key::KeyState;
use portico_kernel::StoreError;

use crate::{
    bounded_cache::BoundedCache,
    epoch_cache::{EpochCache, Epochs, Source},
    signals::Signals,
    store::Store,
};

/// How long a prefix that nothing was found for is not looked for again. New keys get prefixes that cannot have been tried.
const UNKNOWN_TIME: Duration = Duration::from_secs(5);

/// Maximum number of unknown prefixes.
const UNKNOWN_CAPACITY: usize = 10_000;

/// How long a secret, once it was valid, is looked up without counting against the rate limit of its address.
const ADMITTED_TIME: Duration = Duration::from_secs(600);

/// Number of such secrets at most.
const ADMITTED_CAPACITY: usize = 100_000;

/// API keys, and what they may do.
pub struct ApiKeyCache {
    keys: EpochCache<ApiKeys>,
    /// Prefixes of no key. Apart from the keys, so that made-up prefixes do not push those out.
    unknown: BoundedCache<String, ()>,
    admitted: BoundedCache<[u8; 32], ()>,
}

struct ApiKeys {
    store: Arc<dyn Store>,
    signals: Arc<Signals>,
}

/// Why there is no key.
enum Missing {
    Unknown,
    Failed(Arc<StoreError>),
}

impl ApiKeyCache {
    /// An empty cache in front of `store`.
    pub fn new(store: Arc<dyn Store>, signals: Arc<Signals>) -> Self {
        Self {
            keys: EpochCache::new(ApiKeys { store, signals: signals.clone() }, signals),
            unknown: BoundedCache::new(UNKNOWN_CAPACITY, Some(UNKNOWN_TIME)),
            admitted: BoundedCache::new(ADMITTED_CAPACITY, Some(ADMITTED_TIME)),
        }
    }

    /// The key of a prefix; `None` when there is none.
    ///
    /// Boxed: an `async fn` would be compiled in each crate that calls it, with the caches that it uses.
    pub fn get<'a>(
        &'a self,
        prefix: &'a str,
    ) -> BoxFuture<'a, Result<Option<Arc<KeyState>>, Arc<StoreError>>> {
        Box::pin(self.find(prefix))
    }

    async fn find(&self, prefix: &str) -> Result<Option<Arc<KeyState>>, Arc<StoreError>> {
        let prefix = prefix.to_owned();
        if self.unknown.get(&prefix).is_some() {
            return Ok(None);
        }
        match self.keys.get(&prefix).await {
            Ok(state) => Ok(Some(state)),
            Err(missing) => match &*missing {
                Missing::Unknown => {
                    self.unknown.put(prefix, ());
                    Ok(None)
                }
                Missing::Failed(error) => Err(error.clone()),
            },
        }
    }

    /// Whether the secret with this SHA-256 was valid a short time ago.
    pub fn was_admitted(&self, digest: &[u8; 32]) -> bool {
        self.admitted.get(digest).is_some()
    }

    /// Records that it is valid.
    pub fn admit(&self, digest: [u8; 32]) {
        if !self.was_admitted(&digest) {
            self.admitted.put(digest, ());
        }
    }
}

impl Source for ApiKeys {
    type Key = String;
    type Value = Arc<KeyState>;
    type Error = Missing;

    async fn read(&self, prefix: &String) -> Result<Arc<KeyState>, Missing> {
        metrics::counter!("portico_api_key_lookups_total").increment(1);
        let state = self.store.reader().api_keys().state(prefix).await;
        let state = state.map_err(|error| Missing::Failed(Arc::new(error)))?;
        state.map(Arc::new).ok_or(Missing::Unknown)
    }

    /// Of the tenant, and of the users who made the secret and the one before it.
    fn epochs(&self, _: &String, state: &Arc<KeyState>) -> Epochs {
        let mut makers = state.makers().map(|maker| self.signals.user_epoch(maker));
        let mut next = || makers.next().unwrap_or_default();
        [self.signals.tenant_epoch(state.tenant), next(), next()]
    }

    fn epochs_of_key(&self, _: &String) -> Epochs {
        Epochs::default()
    }
}
