//! API keys as requests show them. Read from the database once in a few seconds for a key in use, and at once after
//! something about it, its tenant or the account of whoever made it changed, here or in another process.

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

/// After this time an entry is of no use to anybody, see [`Signals::max_age`].
const TIME_TO_LIVE: Duration = Duration::from_secs(5);

/// Number of keys at most.
const CAPACITY: u64 = 100_000;

/// How long a prefix that nothing was found for is not looked for again. New keys get prefixes that nobody can have tried.
const UNKNOWN_TIME: Duration = Duration::from_secs(5);

/// Number of such prefixes at most.
const UNKNOWN_CAPACITY: u64 = 10_000;

/// How long a secret that was good once is looked up without being held against the limit of its address.
const ADMITTED_TIME: Duration = Duration::from_secs(600);

struct Entry {
    state: Arc<KeyState>,
    /// Those of its tenant and its makers; only known once the key is read.
    epochs: Epochs,
    /// When the query began: what it found may be as old as that.
    read: Instant,
    renewing: AtomicBool,
}

/// Epochs of the tenant, and of whoever made the secret and the one before it; 0 for nobody.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Epochs(u64, [u64; 2]);

impl Epochs {
    fn of(signals: &Signals, state: &KeyState) -> Self {
        let mut makers = state.makers().map(|maker| signals.user_epoch(maker));
        let mut next = || makers.next().unwrap_or_default();
        Self(signals.tenant_epoch(state.tenant), [next(), next()])
    }
}

/// Why there is no entry. Not cached with the entries, so that made-up prefixes do not push out those of real keys.
#[derive(Clone)]
enum Missing {
    Unknown,
    Failed(Arc<StoreError>),
}

/// API keys, and what they may do: read from the database once in a few seconds.
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

    /// The key of a prefix; `None` when there is none. Requests that ask at the same moment share one query.
    pub async fn get(&self, prefix: &str) -> Result<Option<Arc<KeyState>>, Arc<StoreError>> {
        if self.unknown.contains_key(prefix) {
            return Ok(None);
        }
        let max_age = self.signals.max_age();
        let mut found = self.read_through(prefix, Epochs::default()).await;
        if let Ok(entry) = &found
            && (entry.read.elapsed() > max_age || !self.is_current(entry))
        {
            // Too old, perhaps because the query took long; or something has changed since.
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
        // In the background while it is good, so that nobody has to wait for it.
        if entry.read.elapsed() > max_age / 2 && !entry.renewing.swap(true, Ordering::Relaxed) {
            let (store, signals) = (self.store.clone(), self.signals.clone());
            let (states, prefix) = (self.states.clone(), prefix.to_owned());
            let epochs = Epochs::of(&signals, &entry.state);
            tokio::spawn(async move {
                // If it fails, the entry runs out, and whoever asks then is told.
                if let Ok(entry) = read(&*store, &signals, &prefix, epochs).await {
                    states.insert(prefix, entry).await;
                }
            });
        }
        Ok(Some(entry.state.clone()))
    }

    /// Whether the secret of this SHA-256 was good a short time ago.
    pub fn was_admitted(&self, digest: &[u8; 32]) -> bool {
        self.admitted.contains_key(digest)
    }

    /// Notes that it is good.
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

/// Reads the key of a prefix. The epochs of an entry have to be older than its reading, but whose they are is known only after
/// one: `epochs` is what they were before, if this is not the first reading of the key.
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
