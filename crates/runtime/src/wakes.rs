//! Notifications for the followers of events.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock, Weak},
};

use portico_kernel::feed::Followed;
use tokio::sync::Notify;

/// Waiters for new events, by what they follow.
#[derive(Default)]
pub struct Wakes {
    sleepers: RwLock<HashMap<Followed, Weak<Notify>>>,
}

impl Wakes {
    /// A followed event was appended to the log.
    pub fn wake(&self, followed: Followed) {
        let sleepers = self.sleepers.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(sleeper) = sleepers.get(&followed).and_then(Weak::upgrade) {
            sleeper.notify_one();
        }
    }

    /// Any events may have been appended.
    pub fn wake_all(&self) {
        let sleepers = self.sleepers.read().unwrap_or_else(PoisonError::into_inner);
        for sleeper in sleepers.values().filter_map(Weak::upgrade) {
            sleeper.notify_one();
        }
    }

    /// A handle that is notified of followed events from now on; it replaces the one before. A notification without a
    /// waiter is kept.
    pub fn subscribe(&self, followed: Followed) -> Arc<Notify> {
        let sleeper = Arc::new(Notify::new());
        let mut sleepers = self.sleepers.write().unwrap_or_else(PoisonError::into_inner);
        sleepers.retain(|_, other| other.strong_count() > 0);
        sleepers.insert(followed, Arc::downgrade(&sleeper));
        sleeper
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use portico_kernel::TenantId;
    use tokio::time::timeout;
    use uuid::Uuid;

    use super::*;

    #[tokio::test]
    async fn whom_it_concerns_is_woken() {
        let wakes = Wakes::default();
        let one = Followed::Tenant(TenantId::from_uuid(Uuid::from_u128(1)));
        let other = Followed::Tickets { all: false };
        let (sleeper, undisturbed) = (wakes.subscribe(one), wakes.subscribe(other));
        let woken =
            async |sleeper: &Notify| timeout(Duration::from_millis(20), sleeper.notified()).await.is_ok();
        wakes.wake(one);
        assert!(woken(&sleeper).await, "also when it did not wait yet");
        assert!(!woken(&undisturbed).await);
        wakes.wake_all();
        assert!(woken(&sleeper).await && woken(&undisturbed).await);
        let next = wakes.subscribe(one);
        wakes.wake(one);
        assert!(woken(&next).await && !woken(&sleeper).await);
    }
}
