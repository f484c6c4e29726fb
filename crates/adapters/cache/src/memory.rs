//! An in-process cache.

use std::{
    hash::RandomState,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use async_trait::async_trait;
use portico_kernel::cache::{Cache, CacheError, GROUPS, Lookup};
use quick_cache::{Equivalent, OptionsBuilder, Weighter, sync::Cache as Entries};

/// Maximum size in bytes.
const CAPACITY: u64 = 16 * 1024 * 1024;
/// Approximate overhead of an entry besides key and value.
const OVERHEAD: usize = 200;

/// Parts, each with a lock of its own: few, so that each has room for large answers (a page takes up to 512 KiB).
const PARTS: usize = 4;
/// An estimate of entries. Half as many keys are remembered after their entry made room: one that is asked for again then stays.
const ESTIMATE: usize = 4096;
/// Time between two removals of what is not answered any more.
const SWEEP: Duration = Duration::from_secs(10);

/// Caches values in the memory of the process.
pub struct MemoryCache {
    generations: Vec<AtomicU64>,
    entries: Entries<Key, Entry, Bytes, RandomState>,
    swept: Mutex<Instant>,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    group: u16,
    generation: u64,
    key: String,
}

/// A key that is looked up. Its fields are those of [`Key`] in the same order, so that both have the same hash.
#[derive(Hash)]
struct Wanted<'a> {
    group: u16,
    generation: u64,
    key: &'a str,
}

impl Equivalent<Key> for Wanted<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        self.group == key.group && self.generation == key.generation && self.key == key.key
    }
}

#[derive(Clone)]
struct Entry {
    value: Arc<[u8]>,
    since: Instant,
    lifetime: Duration,
}

impl Entry {
    fn is_alive(&self) -> bool {
        self.since.elapsed() < self.lifetime
    }
}

#[derive(Clone)]
struct Bytes;

impl Weighter<Key, Entry> for Bytes {
    fn weight(&self, key: &Key, entry: &Entry) -> u64 {
        (key.key.len() + entry.value.len() + OVERHEAD) as u64
    }
}

impl Default for MemoryCache {
    fn default() -> Self {
        let mut options = OptionsBuilder::new();
        options.shards(PARTS).estimated_items_capacity(ESTIMATE).weight_capacity(CAPACITY);
        let Ok(options) = options.build() else { unreachable!("both capacities are set") };
        Self {
            generations: (0..GROUPS).map(|_| AtomicU64::new(0)).collect(),
            entries: Entries::with_options(options, Bytes, RandomState::new(), Default::default()),
            swept: Mutex::new(Instant::now()),
        }
    }
}

impl MemoryCache {
    fn generation(&self, group: u16) -> &AtomicU64 {
        &self.generations[usize::from(group % GROUPS)]
    }

    /// Removes what has expired or was forgotten, unless that was done a short time ago.
    fn sweep(&self) {
        let now = Instant::now();
        {
            let mut swept = self.swept.lock().unwrap_or_else(PoisonError::into_inner);
            if now.duration_since(*swept) < SWEEP {
                return;
            }
            *swept = now;
        }
        let is_current = |key: &Key| self.generation(key.group).load(Ordering::Acquire) == key.generation;
        self.entries.retain(|key, entry| is_current(key) && now.duration_since(entry.since) < entry.lifetime);
    }
}

#[async_trait]
impl Cache for MemoryCache {
    async fn get(&self, group: u16, key: &str) -> Result<Lookup, CacheError> {
        let generation = self.generation(group).load(Ordering::Acquire);
        let found = self.entries.get(&Wanted { group, generation, key }).filter(Entry::is_alive);
        Ok(Lookup { generation, value: found.map(|entry| entry.value.to_vec()) })
    }

    async fn put(
        &self,
        group: u16,
        generation: u64,
        key: &str,
        value: Vec<u8>,
        lifetime: Duration,
    ) -> Result<(), CacheError> {
        self.sweep();
        // Entries of an older generation are never read.
        if self.generation(group).load(Ordering::Acquire) == generation {
            let entry = Entry { value: value.into(), since: Instant::now(), lifetime };
            self.entries.insert(Key { group, generation, key: key.to_owned() }, entry);
        }
        Ok(())
    }

    async fn forget(&self, group: u16) -> Result<(), CacheError> {
        self.generation(group).fetch_add(1, Ordering::AcqRel);
        Ok(())
    }
}
