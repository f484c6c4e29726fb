//! An in-process cache.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use async_trait::async_trait;
use moka::{Expiry, future::Cache as Entries};
use portico_kernel::cache::{Cache, CacheError, GROUPS, Lookup};

/// Maximum size in bytes.
const CAPACITY: u64 = 16 * 1024 * 1024;
/// Approximate overhead of an entry besides key and value.
const OVERHEAD: usize = 200;

/// Caches values in the memory of the process.
pub struct MemoryCache {
    generations: Vec<AtomicU64>,
    entries: Entries<Key, Entry>,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    group: u16,
    generation: u64,
    key: String,
}

#[derive(Clone)]
struct Entry {
    value: Arc<[u8]>,
    lifetime: Duration,
}

/// Expiry by the lifetime of each entry.
struct OwnLifetime;

impl Expiry<Key, Entry> for OwnLifetime {
    fn expire_after_create(&self, _: &Key, entry: &Entry, _: Instant) -> Option<Duration> {
        Some(entry.lifetime)
    }

    fn expire_after_update(
        &self,
        _: &Key,
        entry: &Entry,
        _: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        Some(entry.lifetime)
    }
}

impl Default for MemoryCache {
    fn default() -> Self {
        let weight = |key: &Key, entry: &Entry| {
            (key.key.len() + entry.value.len() + OVERHEAD).try_into().unwrap_or(u32::MAX)
        };
        Self {
            generations: (0..GROUPS).map(|_| AtomicU64::new(0)).collect(),
            entries: Entries::builder()
                .max_capacity(CAPACITY)
                .weigher(weight)
                .expire_after(OwnLifetime)
                .build(),
        }
    }
}

impl MemoryCache {
    fn generation(&self, group: u16) -> &AtomicU64 {
        &self.generations[usize::from(group % GROUPS)]
    }
}

#[async_trait]
impl Cache for MemoryCache {
    async fn get(&self, group: u16, key: &str) -> Result<Lookup, CacheError> {
        let generation = self.generation(group).load(Ordering::Acquire);
        let found = self.entries.get(&Key { group, generation, key: key.to_owned() }).await;
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
        // Entries of an older generation are never read, and expire.
        if self.generation(group).load(Ordering::Acquire) == generation {
            let entry = Entry { value: value.into(), lifetime };
            self.entries.insert(Key { group, generation, key: key.to_owned() }, entry).await;
        }
        Ok(())
    }

    async fn forget(&self, group: u16) -> Result<(), CacheError> {
        self.generation(group).fetch_add(1, Ordering::AcqRel);
        Ok(())
    }
}
