//! Throttling of guesses at credentials around a use case: ask before, hold a place meanwhile, count a failure after.
//!
//! The counts are in the database and shared by all instances. A guess that is being checked has no failure yet, so each
//! process also bounds how many are under way at a time: of many guesses at once no more than [`PER_PAIR`] per process slip
//! past a limit.

use std::{collections::HashMap, sync::Arc, time::Duration};

use parking::Places;
use portico_identity::{
    Accounts, IdentityError, Throttle,
    throttle::{Aim, ThrottleRule},
    user::EmailAddress,
};
use portico_kernel::{Scope, UserId};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use crate::{http::problem::Problem, state::App};

/// Guesses under way at a time from one network at one account, in this process.
pub const PER_PAIR: usize = 5;

/// Guesses under way at a time from one network at any accounts, in this process.
pub const PER_NETWORK: usize = 20;

/// How long a guess waits for a place. Longer than the queue of the password hashing, so that it is that which refuses first.
const PATIENCE: Duration = Duration::from_secs(5);

/// How many are too many, and how many are under way.
pub struct Throttling {
    /// The numbers.
    pub rule: ThrottleRule,
    pairs: Places,
    networks: Places,
}

impl Throttling {
    /// With these numbers.
    pub fn new(rule: ThrottleRule) -> Self {
        Self { rule, pairs: Places::new(PER_PAIR), networks: Places::new(PER_NETWORK) }
    }

    async fn enter(&self, aim: &Aim) -> Result<[OwnedSemaphorePermit; 2], IdentityError> {
        // Everybody takes them in this order, so nobody who has the second waits for a first.
        let both = async {
            let pair = self.pairs.take(aim.pair()).await?;
            Some([pair, self.networks.take(aim.network.clone()).await?])
        };
        timeout(PATIENCE, both).await.ok().flatten().ok_or(IdentityError::Throttled { seconds: 1 })
    }
}

/// A guess that may be made. Its place is free again when it is dropped.
pub struct Attempt {
    aim: Aim,
    places: [OwnedSemaphorePermit; 2],
}

/// Asks whether a guess at the credentials of the account of an address may be made now. Call it before the account is even
/// looked for, and call [`Attempt::failed`] when the guess was wrong. Errors: 429 with `Retry-After`, the same for an address
/// that nobody has.
pub async fn admit(app: &App, scope: &Scope, email: &EmailAddress) -> Result<Attempt, Problem> {
    let aim = Aim::new(email.clone(), &scope.request);
    let admitted = async {
        let places = app.throttling.enter(&aim).await?;
        let mut reader = app.reader();
        Throttle::new(&mut *reader, &app.env, &app.throttling.rule, &*app.marks).check(&aim).await?;
        Ok(places)
    };
    match admitted.await {
        Ok(places) => Ok(Attempt { aim, places }),
        Err(error) => {
            if matches!(error, IdentityError::Throttled { .. }) {
                metrics::counter!("sign_ins_throttled_total").increment(1);
            }
            Err(Problem::from(error))
        }
    }
}

impl Attempt {
    /// Records that the guess was wrong, without keeping the answer waiting: `user` is whom it was aimed at, `None` for an
    /// address that nobody has. The same work for both. The place is free only when the failure is counted.
    pub fn failed(self, app: &App, scope: &Scope, user: Option<UserId>) {
        let (app, scope) = (app.clone(), scope.clone());
        actix_web::rt::spawn(async move {
            let Self { aim, places } = self;
            let noted: Result<(), Problem> = async {
                let mut work = app.begin().await?;
                Accounts::new(&mut *work, &scope, &app.env).note_failed_sign_in(user).await?;
                Throttle::new(&mut *work, &app.env, &app.throttling.rule, &*app.marks)
                    .failed(&scope, &aim, user)
                    .await?;
                Ok(work.commit().await?)
            }
            .await;
            drop(places);
            if let Err(error) = noted {
                tracing::warn!(%error, "a failed sign-in could not be recorded");
            }
        });
    }
}

mod parking {
    use super::{Arc, HashMap, OwnedSemaphorePermit, Semaphore};
    use std::sync::{Mutex, PoisonError};

    /// Number of keys from which on those that nobody uses are looked for.
    const TIDY_AT: usize = 1024;

    /// A few places for each key.
    pub struct Places {
        each: usize,
        keys: Mutex<HashMap<String, Arc<Semaphore>>>,
    }

    impl Places {
        pub fn new(each: usize) -> Self {
            Self { each, keys: Mutex::default() }
        }

        /// Waits for a place, first come, first served. Never `None`: nobody closes a semaphore.
        pub async fn take(&self, key: String) -> Option<OwnedSemaphorePermit> {
            let semaphore = {
                let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
                if keys.len() >= TIDY_AT {
                    // Whoever has or waits for a place shares the semaphore.
                    keys.retain(|_, semaphore| Arc::strong_count(semaphore) > 1);
                }
                keys.entry(key).or_insert_with(|| Arc::new(Semaphore::new(self.each))).clone()
            };
            semaphore.acquire_owned().await.ok()
        }

        #[cfg(test)]
        pub fn len(&self) -> usize {
            self.keys.lock().unwrap().len()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn places_are_taken_given_back_and_forgotten() {
        let places = Places::new(2);
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
}
