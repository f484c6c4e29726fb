//! Cache of API keys. A key in use is read from the database once in a few seconds, and at once after a change of the key,
//! its tenant or the account of its maker, here or in another process.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use moka::future::Cache;
use portico_identity::api_key::KeyState;
use portico_kernel::StoreError;

use crate::{signals::Signals, store::Store};

/// Upper bound of the lifetime of entries, see [`Signals::max_age`].
const TIME_TO_LIVE: Duration = Duration::from_secs(5);

/// Maximum number of keys.
const CAPACITY: u64 = 100_000;

/// How long an unknown prefix is not looked up again. New keys get random prefixes, which cannot have been tried before.
const UNKNOWN_TIME: Duration = Duration::from_secs(5);

/// Maximum number of unknown prefixes.
const UNKNOWN_CAPACITY: u64 = 10_000;

/// How long a secret, once it was valid, is looked up without counting against the rate limit of its address.
const ADMITTED_TIME: Duration = Duration::from_secs(600);

struct Entry {
    state: Arc<KeyState>,
    /// Epochs of its tenant and its makers; only known once the key is read.
    epochs: Epochs,
    /// When the query began; the result may be as old as that.
    read: Instant,
    renewing: AtomicBool,
}

/// Epochs of the tenant, and of the makers of the current secret and the one before it; 0 where there is no maker.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Epochs(u64, [u64; 2]);

impl Epochs {
    fn of(signals: &Signals, state: &KeyState) -> Self {
        let mut makers = state.makers().map(|maker| signals.user_epoch(maker));
        let mut next = || makers.next().unwrap_or_default();
        Self(signals.tenant_epoch(state.tenant), [next(), next()])
    }
}

/// Why there is no entry. Cached apart from the entries, so that made-up prefixes do not evict real keys.
#[derive(Clone)]
enum Missing {
    Unknown,
    Failed(Arc<StoreError>),
}

/// API keys and their permissions: read from the database once in a few seconds.
pub struct ApiKeyCache {
    store: Arc<dyn Store>,
    signals: Arc<Signals>,
    states: Cache<String, Arc<Entry>>,
    unknown: Cache<String, ()>,
    admitted: Cache<[u8; 32], ()>,
}

impl ApiKeyCache {
    /// An empty cache in front of `store`.
    pub fn new(store: Arc<dyn Store>, signals: Arc<Signals>) -> Self {
        let cache = |capacity, time| Cache::builder().max_capacity(capacity).time_to_live(time).build();
        Self {
            store,
            signals,
            states: Cache::builder().max_capacity(CAPACITY).time_to_live(TIME_TO_LIVE).build(),
            unknown: cache(UNKNOWN_CAPACITY, UNKNOWN_TIME),
            admitted: Cache::builder().max_capacity(CAPACITY).time_to_live(ADMITTED_TIME).build(),
        }
    }

    /// The key with a prefix; `None` when there is none. Concurrent calls share one query.
    pub async fn get(&self, prefix: &str) -> Result<Option<Arc<KeyState>>, Arc<StoreError>> {
        if self.unknown.contains_key(prefix) {
            return Ok(None);
        }
        let max_age = self.signals.max_age();
        let mut found = self.read_through(prefix, Epochs::default()).await;
        if let Ok(entry) = &found
            && (entry.read.elapsed() > max_age || !self.is_current(entry))
        {
            // Too old, perhaps because the query was slow; or changed since.
            let epochs = Epochs::of(&self.signals, &entry.state);
            self.states.invalidate(prefix).await;
            found = self.read_through(prefix, epochs).await;
        }
        let entry = match found {
            Ok(entry) => entry,
            Err(Missing::Unknown) => {
                self.unknown.insert(prefix.to_owned(), ()).await;
                return Ok(None);
            }
            Err(Missing::Failed(error)) => return Err(error),
        };
        // Renewed in the background while it is valid, so that no request waits for it.
        if entry.read.elapsed() > max_age / 2 && !entry.renewing.swap(true, Ordering::Relaxed) {
            let (store, signals) = (self.store.clone(), self.signals.clone());
            let (states, prefix) = (self.states.clone(), prefix.to_owned());
            let epochs = Epochs::of(&signals, &entry.state);
            tokio::spawn(async move {
                // If it fails, the entry expires, and the next call gets the error.
                if let Ok(entry) = read(&*store, &signals, &prefix, epochs).await {
                    states.insert(prefix, entry).await;
                }
            });
        }
        Ok(Some(entry.state.clone()))
    }

    /// Whether the secret with this SHA-256 was valid a short time ago.
    pub fn was_admitted(&self, digest: &[u8; 32]) -> bool {
        self.admitted.contains_key(digest)
    }

    /// Records that it is valid.
    pub async fn admit(&self, digest: [u8; 32]) {
        if !self.was_admitted(&digest) {
            self.admitted.insert(digest, ()).await;
        }
    }

    fn is_current(&self, entry: &Entry) -> bool {
        entry.epochs == Epochs::of(&self.signals, &entry.state)
    }

    async fn read_through(&self, prefix: &str, epochs: Epochs) -> Result<Arc<Entry>, Missing> {
        let load = read(&*self.store, &self.signals, prefix, epochs);
        self.states.try_get_with_by_ref(prefix, load).await.map_err(|missing| (*missing).clone())
    }
}

/// Reads the key with a prefix. Epochs must be read before the entry, but whose they are is known only after it: `epochs`
/// are those known before, if this is not the first reading of the key.
async fn read(
    store: &dyn Store,
    signals: &Signals,
    prefix: &str,
    mut epochs: Epochs,
) -> Result<Arc<Entry>, Missing> {
    loop {
        metrics::counter!("api_key_lookups_total").increment(1);
        let read = Instant::now();
        let state = store.reader().api_keys().state(prefix).await;
        let state = state.map_err(|error| Missing::Failed(Arc::new(error)))?.ok_or(Missing::Unknown)?;
        let now = Epochs::of(signals, &state);
        if epochs == now {
            let (state, renewing) = (Arc::new(state), AtomicBool::new(false));
            return Ok(Arc::new(Entry { state, epochs, read, renewing }));
        }
        epochs = now;
    }
}
