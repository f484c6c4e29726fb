//! Throttling of guesses at credentials around a use case: check the limit, hold a permit during the guess, count a failure
//! after it.
//!
//! The counts are in the database and shared by all instances. A guess that is being checked has no failure yet, so each
//! process also bounds how many are in progress: of many concurrent guesses at most [`PER_PAIR`] per process exceed a
//! limit. The others wait, in a queue of [`MOST_WAITING`]; those that do not fit are answered 503.

use std::{collections::HashMap, sync::Arc, time::Duration};

use parking::Places;
use portico_identity::{
    Accounts, IdentityError, Throttle,
    ports::Marks,
    throttle::{GuessTarget, ThrottleRule},
    user::EmailAddress,
};
use portico_kernel::{Fault, Kind, Scope, UserId};
use portico_runtime::{core::Core, logging};
use portico_web::problem::Problem;
use tokio::{
    sync::{Notify, OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

/// Concurrent guesses from one network at one account, in this process.
pub const PER_PAIR: usize = 5;

/// Concurrent guesses from one network at any accounts, in this process.
pub const PER_NETWORK: usize = 20;

/// Guesses that may wait for a permit, for each pair and for each network.
pub const MOST_WAITING: usize = 500;

/// How long a guess waits for a permit at most: as long as a client may be expected to. Each permit is held for the time of
/// one password hash, so a full queue is worked off before, except on very slow machines and beside requests that need all processors.
const PATIENCE: Duration = Duration::from_secs(20);

/// Failures that are being written after their answers were sent. Beyond that number, an answer waits until its failure is
/// written.
const WRITING: usize = 64;

/// Limits, and the guesses in progress.
pub struct Throttling {
    /// The limits.
    pub rule: ThrottleRule,
    /// Computes the digests of the keys that are counted.
    pub marks: Arc<dyn Marks>,
    pairs: Places,
    networks: Places,
    /// Ends all waiting when the database is unavailable: otherwise each waiter would have to find that out in sequence.
    store_failed: Notify,
    writing: Arc<Semaphore>,
}

impl Throttling {
    /// With these limits.
    pub fn new(rule: ThrottleRule, marks: Arc<dyn Marks>) -> Self {
        Self {
            rule,
            marks,
            pairs: Places::new(PER_PAIR, MOST_WAITING),
            networks: Places::new(PER_NETWORK, MOST_WAITING),
            store_failed: Notify::new(),
            writing: Arc::new(Semaphore::new(WRITING)),
        }
    }

    async fn enter(&self, target: &GuessTarget) -> Result<[OwnedSemaphorePermit; 2], IdentityError> {
        // All tasks acquire in this order, so none that holds the second permit waits for the first.
        let both = async {
            let pair = self.pairs.take(target.pair()).await?;
            Some([pair, self.networks.take(target.network.clone()).await?])
        };
        let failed = self.store_failed.notified();
        tokio::select! {
            taken = timeout(PATIENCE, both) => taken.ok().flatten().ok_or(IdentityError::Overloaded),
            () = failed => Err(IdentityError::Overloaded),
        }
    }
}

/// A guess that may be made. Its permits are released when it is dropped.
pub struct Attempt {
    throttling: Arc<Throttling>,
    target: GuessTarget,
    places: [OwnedSemaphorePermit; 2],
}

/// Checks whether a guess at the credentials of the account with an address is allowed now. Call it before the account is
/// even looked up, and call [`Attempt::failed`] when the guess was wrong. Errors: 429 with `Retry-After`, the same for an
/// unknown address; 503 when too many guesses wait already.
pub async fn admit(
    throttling: &Arc<Throttling>,
    core: &Core,
    scope: &Scope,
    email: &EmailAddress,
) -> Result<Attempt, Problem> {
    let target = GuessTarget::new(email.clone(), &scope.request);
    let admitted = async {
        let places = throttling.enter(&target).await?;
        let mut reader = core.reader();
        Throttle::new(&mut *reader, &core.env, &throttling.rule, &*throttling.marks).check(&target).await?;
        Ok(places)
    };
    match admitted.await {
        Ok(places) => Ok(Attempt { throttling: throttling.clone(), target, places }),
        Err(error) => {
            if matches!(error, IdentityError::Throttled { .. }) {
                metrics::counter!("portico_sign_ins_throttled_total").increment(1);
            }
            if matches!(&error, IdentityError::Store(error) if error.kind() == Kind::Unavailable) {
                throttling.store_failed.notify_waiters();
            }
            Err(Problem::from(error))
        }
    }
}

impl Attempt {
    /// Records that the guess was wrong, usually without delaying the answer: `user` is the account, `None` for an unknown
    /// address. Both do the same work. The permits are released only when the failure is counted.
    pub async fn failed(self, core: &Core, scope: &Scope, user: Option<UserId>) {
        let writing = self.throttling.writing.clone().try_acquire_owned();
        let (core, scope) = (core.clone(), scope.clone());
        let writes = async move {
            let noted = self.note(&core, &scope, user).await;
            if let Err(error) = noted {
                logging::warn("a failed sign-in could not be recorded", &error);
            }
        };
        let is_full = writing.is_err();
        // A separate task, so that the failure is written even if the client disconnects.
        let written = actix_web::rt::spawn(async move {
            writes.await;
            drop(writing);
        });
        // The database is slow: the client waits for the write, so that pending writes do not accumulate.
        if is_full && let Err(error) = written.await {
            logging::warn("a failed sign-in could not be recorded", &error);
        }
    }

    async fn note(self, core: &Core, scope: &Scope, user: Option<UserId>) -> Result<(), Problem> {
        let Self { throttling, target, places: _places } = self;
        let mut work = core.begin().await?;
        Accounts::new(&mut *work, scope, &core.env).note_failed_sign_in(user).await?;
        Throttle::new(&mut *work, &core.env, &throttling.rule, &*throttling.marks)
            .failed(scope, &target, user)
            .await?;
        Ok(work.commit().await?)
    }
}

mod parking {
    use super::{Arc, HashMap, OwnedSemaphorePermit, Semaphore};
    use std::sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    };

    /// Number of keys from which on unused ones are removed.
    const TIDY_AT: usize = 1024;

    /// A few permits for each key, and a queue.
    pub struct Places {
        each: usize,
        most_waiting: usize,
        keys: Mutex<HashMap<String, Arc<Key>>>,
    }

    struct Key {
        places: Arc<Semaphore>,
        waiting: AtomicUsize,
    }

    /// A waiter; decrements the count when dropped.
    struct Waiting(Arc<Key>);

    impl Drop for Waiting {
        fn drop(&mut self) {
            self.0.waiting.fetch_sub(1, Ordering::Relaxed);
        }
    }

    impl Places {
        pub fn new(each: usize, most_waiting: usize) -> Self {
            Self { each, most_waiting, keys: Mutex::default() }
        }

        /// Waits for a permit, first come, first served; `None` when the queue is full.
        pub async fn take(&self, key: String) -> Option<OwnedSemaphorePermit> {
            let key = self.key(key);
            if let Ok(permit) = key.places.clone().try_acquire_owned() {
                return Some(permit);
            }
            let before = key.waiting.fetch_add(1, Ordering::Relaxed);
            let waiting = Waiting(key);
            if before >= self.most_waiting {
                return None;
            }
            // The semaphore is never closed.
            waiting.0.places.clone().acquire_owned().await.ok()
        }

        fn key(&self, key: String) -> Arc<Key> {
            let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
            if keys.len() >= TIDY_AT {
                // A waiter holds the key, and the holder of a permit its semaphore.
                keys.retain(|_, key| Arc::strong_count(key) > 1 || Arc::strong_count(&key.places) > 1);
            }
            let new = || {
                let places = Arc::new(Semaphore::new(self.each));
                Arc::new(Key { places, waiting: AtomicUsize::new(0) })
            };
            keys.entry(key).or_insert_with(new).clone()
        }

        #[cfg(test)]
        pub fn len(&self) -> usize {
            self.keys.lock().unwrap().len()
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::poll;

    use portico_security::MacMarks;

    use super::*;

    #[tokio::test]
    async fn places_are_taken_given_back_and_forgotten() {
        let places = Places::new(2, 10);
        let held = [places.take("a".into()).await, places.take("a".into()).await];
        let third = timeout(Duration::from_millis(20), places.take("a".into())).await;
        assert!(third.is_err(), "two are under way");
        assert!(places.take("b".into()).await.is_some());
        drop(held);
        let kept = places.take("a".into()).await;
        assert!(kept.is_some());
        for number in 0..3000 {
            drop(places.take(number.to_string()).await);
        }
        assert!(places.len() <= 1024, "{}", places.len());
        let second = places.take("a".into()).await;
        let third = timeout(Duration::from_millis(20), places.take("a".into())).await;
        assert!(second.is_some() && third.is_err(), "a key in use is not forgotten");
    }

    #[tokio::test]
    async fn a_full_queue_refuses_at_once_and_each_key_has_its_own() {
        let places = Places::new(1, 2);
        let held = places.take("a".into()).await;
        let (mut one, mut two) = (Box::pin(places.take("a".into())), Box::pin(places.take("a".into())));
        assert!(poll!(&mut one).is_pending() && poll!(&mut two).is_pending());
        assert!(places.take("a".into()).await.is_none(), "two wait already");
        assert!(places.take("b".into()).await.is_some(), "nobody else has to do with it");
        drop(two);
        let mut next = Box::pin(places.take("a".into()));
        assert!(poll!(&mut next).is_pending(), "who gave up has left the queue");
        drop(held);
        drop(one.await.unwrap());
        assert!(next.await.is_some());
    }

    #[tokio::test]
    async fn nobody_waits_for_a_database_that_is_away() {
        let throttling =
            Throttling::new(ThrottleRule::default(), Arc::new(MacMarks::new(&"0".repeat(32).into())));
        let target = GuessTarget {
            email: EmailAddress::trusted("ada@example.com".to_owned()),
            network: "192.0.2.1".to_owned(),
            device: None,
        };
        let mut held = Vec::new();
        for _ in 0..PER_PAIR {
            held.push(throttling.enter(&target).await.unwrap());
        }
        let mut waiting = Box::pin(throttling.enter(&target));
        assert!(poll!(&mut waiting).is_pending());
        throttling.store_failed.notify_waiters();
        assert!(matches!(waiting.await, Err(IdentityError::Overloaded)));
    }
}
