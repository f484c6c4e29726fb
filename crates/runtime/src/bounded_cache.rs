//! Values in the memory of the process: up to a number or a weight, and for a time.

use std::{
    hash::{Hash, RandomState},
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use quick_cache::{OptionsBuilder, Weighter, sync::Cache};

/// Up to this capacity a cache has one part and holds exactly as many entries. Larger ones have parts that are locked separately.
const SMALL: usize = 1024;

/// About what an entry of a cache by weight weighs. Half as many keys as there is room for by this are remembered after their entry made
/// room: one that is asked for again then stays.
const TYPICAL_WEIGHT: u64 = 8 * 1024;

/// Keeps values up to a capacity and, where it has one, for its time to live. What was asked for seldom makes room.
pub struct BoundedCache<K, V> {
    entries: Cache<K, Timed<V>, ByWeight, RandomState>,
    weigh: fn(&K, &V) -> usize,
    life: Option<Duration>,
    sweeps: Sweeps,
}

#[derive(Clone)]
struct Timed<V> {
    value: V,
    since: Instant,
    weight: u64,
}

/// The weight as it was when the entry was made.
#[derive(Clone)]
struct ByWeight;

impl<K, V> Weighter<K, Timed<V>> for ByWeight {
    fn weight(&self, _: &K, entry: &Timed<V>) -> u64 {
        entry.weight
    }
}

impl<K: Eq + Hash, V: Clone> BoundedCache<K, V> {
    /// For about `capacity` entries, each until `life` after it was put.
    pub fn new(capacity: usize, life: Option<Duration>) -> Self {
        Self::with(capacity <= SMALL, capacity, capacity as u64, |_, _| 1, life)
    }

    /// For entries that weigh up to `capacity` together. One part, so that an entry may be nearly as large as all of it.
    pub fn weighted(capacity: u64, weigh: fn(&K, &V) -> usize, life: Option<Duration>) -> Self {
        Self::with(true, (capacity / TYPICAL_WEIGHT) as usize, capacity, weigh, life)
    }

    fn with(
        one_part: bool,
        estimate: usize,
        capacity: u64,
        weigh: fn(&K, &V) -> usize,
        life: Option<Duration>,
    ) -> Self {
        let mut options = OptionsBuilder::new();
        options.estimated_items_capacity(estimate).weight_capacity(capacity);
        if one_part {
            options.shards(1);
        }
        let Ok(options) = options.build() else { unreachable!("both capacities are set") };
        let entries = Cache::with_options(options, ByWeight, RandomState::new(), Default::default());
        Self { entries, weigh, life, sweeps: Sweeps::new(life) }
    }

    /// The value of a key, until its time is over.
    pub fn get(&self, key: &K) -> Option<V> {
        let entry = self.entries.get(key)?;
        self.life.is_none_or(|life| entry.since.elapsed() < life).then_some(entry.value)
    }

    /// Keeps a value from now on, in the place of the one that the key had.
    pub fn put(&self, key: K, value: V) {
        let now = Instant::now();
        if let Some(life) = self.life
            && self.sweeps.is_due(now)
        {
            self.entries.retain(|_, entry| now.duration_since(entry.since) < life);
        }
        // Without a weight an entry would never make room.
        let weight = (self.weigh)(&key, &value).max(1) as u64;
        self.entries.insert(key, Timed { value, since: now, weight });
    }

    /// Forgets the value of a key. A value that is put later is kept, however long ago its making began.
    pub fn forget(&self, key: &K) {
        self.entries.remove(key);
    }

    /// Number of entries, including those whose time is over and whose memory is not free yet.
    pub fn count(&self) -> usize {
        self.entries.len()
    }
}

/// When entries whose time is over are removed: while others are put, at most once in a time to live or a minute.
struct Sweeps {
    every: Option<Duration>,
    started: Instant,
    /// Milliseconds after the start.
    last: AtomicU64,
}

impl Sweeps {
    fn new(life: Option<Duration>) -> Self {
        let every = life.map(|life| life.clamp(Duration::from_millis(500), Duration::from_secs(60)));
        Self { every, started: Instant::now(), last: AtomicU64::new(0) }
    }

    /// Whether the caller is to sweep now; one of those who ask at once is.
    fn is_due(&self, now: Instant) -> bool {
        let Some(every) = self.every else { return false };
        let last = self.last.load(Ordering::Relaxed);
        let now = now.duration_since(self.started);
        if now < Duration::from_millis(last) + every {
            return false;
        }
        let now = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        self.last.compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_there_until_its_time_is_over_and_its_memory_until_later_ones_are_put() {
        let hour = Duration::from_secs(3600);
        let mut cache = BoundedCache::new(10_000, Some(hour));
        for key in 0..100 {
            cache.put(key, key);
        }
        assert_eq!((cache.get(&7), cache.count()), (Some(7), 100));
        // As if they had been put an hour ago.
        let then = Instant::now() - hour;
        for key in 0..100 {
            cache.entries.insert(key, Timed { value: key, since: then, weight: 1 });
        }
        cache.sweeps.started = then;
        assert_eq!((cache.get(&7), cache.count()), (None, 100));
        cache.put(7, 8);
        assert_eq!((cache.get(&7), cache.count()), (Some(8), 1));
    }

    #[test]
    fn without_a_time_to_live_a_value_stays_until_it_is_forgotten() {
        let cache = BoundedCache::new(64, None);
        cache.put("a", 1);
        cache.put("a", 2);
        cache.put("b", 3);
        assert_eq!((cache.get(&"a"), cache.get(&"b"), cache.count()), (Some(2), Some(3), 2));
        cache.forget(&"a");
        assert_eq!((cache.get(&"a"), cache.get(&"b")), (None, Some(3)));
        let none = BoundedCache::new(64, Some(Duration::ZERO));
        none.put("a", 1);
        assert_eq!(none.get(&"a"), None);
    }

    #[test]
    fn a_small_cache_holds_exactly_as_much_as_it_may() {
        let cache = BoundedCache::new(64, None);
        for key in 0..64 {
            cache.put(key, ());
        }
        assert!((0..64).all(|key| cache.get(&key).is_some()));
        for key in 64..1000 {
            cache.put(key, ());
        }
        assert_eq!(cache.count(), 64);
    }

    #[test]
    fn entries_are_bounded_by_their_weight_together() {
        let cache = BoundedCache::weighted(1000, |_: &usize, text: &String| text.len(), None);
        for key in 0..50 {
            cache.put(key, "x".repeat(100));
            assert!(cache.entries.weight() <= 1000);
        }
        assert_eq!(cache.count(), 10);
        cache.put(50, "x".repeat(900));
        assert_eq!(cache.get(&50).map(|text| text.len()), Some(900));
        cache.put(51, "x".repeat(1001));
        assert_eq!(cache.get(&51), None, "larger than all of it");
        // What weighs nothing makes room as well.
        for key in 100..10_000 {
            cache.put(key, String::new());
        }
        assert!(cache.entries.weight() <= 1000 && cache.count() <= 1000);
    }
}
