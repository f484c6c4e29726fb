//! A cache whose values are loaded once for all who ask at the same time.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::OnceCell;

use crate::bounded_cache::BoundedCache;

/// A [`BoundedCache`] with the loads that are under way. An error is for those who wait for it, and not kept.
pub struct LoadingCache<K, V, E> {
    entries: BoundedCache<K, V>,
    loads: Loads<K, Result<V, Arc<E>>>,
}

type Loads<K, T> = Mutex<HashMap<K, Load<T>>>;

/// A load under way, and how many wait for it.
struct Load<T> {
    outcome: Arc<OnceCell<T>>,
    waiting: usize,
}

impl<K: Clone + Eq + Hash, V: Clone, E> LoadingCache<K, V, E> {
    /// See [`BoundedCache::new`].
    pub fn new(capacity: usize, life: Option<Duration>) -> Self {
        Self::over(BoundedCache::new(capacity, life))
    }

    /// See [`BoundedCache::weighted`].
    pub fn weighted(capacity: u64, weigh: fn(&K, &V) -> usize, life: Option<Duration>) -> Self {
        Self::over(BoundedCache::weighted(capacity, weigh, life))
    }

    fn over(entries: BoundedCache<K, V>) -> Self {
        Self { entries, loads: Mutex::default() }
    }

    /// The value of a key, if it is there.
    pub fn get(&self, key: &K) -> Option<V> {
        self.entries.get(key)
    }

    /// Keeps a value, see [`BoundedCache::put`].
    pub fn put(&self, key: K, value: V) {
        self.entries.put(key, value);
    }

    /// Forgets a value, see [`BoundedCache::forget`]. A load that is under way is not ended, and what it brings is kept: whoever forgets
    /// because of a change puts what tells the states apart into the key, or into the value and compares it.
    pub fn forget(&self, key: &K) {
        self.entries.forget(key);
    }

    /// The value of a key; where it is not there, that of `load`, which runs for one of those who ask at the same time. If that one is
    /// cancelled or panics, the `load` of another one runs.
    ///
    /// # Errors
    /// That of `load`, the same for all who waited for it.
    pub async fn get_or_load(&self, key: &K, load: impl Future<Output = Result<V, E>>) -> Result<V, Arc<E>> {
        if let Some(value) = self.entries.get(key) {
            return Ok(value);
        }
        let waiter = Waiter::of(&self.loads, key);
        let load = async {
            // Another load may have ended since.
            if let Some(value) = self.entries.get(key) {
                return Ok(value);
            }
            let value = load.await.map_err(Arc::new)?;
            self.entries.put(key.clone(), value.clone());
            Ok(value)
        };
        waiter.outcome.get_or_init(|| load).await.clone()
    }
}

/// One who waits for a load. When it goes, a load that has ended, or that nobody waits for any more, is forgotten.
struct Waiter<'a, K: Eq + Hash, T> {
    loads: &'a Loads<K, T>,
    key: &'a K,
    outcome: Arc<OnceCell<T>>,
}

impl<'a, K: Clone + Eq + Hash, T> Waiter<'a, K, T> {
    fn of(loads: &'a Loads<K, T>, key: &'a K) -> Self {
        let mut under_way = lock(loads);
        let load = under_way
            .entry(key.clone())
            .or_insert_with(|| Load { outcome: Arc::new(OnceCell::new()), waiting: 0 });
        load.waiting += 1;
        Self { loads, key, outcome: load.outcome.clone() }
    }
}

impl<K: Eq + Hash, T> Drop for Waiter<'_, K, T> {
    fn drop(&mut self) {
        let mut under_way = lock(self.loads);
        // Otherwise somebody else has removed it, and it may be the next load.
        let Some(load) = under_way.get_mut(self.key) else { return };
        if !Arc::ptr_eq(&load.outcome, &self.outcome) {
            return;
        }
        load.waiting -= 1;
        if load.waiting == 0 || load.outcome.initialized() {
            under_way.remove(self.key);
        }
    }
}

fn lock<K, T>(loads: &Loads<K, T>) -> MutexGuard<'_, HashMap<K, Load<T>>> {
    loads.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::{
        future::pending,
        sync::atomic::{AtomicUsize, Ordering},
    };

    use futures_util::{FutureExt, future::join_all};
    use tokio::task::yield_now;

    use super::*;

    type Texts = LoadingCache<u8, usize, String>;

    fn cache() -> Texts {
        Texts::new(64, None)
    }

    async fn never() -> Result<usize, String> {
        panic!("loaded")
    }

    #[tokio::test]
    async fn sixty_four_who_ask_at_once_share_one_load() {
        let (cache, loads) = (cache(), AtomicUsize::new(0));
        let load = async || -> Result<usize, String> {
            yield_now().await;
            Ok(loads.fetch_add(1, Ordering::Relaxed))
        };
        let values = join_all((0..64).map(|_| cache.get_or_load(&1, load()))).await;
        assert!(values.iter().all(|value| *value == Ok(0)), "{values:?}");
        assert_eq!(cache.get_or_load(&1, never()).await, Ok(0));
        assert_eq!(cache.get_or_load(&2, load()).await, Ok(1), "another key");
        assert!(lock(&cache.loads).is_empty());
    }

    #[tokio::test]
    async fn an_error_is_for_all_who_wait_and_is_not_kept() {
        let (cache, loads) = (cache(), AtomicUsize::new(0));
        let load = async || -> Result<usize, String> {
            yield_now().await;
            Err(format!("{} failed", loads.fetch_add(1, Ordering::Relaxed)))
        };
        let errors = join_all((0..64).map(|_| cache.get_or_load(&1, load()))).await;
        assert!(errors.iter().all(|error| *error == Err(Arc::new("0 failed".to_owned()))), "{errors:?}");
        assert_eq!((cache.get(&1), lock(&cache.loads).len()), (None, 0));
        assert_eq!(cache.get_or_load(&1, async { Ok(7) }).await, Ok(7));
    }

    #[tokio::test]
    async fn if_the_one_that_loads_is_cancelled_or_panics_another_one_does() {
        let cache = Arc::new(cache());
        let mut cancelled = Box::pin(cache.get_or_load(&1, pending()));
        assert!(cancelled.as_mut().now_or_never().is_none());
        let mut other = Box::pin(cache.get_or_load(&1, async { Ok(5) }));
        assert!(other.as_mut().now_or_never().is_none(), "it waits");
        drop(cancelled);
        assert_eq!(other.await, Ok(5));

        let shared = cache.clone();
        let panics = tokio::spawn(async move { shared.get_or_load(&2, never()).await });
        assert!(panics.await.is_err_and(|error| error.is_panic()));
        assert_eq!(cache.get_or_load(&2, async { Ok(6) }).await, Ok(6));

        let mut alone = Box::pin(cache.get_or_load(&3, pending()));
        assert!(alone.as_mut().now_or_never().is_none());
        drop(alone);
        assert!(lock(&cache.loads).is_empty(), "nobody waits any more");
    }

    #[tokio::test]
    async fn what_is_forgotten_is_loaded_again_and_a_load_under_way_is_kept() {
        let cache = cache();
        cache.put(1, 1);
        cache.forget(&1);
        assert_eq!(cache.get_or_load(&1, async { Ok(2) }).await, Ok(2));
        let load = async {
            yield_now().await;
            Ok(3)
        };
        let mut loading = Box::pin(cache.get_or_load(&4, load));
        assert!(loading.as_mut().now_or_never().is_none());
        cache.forget(&4);
        assert_eq!((loading.await, cache.get(&4)), (Ok(3), Some(3)));
    }
}
