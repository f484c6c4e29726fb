//! What is read from the database once in a few seconds, and at once after something that it depends on has changed, here or in
//! another process.

use std::{
    hash::Hash,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use moka::future::Cache;

use crate::signals::Signals;

/// After this time an entry is of no use any more, see [`Signals::max_age`].
const TIME_TO_LIVE: Duration = Duration::from_secs(5);

/// Number of entries at most.
const CAPACITY: u64 = 100_000;

/// The epochs of up to three things (users, a tenant) that a value depends on, see [`Signals::user_epoch`]. 0 where there are fewer.
pub type Epochs = [u64; 3];

/// Where values of a cache come from.
pub trait Source: Send + Sync + 'static {
    /// By what a value is looked up.
    type Key: Clone + Eq + Hash + Send + Sync + 'static;
    /// What is kept. Cheap to clone.
    type Value: Clone + Send + Sync + 'static;
    /// Why there is no value. Not kept.
    type Error: Send + Sync + 'static;

    /// Reads a value from the database.
    fn read(&self, key: &Self::Key) -> impl Future<Output = Result<Self::Value, Self::Error>> + Send;

    /// The epochs, now, of what a value depends on.
    fn epochs(&self, key: &Self::Key, value: &Self::Value) -> Epochs;

    /// The epochs, now, of what is known to matter before a value was ever read.
    fn epochs_of_key(&self, key: &Self::Key) -> Epochs;
}

struct Entry<V> {
    value: V,
    /// Those from before it was read.
    epochs: Epochs,
    /// When the query began: what it found may be as old as that.
    read: Instant,
    renewing: AtomicBool,
}

/// A cache in front of a source.
pub struct EpochCache<S: Source> {
    source: Arc<S>,
    signals: Arc<Signals>,
    entries: Cache<S::Key, Arc<Entry<S::Value>>>,
}

impl<S: Source> EpochCache<S> {
    /// An empty cache.
    pub fn new(source: S, signals: Arc<Signals>) -> Self {
        let entries = Cache::builder().max_capacity(CAPACITY).time_to_live(TIME_TO_LIVE).build();
        Self { source: Arc::new(source), signals, entries }
    }

    /// The value of a key, not older than [`Signals::max_age`]. Calls at the same moment share one query.
    ///
    /// # Errors
    /// Those of the source.
    pub async fn get(&self, key: &S::Key) -> Result<S::Value, Arc<S::Error>> {
        let max_age = self.signals.max_age();
        let mut entry = self.read_through(key, self.source.epochs_of_key(key)).await?;
        if entry.read.elapsed() > max_age || !self.is_current(key, &entry) {
            // Too old, perhaps because the query took long; or something has changed since.
            let epochs = self.source.epochs(key, &entry.value);
            self.entries.invalidate(key).await;
            entry = self.read_through(key, epochs).await?;
        }
        // In the background while it is good, so that no request waits for it.
        if entry.read.elapsed() > max_age / 2 && !entry.renewing.swap(true, Ordering::Relaxed) {
            let (source, entries, key) = (self.source.clone(), self.entries.clone(), key.clone());
            let epochs = source.epochs(&key, &entry.value);
            tokio::spawn(async move {
                // If it fails, the entry expires, and the next request gets the error.
                if let Ok(entry) = read(&*source, &key, epochs).await {
                    entries.insert(key, entry).await;
                }
            });
        }
        Ok(entry.value.clone())
    }

    /// What [`EpochCache::get`] would answer without a query; `None` when it would need one.
    pub async fn known(&self, key: &S::Key) -> Option<S::Value> {
        let entry = self.entries.get(key).await?;
        let is_good = entry.read.elapsed() <= self.signals.max_age() && self.is_current(key, &entry);
        is_good.then(|| entry.value.clone())
    }

    fn is_current(&self, key: &S::Key, entry: &Entry<S::Value>) -> bool {
        entry.epochs == self.source.epochs(key, &entry.value)
    }

    async fn read_through(
        &self,
        key: &S::Key,
        epochs: Epochs,
    ) -> Result<Arc<Entry<S::Value>>, Arc<S::Error>> {
        self.entries.try_get_with_by_ref(key, read(&*self.source, key, epochs)).await
    }
}

/// Reads a value. The epochs of an entry have to be older than its reading, but some are known only after one: `epochs` is what is
/// expected of them.
async fn read<S: Source>(
    source: &S,
    key: &S::Key,
    mut epochs: Epochs,
) -> Result<Arc<Entry<S::Value>>, S::Error> {
    loop {
        let read = Instant::now();
        let value = source.read(key).await?;
        let now = source.epochs(key, &value);
        if epochs == now {
            return Ok(Arc::new(Entry { value, epochs, read, renewing: AtomicBool::new(false) }));
        }
        epochs = now;
    }
}
