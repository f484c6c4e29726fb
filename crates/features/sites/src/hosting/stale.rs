//! The last known state of published sites, served for a bounded time while the database is unavailable.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use portico_kernel::{Fault, Kind, StoreError};
use portico_runtime::{bounded_cache::BoundedCache, logging};
use portico_sites::ports::HostName;
use tokio::time::timeout;

use super::host::{HostAnswer, HostContent};

/// Timeout of a lookup.
const PATIENCE: Duration = Duration::from_millis(900);

/// Time between two lookups while the database is unavailable. Longer than [`PATIENCE`], so that there is one at a time.
const PAUSE: Duration = Duration::from_secs(1);

/// Maximum number of host names of sites in memory.
const SITES: usize = 100_000;

/// Maximum number of host names without a site in memory. Kept apart from the others, because clients can make names up.
const NAMES_OF_NOTHING: usize = 20_000;

/// Circuit breaker between visitors and the database.
#[derive(Default)]
pub(super) struct Breaker {
    /// Time of the next lookup; `None` while the database is available.
    retry_at: Mutex<Option<Instant>>,
}

impl Breaker {
    /// Whether the database may be queried now. A caller that is admitted MUST query by [`Breaker::ask`].
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

    /// Runs a lookup, for at most [`PATIENCE`].
    pub(super) async fn ask<T>(
        &self,
        look_up: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let found = timeout(PATIENCE, look_up).await;
        let found = found.unwrap_or_else(|elapsed| Err(StoreError::Unavailable(Box::new(elapsed))));
        match &found {
            Err(error) if error.kind() == Kind::Unavailable => {
                self.set(Some(Instant::now() + PAUSE));
                warn_failed(error);
            }
            Err(error) => warn_failed(error),
            Ok(_) => self.set(None),
        }
        found
    }
}

fn warn_failed(error: &StoreError) {
    logging::warn("a site could not be looked up", error);
}

/// The error of a lookup that was not made.
pub(super) fn unreachable() -> StoreError {
    StoreError::Unavailable("the database could not be asked a moment ago".into())
}

/// The last answer of the database about each host name, and its time.
pub(super) struct LastKnown {
    /// Maximum age of an answer; zero serves nothing stale.
    bound: Duration,
    sites: BoundedCache<HostName, (HostContent, Instant)>,
    nothing: BoundedCache<HostName, Instant>,
    /// Held while an answer is recorded.
    recording: Mutex<()>,
}

impl LastKnown {
    /// An empty cache.
    pub(super) fn new(bound: Duration) -> Self {
        Self {
            bound,
            sites: BoundedCache::new(SITES, Some(bound)),
            nothing: BoundedCache::new(NAMES_OF_NOTHING, Some(bound)),
            recording: Mutex::default(),
        }
    }

    /// Records the answer `at` to a lookup that began at `asked`, unless there is one to a lookup that began later. After a change is
    /// announced a host name is looked up again, while an earlier lookup may be under way.
    pub(super) fn keep(&self, host: &HostName, at: &HostContent, asked: Instant) {
        if self.bound.is_zero() {
            return;
        }
        let _recording = self.recording.lock().unwrap_or_else(PoisonError::into_inner);
        let last = self.sites.get(host).map(|(_, asked)| asked).or_else(|| self.nothing.get(host));
        if last.is_some_and(|last| last > asked) {
            return;
        }
        // Forgotten first, so that `find` returns no outdated answer between the two steps.
        match at {
            HostContent::Nothing => {
                self.sites.forget(host);
                self.nothing.put(host.clone(), asked);
            }
            at => {
                self.nothing.forget(host);
                self.sites.put(host.clone(), (at.clone(), asked));
            }
        }
    }

    /// The last answer, unless it is too old at `now`.
    pub(super) fn find(&self, host: &HostName, now: Instant) -> Option<HostAnswer> {
        let (at, asked) = match self.sites.get(host) {
            Some(said) => said,
            None => (HostContent::Nothing, self.nothing.get(host)?),
        };
        let age = now.saturating_duration_since(asked);
        (age <= self.bound).then_some(HostAnswer { at, stale: Some(age) })
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
        // An error of a single query is no reason to stop querying.
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

    #[test]
    fn what_was_said_is_gone_by_for_a_bounded_time() {
        let (bound, now) = (Duration::from_secs(60), Instant::now());
        let said = LastKnown::new(bound);
        let (shop, none) = (HostName::Subdomain("shop".into()), HostName::Subdomain("none".into()));
        said.keep(&shop, &HostContent::Paused, now);
        said.keep(&none, &HostContent::Nothing, now);
        let found = said.find(&shop, now + bound).unwrap();
        assert!(matches!(found, HostAnswer { at: HostContent::Paused, stale: Some(age) } if age == bound));
        assert!(matches!(said.find(&none, now).unwrap().at, HostContent::Nothing));
        assert!(said.find(&HostName::Subdomain("never".into()), now).is_none());
        let late = now + bound + Duration::from_millis(1);
        assert!(said.find(&shop, late).is_none() && said.find(&none, late).is_none());
        // Each newer answer replaces the one before.
        said.keep(&shop, &HostContent::Nothing, now);
        said.keep(&none, &HostContent::Idle, now);
        assert!(matches!(said.find(&shop, now).unwrap().at, HostContent::Nothing));
        assert!(matches!(said.find(&none, now).unwrap().at, HostContent::Idle));

        let off = LastKnown::new(Duration::ZERO);
        off.keep(&shop, &HostContent::Paused, now);
        assert!(off.find(&shop, now).is_none());
    }

    #[test]
    fn an_answer_does_not_replace_that_of_a_lookup_that_began_later() {
        let (bound, first) = (Duration::from_secs(60), Instant::now());
        let (second, third) = (first + Duration::from_millis(1), first + Duration::from_millis(2));
        let (said, shop) = (LastKnown::new(bound), HostName::Subdomain("shop".into()));
        said.keep(&shop, &HostContent::Nothing, second);
        said.keep(&shop, &HostContent::Idle, first);
        assert!(matches!(said.find(&shop, third).unwrap().at, HostContent::Nothing));
        said.keep(&shop, &HostContent::Paused, third);
        for late in [HostContent::Nothing, HostContent::Idle] {
            said.keep(&shop, &late, second);
            assert!(matches!(said.find(&shop, third).unwrap().at, HostContent::Paused));
        }
    }

    #[test]
    fn made_up_names_push_no_site_out() {
        let (said, now) = (LastKnown::new(Duration::from_secs(3600)), Instant::now());
        let shop = HostName::Subdomain("shop".into());
        said.keep(&shop, &HostContent::Paused, now);
        for number in 0..2 * NAMES_OF_NOTHING {
            said.keep(&HostName::Subdomain(number.to_string()), &HostContent::Nothing, now);
        }
        // Shares of parts are rounded up.
        assert!(said.nothing.count() <= NAMES_OF_NOTHING + NAMES_OF_NOTHING / 20);
        assert!(matches!(said.find(&shop, now).unwrap().at, HostContent::Paused));
    }
}
