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

use crate::{loading_cache::LoadingCache, signals::Signals};

/// After this time an entry is of no use any more, see [`Signals::max_age`].
const TIME_TO_LIVE: Duration = Duration::from_secs(5);

/// Number of entries at most.
const CAPACITY: usize = 100_000;

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

type Entries<S> = LoadingCache<<S as Source>::Key, Arc<Entry<<S as Source>::Value>>, <S as Source>::Error>;

/// A cache in front of a source.
pub struct EpochCache<S: Source> {
    source: Arc<S>,
    signals: Arc<Signals>,
    entries: Arc<Entries<S>>,
}

impl<S: Source> EpochCache<S> {
    /// An empty cache.
    pub fn new(source: S, signals: Arc<Signals>) -> Self {
        let entries = Arc::new(LoadingCache::new(CAPACITY, Some(TIME_TO_LIVE)));
        Self { source: Arc::new(source), signals, entries }
    }

    /// The value of a key, not older than [`Signals::max_age`]. Calls at the same moment share one query.
    ///
    /// # Errors
    /// Those of the source.
    pub async fn get(&self, key: &S::Key) -> Result<S::Value, Arc<S::Error>> {
        let max_age = self.signals.max_age();
        let entry = match self.good(key, max_age) {
            Some(entry) => entry,
            None => self.look(key, max_age).await?,
        };
        // In the background while it is good, so that no request waits for it.
        if entry.read.elapsed() > max_age / 2 && !entry.renewing.swap(true, Ordering::Relaxed) {
            let (source, entries, key) = (self.source.clone(), self.entries.clone(), key.clone());
            let epochs = source.epochs(&key, &entry.value);
            tokio::spawn(async move {
                // If it fails, the entry expires, and the next request gets the error.
                if let Ok(entry) = read(&*source, &key, epochs).await {
                    entries.put(key, entry);
                }
            });
        }
        Ok(entry.value.clone())
    }

    /// What [`EpochCache::get`] would answer without a query; `None` when it would need one.
    pub fn known(&self, key: &S::Key) -> Option<S::Value> {
        self.good(key, self.signals.max_age()).map(|entry| entry.value.clone())
    }

    fn good(&self, key: &S::Key, max_age: Duration) -> Option<Arc<Entry<S::Value>>> {
        let entry = self.entries.get(key)?;
        (entry.read.elapsed() <= max_age && self.is_current(key, &entry)).then_some(entry)
    }

    /// An entry that is good.
    async fn look(&self, key: &S::Key, max_age: Duration) -> Result<Arc<Entry<S::Value>>, Arc<S::Error>> {
        let mut entry = self.read_through(key, self.source.epochs_of_key(key)).await?;
        // Too old, perhaps because the query took long: read once more. Something has changed since: until that is seen, because a
        // renewal that began before the change may put its entry in the place of the one that was invalidated.
        let mut is_old = entry.read.elapsed() > max_age;
        while is_old || !self.is_current(key, &entry) {
            let epochs = self.source.epochs(key, &entry.value);
            self.entries.forget(key);
            entry = self.read_through(key, epochs).await?;
            is_old = false;
        }
        Ok(entry)
    }

    fn is_current(&self, key: &S::Key, entry: &Entry<S::Value>) -> bool {
        entry.epochs == self.source.epochs(key, &entry.value)
    }

    async fn read_through(
        &self,
        key: &S::Key,
        epochs: Epochs,
    ) -> Result<Arc<Entry<S::Value>>, Arc<S::Error>> {
        self.entries.get_or_load(key, read(&*self.source, key, epochs)).await
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;

    use super::*;

    /// Answers the epoch that it has read, so that a value that is older than a change shows.
    #[derive(Default)]
    struct Counting {
        epoch: AtomicU64,
        reads: AtomicU64,
        /// How many of the next reads meet a change while they run.
        changes: AtomicU64,
        is_down: AtomicBool,
    }

    impl Source for Arc<Counting> {
        type Key = u8;
        type Value = u64;
        type Error = ();

        async fn read(&self, _: &u8) -> Result<u64, ()> {
            self.reads.fetch_add(1, Ordering::Relaxed);
            let value = self.epoch.load(Ordering::Relaxed);
            tokio::task::yield_now().await;
            if self.changes.load(Ordering::Relaxed) > 0 {
                self.changes.fetch_sub(1, Ordering::Relaxed);
                self.epoch.fetch_add(1, Ordering::Relaxed);
            }
            if self.is_down.load(Ordering::Relaxed) { Err(()) } else { Ok(value) }
        }

        fn epochs(&self, _: &u8, _: &u64) -> Epochs {
            [self.epoch.load(Ordering::Relaxed), 0, 0]
        }

        fn epochs_of_key(&self, key: &u8) -> Epochs {
            self.epochs(key, &0)
        }
    }

    fn cache() -> (Arc<Counting>, EpochCache<Arc<Counting>>) {
        let source = Arc::new(Counting::default());
        (source.clone(), EpochCache::new(source, Arc::new(Signals::new(None, None))))
    }

    #[tokio::test]
    async fn calls_at_once_share_a_query_and_a_change_ends_the_entry() {
        let (source, cache) = cache();
        let values = futures_util::future::join_all((0..50).map(|_| cache.get(&1))).await;
        assert!(values.iter().all(|value| *value == Ok(0)), "{values:?}");
        assert_eq!((source.reads.load(Ordering::Relaxed), cache.known(&1)), (1, Some(0)));
        source.epoch.fetch_add(1, Ordering::Relaxed);
        assert_eq!(cache.known(&1), None);
        assert_eq!(cache.get(&1).await, Ok(1));
        assert_eq!(source.reads.load(Ordering::Relaxed), 2);
    }

    /// A value 0 that was read at this time.
    fn read_at(read: Instant) -> Arc<Entry<u64>> {
        Arc::new(Entry { value: 0, epochs: Epochs::default(), read, renewing: AtomicBool::new(false) })
    }

    #[tokio::test]
    async fn an_entry_is_answered_without_a_query_while_it_is_good() {
        let (source, cache) = cache();
        // However long this test is kept waiting.
        cache.entries.put(1, read_at(Instant::now() + Duration::from_secs(3600)));
        assert_eq!((cache.get(&1).await, cache.known(&1)), (Ok(0), Some(0)));
        assert_eq!(source.reads.load(Ordering::Relaxed), 0);
        source.epoch.fetch_add(1, Ordering::Relaxed);
        assert_eq!((cache.known(&1), cache.get(&1).await), (None, Ok(1)));
        assert_eq!(source.reads.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn what_was_renewed_is_seen_before_the_entry_that_it_renews_is_too_old() {
        let (_source, cache) = cache();
        let max_age = cache.signals.max_age();
        let old = Instant::now() - max_age * 3 / 5;
        cache.entries.put(1, read_at(old));
        loop {
            assert_eq!(cache.get(&1).await, Ok(0));
            if cache.entries.get(&1).map(|entry| entry.read) != Some(old) {
                break;
            }
            assert!(old.elapsed() < max_age, "the old one is answered to its end");
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_change_while_a_value_is_read_has_it_read_again() {
        let (source, cache) = cache();
        source.changes.store(3, Ordering::Relaxed);
        assert_eq!(cache.get(&1).await, Ok(3));
        assert_eq!(source.reads.load(Ordering::Relaxed), 4);
    }

    #[tokio::test]
    async fn a_late_renewal_from_before_a_change_is_not_believed() {
        let (source, cache) = cache();
        source.epoch.store(7, Ordering::Relaxed);
        let late = read(&source, &1, [7, 0, 0]).await.unwrap();
        source.epoch.store(8, Ordering::Relaxed);
        cache.entries.put(1, late);
        assert_eq!((cache.known(&1), cache.get(&1).await), (None, Ok(8)));
    }

    #[tokio::test]
    async fn a_failure_is_not_kept() {
        let (source, cache) = cache();
        source.is_down.store(true, Ordering::Relaxed);
        assert!(cache.get(&1).await.is_err());
        source.is_down.store(false, Ordering::Relaxed);
        assert_eq!(cache.get(&1).await, Ok(0));
    }
}
