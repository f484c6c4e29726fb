//! What was asked for a short time ago, and can be had again.

use std::{
    array,
    collections::HashMap,
    hash::{BuildHasher, Hash, RandomState},
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Parts that are locked separately, so that server threads hardly ever wait for each other.
const PARTS: usize = 16;

/// Number of entries in a part at most.
const CAPACITY: usize = 1024;

/// A map that forgets what it has no room for. Looking something up takes a lock of a part and nothing else.
pub(crate) struct Recent<K, V> {
    hasher: RandomState,
    parts: [Mutex<HashMap<K, V>>; PARTS],
}

impl<K, V> Default for Recent<K, V> {
    fn default() -> Self {
        Self { hasher: RandomState::new(), parts: array::from_fn(|_| Mutex::default()) }
    }
}

impl<K: Eq + Hash, V> Recent<K, V> {
    /// What `read` makes of the value of a key, where there is one.
    pub fn get<R>(&self, key: &K, read: impl FnOnce(&V) -> Option<R>) -> Option<R> {
        self.part(key).get(key).and_then(read)
    }

    /// Keeps a value. Where there is no room, the others that are not `good` any more are forgotten, or else all of the part.
    pub fn put(&self, key: K, value: V, good: impl Fn(&V) -> bool) {
        let mut part = self.part(&key);
        let is_full = |part: &HashMap<K, V>| part.len() >= CAPACITY && !part.contains_key(&key);
        if is_full(&part) {
            part.retain(|_, value| good(value));
        }
        if is_full(&part) {
            part.clear();
        }
        part.insert(key, value);
    }

    fn part(&self, key: &K) -> MutexGuard<'_, HashMap<K, V>> {
        let part = self.hasher.hash_one(key) as usize % PARTS;
        self.parts[part].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_good_makes_room_before_what_is() {
        let recent = Recent::default();
        let value = |key: usize| recent.get(&key, |value: &usize| Some(*value));
        let is_good = |value: &usize| *value < 100;
        for key in 0..3 * PARTS * CAPACITY {
            recent.put(key, key, is_good);
        }
        assert!((0..100).all(|key| value(key) == Some(key)));
        let size = || recent.parts.iter().map(|part| part.lock().unwrap().len()).max().unwrap();
        assert!(size() <= CAPACITY);
        for key in 0..3 * PARTS * CAPACITY {
            recent.put(key, 1, is_good);
        }
        assert!(size() <= CAPACITY, "all of them are good");
        let last = 3 * PARTS * CAPACITY - 1;
        assert_eq!((value(last), value(last + 1)), (Some(1), None));
        assert_eq!(recent.get(&last, |_| None::<()>), None);
    }

    #[test]
    fn what_takes_the_place_of_its_own_needs_no_room() {
        let recent = Recent::default();
        let put = |key: usize| recent.put(key, key, |_| true);
        let is_full = |key: &usize| recent.part(key).len() == CAPACITY;
        let last = (0..).inspect(|key| put(*key)).find(is_full).unwrap();
        put(last);
        assert!(is_full(&last));
    }
}
