//! What published sites go by while the database cannot be asked: what it said last, for a bounded time.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use moka::future::Cache;
use portico_kernel::{Fault, Kind, StoreError};
use portico_runtime::logging;
use portico_sites::ports::HostName;
use tokio::time::timeout;

use super::host::{At, Found};

/// How long a look-up may take.
const PATIENCE: Duration = Duration::from_millis(900);

/// Time between two look-ups while the database cannot be asked. Longer than [`PATIENCE`], so that there is one at a time.
const PAUSE: Duration = Duration::from_secs(1);

/// Host names of sites that are remembered at most.
const SITES: u64 = 100_000;

/// Host names without a site that are remembered at most. Apart from the others: anybody can make names up.
const NAMES_OF_NOTHING: u64 = 20_000;

/// Circuit breaker between visitors and the database.
#[derive(Default)]
pub(super) struct Breaker {
    /// When to ask next; `None` while the database answers.
    retry_at: Mutex<Option<Instant>>,
}

impl Breaker {
    /// Whether the database may be asked now. Whoever may MUST ask by [`Breaker::ask`].
    pub(super) fn admits(&self) -> bool {
        self.admits_at(Instant::now())
    }

    fn admits_at(&self, now: Instant) -> bool {
        let mut retry_at = self.retry_at.lock().unwrap_or_else(PoisonError::into_inner);
        match *retry_at {
            None => true,
            Some(at) if now >= at => {
                *retry_at = Some(now + PAUSE);
                true
            }
            Some(_) => false,
        }
    }

    fn set(&self, retry_at: Option<Instant>) {
        *self.retry_at.lock().unwrap_or_else(PoisonError::into_inner) = retry_at;
    }

    /// Asks, for at most [`PATIENCE`].
    pub(super) async fn ask<T>(
        &self,
        look_up: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let found = timeout(PATIENCE, look_up).await;
        let found = found.unwrap_or_else(|elapsed| Err(StoreError::Unavailable(Box::new(elapsed))));
        match &found {
            Err(error) if error.kind() == Kind::Unavailable => {
                self.set(Some(Instant::now() + PAUSE));
                tell(error);
            }
            Err(error) => tell(error),
            Ok(_) => self.set(None),
        }
        found
    }
}

fn tell(error: &StoreError) {
    logging::warn("a site could not be looked up", error);
}

/// The error of a look-up that was not made.
pub(super) fn unreachable() -> StoreError {
    StoreError::Unavailable("the database could not be asked a moment ago".into())
}

/// What was last said about each host name, and when.
pub(super) struct LastSaid {
    /// How long it may be gone by; zero for not at all.
    bound: Duration,
    sites: Cache<HostName, (At, Instant)>,
    nothing: Cache<HostName, Instant>,
}

impl LastSaid {
    /// Nothing yet.
    pub(super) fn new(bound: Duration) -> Self {
        Self {
            bound,
            sites: Cache::builder().max_capacity(SITES).time_to_live(bound).build(),
            nothing: Cache::builder().max_capacity(NAMES_OF_NOTHING).time_to_live(bound).build(),
        }
    }

    /// The database said `at` when it was asked at `asked`.
    pub(super) async fn keep(&self, host: &HostName, at: &At, asked: Instant) {
        if self.bound.is_zero() {
            return;
        }
        // In this order: between the two, an older answer about a site does not pass for one about nothing.
        match at {
            At::Nothing => {
                self.sites.invalidate(host).await;
                self.nothing.insert(host.clone(), asked).await;
            }
            at => {
                self.nothing.invalidate(host).await;
                self.sites.insert(host.clone(), (at.clone(), asked)).await;
            }
        }
    }

    /// What it said last, unless that is too long ago at `now`.
    pub(super) async fn find(&self, host: &HostName, now: Instant) -> Option<Found> {
        let (at, asked) = match self.sites.get(host).await {
            Some(said) => said,
            None => (At::Nothing, self.nothing.get(host).await?),
        };
        let age = now.saturating_duration_since(asked);
        (age <= self.bound).then_some(Found { at, stale: Some(age) })
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    fn away() -> StoreError {
        StoreError::Unavailable("away".into())
    }

    #[tokio::test]
    async fn one_at_a_time_asks_while_the_database_is_away() {
        let (breaker, start) = (Breaker::default(), Instant::now());
        assert!(breaker.admits_at(start) && breaker.admits_at(start), "all may while it answers");
        assert!(breaker.ask(async { Err::<(), _>(away()) }).await.is_err());
        assert!(!breaker.admits(), "it was asked just now");
        let later = Instant::now() + PAUSE;
        let admitted = (0..100).filter(|_| breaker.admits_at(later)).count();
        assert_eq!(admitted, 1);
        assert!(breaker.admits_at(later + PAUSE), "also when the one never came back");
        breaker.ask(async { Ok(()) }).await.unwrap();
        assert!(breaker.admits() && breaker.admits());
        // What the database cannot do is no reason not to ask it for other things.
        let broken = StoreError::Internal("no such column".into());
        assert!(breaker.ask(async { Err::<(), _>(broken) }).await.is_err());
        assert!(breaker.admits());
    }

    #[tokio::test]
    async fn who_asks_a_silent_database_waits_for_less_than_a_second() {
        let (breaker, start) = (Breaker::default(), Instant::now());
        assert!(breaker.ask(pending::<Result<(), _>>()).await.is_err());
        assert!(start.elapsed() < PAUSE + Duration::from_millis(500));
        assert!(!breaker.admits());
    }

    #[tokio::test]
    async fn what_was_said_is_gone_by_for_a_bounded_time() {
        let (bound, now) = (Duration::from_secs(60), Instant::now());
        let said = LastSaid::new(bound);
        let (shop, none) = (HostName::Subdomain("shop".into()), HostName::Subdomain("none".into()));
        said.keep(&shop, &At::Paused, now).await;
        said.keep(&none, &At::Nothing, now).await;
        let found = said.find(&shop, now + bound).await.unwrap();
        assert!(matches!(found, Found { at: At::Paused, stale: Some(age) } if age == bound));
        assert!(matches!(said.find(&none, now).await.unwrap().at, At::Nothing));
        assert!(said.find(&HostName::Subdomain("never".into()), now).await.is_none());
        let late = now + bound + Duration::from_millis(1);
        assert!(said.find(&shop, late).await.is_none() && said.find(&none, late).await.is_none());
        // What was said last counts.
        said.keep(&shop, &At::Nothing, now).await;
        said.keep(&none, &At::Idle, now).await;
        assert!(matches!(said.find(&shop, now).await.unwrap().at, At::Nothing));
        assert!(matches!(said.find(&none, now).await.unwrap().at, At::Idle));

        let off = LastSaid::new(Duration::ZERO);
        off.keep(&shop, &At::Paused, now).await;
        assert!(off.find(&shop, now).await.is_none());
    }

    #[tokio::test]
    async fn made_up_names_push_no_site_out() {
        let (said, now) = (LastSaid::new(Duration::from_secs(3600)), Instant::now());
        let shop = HostName::Subdomain("shop".into());
        said.keep(&shop, &At::Paused, now).await;
        for number in 0..2 * NAMES_OF_NOTHING {
            said.keep(&HostName::Subdomain(number.to_string()), &At::Nothing, now).await;
        }
        said.nothing.run_pending_tasks().await;
        assert!(said.nothing.entry_count() <= NAMES_OF_NOTHING);
        assert!(matches!(said.find(&shop, now).await.unwrap().at, At::Paused));
    }
}
