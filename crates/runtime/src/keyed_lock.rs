//! Waiting outside of the database for what would have to wait inside.

use std::{borrow::Cow, time::Duration};

use portico_kernel::{Fault, Kind};
use tokio::{
    sync::{Mutex, MutexGuard},
    time::timeout,
};
use uuid::Uuid;

/// How long anybody waits for a turn.
const PATIENCE: Duration = Duration::from_secs(5);

/// Number of locks that all keys share.
const LANES: usize = 64;

/// Somebody else held the lock for too long.
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
        "Somebody else is busy with this. Try again shortly.".into()
    }
}

/// Lets requests about the same thing come one after the other in this process. The rows decide, in every process; this only keeps
/// fifty impatient clicks from holding fifty connections, of which most would be told that the database is busy.
pub struct KeyedLocks(Vec<Mutex<()>>);

impl Default for KeyedLocks {
    fn default() -> Self {
        Self((0..LANES).map(|_| Mutex::default()).collect())
    }
}

impl KeyedLocks {
    /// Waits until nobody holds the lock of this id, or of one that shares it.
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
