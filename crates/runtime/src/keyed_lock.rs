//! In-process locks, so that requests do not wait for row locks while holding a connection.

use std::{borrow::Cow, time::Duration};

use portico_kernel::{Fault, Kind};
use tokio::{
    sync::{Mutex, MutexGuard},
    time::timeout,
};
use uuid::Uuid;

/// Timeout of waiting for a lock.
const PATIENCE: Duration = Duration::from_secs(5);

/// Number of locks that all keys share.
const LANES: usize = 64;

/// The lock was held for too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the lock was not free in time")]
pub struct Busy;

impl Fault for Busy {
    fn kind(&self) -> Kind {
        Kind::Unavailable
    }

    fn code(&self) -> &'static str {
        "overloaded"
    }

    fn detail(&self) -> Cow<'static, str> {
        "Another request is doing this. Try again shortly.".into()
    }
}

/// Serialises requests about the same resource in this process. Consistency rests on the database rows; this only keeps
/// many concurrent requests about one row from holding as many connections, most of which would fail as busy.
pub struct KeyedLocks(Vec<Mutex<()>>);

impl Default for KeyedLocks {
    fn default() -> Self {
        Self((0..LANES).map(|_| Mutex::default()).collect())
    }
}

impl KeyedLocks {
    /// Waits for the lock of this id; some ids share a lock.
    ///
    /// # Errors
    /// When that takes longer than five seconds.
    pub async fn take(&self, id: Uuid) -> Result<MutexGuard<'_, ()>, Busy> {
        // The end of a UUIDv7 is random.
        let lane = usize::from(id.as_bytes()[15]) % LANES;
        timeout(PATIENCE, self.0[lane].lock()).await.map_err(|_| Busy)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
        time::Duration,
    };

    use super::*;

    #[tokio::test]
    async fn one_at_a_time_is_busy_with_a_thing_and_others_are_not_held_up() {
        let turns = Arc::new(KeyedLocks::default());
        let busy = Arc::new(AtomicUsize::new(0));
        let tasks = (0..20).map(|_| {
            let (turns, busy) = (turns.clone(), busy.clone());
            tokio::spawn(async move {
                let _turn = turns.take(Uuid::from_u128(7)).await.unwrap();
                assert_eq!(busy.fetch_add(1, Ordering::SeqCst), 0);
                tokio::time::sleep(Duration::from_millis(1)).await;
                busy.fetch_sub(1, Ordering::SeqCst);
            })
        });
        futures_util::future::try_join_all(tasks.collect::<Vec<_>>()).await.unwrap();
        let _turn = turns.take(Uuid::from_u128(7)).await.unwrap();
        let other = tokio::time::timeout(Duration::from_secs(1), turns.take(Uuid::from_u128(8))).await;
        assert!(other.unwrap().is_ok());
    }
}
