//! Admission control: how much work of a kind is done at once, how much may wait, and that the rest is refused before it costs
//! anything.
//!
//! A class has places for work and a queue before them, first come, first served. A newcomer is let into the queue when the
//! wait that it has to expect, from how long work took lately, is within the bound of the class; otherwise it is refused at once.
//! So a server that is asked for more than it can do goes on doing what it can, and nobody waits for an answer that comes too late.

use std::{
    collections::HashMap,
    num::NonZeroUsize,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use portico_kernel::Kind;
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::timeout,
};

use crate::{http::problem::Problem, settings::Settings};

/// Most that wait in a queue, whatever the wait.
const QUEUE: usize = 1024;

/// How long work of a class is taken to last before any was done.
const FIRST_GUESS: Duration = Duration::from_millis(20);

/// How much the latest work counts in the average.
const WEIGHT: f64 = 0.1;

/// The longest wait for a sign-in. Two hundred of them at once for one account all get in (ADR 22), and clients wait so long.
const LOGIN_WAIT: Duration = Duration::from_secs(15);

/// Most seconds after which who was refused is asked to come again.
const LONGEST_PAUSE: u64 = 3;

/// Calls to the outside at once.
const OUTSIDE: usize = 32;

/// A kind of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Reads.
    Reads,
    /// Changes.
    Writes,
    /// What hashes passwords.
    Logins,
    /// What waits for somebody else's server.
    Outside,
}

/// The queues of a server.
pub struct Admission {
    reads: Queue,
    writes: Queue,
    logins: Queue,
    outside: Queue,
}

impl Admission {
    /// As the settings say, or derived from the connections to the database and the processors.
    pub fn new(settings: &Settings) -> Self {
        let processors = std::thread::available_parallelism().map_or(2, NonZeroUsize::get);
        let chosen = &settings.admission;
        // Nobody who was let in then waits for a connection: a quarter is for background work, some are left to the other classes.
        // The one writer of SQLite is kept busy by a few.
        let share = match settings.is_postgres() {
            true => settings.database.max_connections.unwrap_or(20) as usize / 3,
            false => 4 * processors,
        };
        let share = share.max(2);
        let places = |chosen: Option<usize>, usual: usize| chosen.unwrap_or(usual);
        Self {
            reads: Queue::new("reads", places(chosen.reads, share), chosen.wait, true),
            writes: Queue::new("writes", places(chosen.writes, share), chosen.wait, true),
            // Those of one account or network are not told apart: that is the throttle's.
            logins: Queue::new(
                "logins",
                places(chosen.logins, 2 * processors),
                LOGIN_WAIT.max(chosen.wait),
                false,
            ),
            outside: Queue::new("outside", OUTSIDE, chosen.wait, true),
        }
    }

    /// Waits for a place, in the name of a party, which may take half of a queue.
    ///
    /// # Errors
    /// 503 `overloaded`, at once where no place can be expected in time.
    pub async fn enter(&self, class: Class, party: u64) -> Result<Place<'_>, Problem> {
        let queue = match class {
            Class::Reads => &self.reads,
            Class::Writes => &self.writes,
            Class::Logins => &self.logins,
            Class::Outside => &self.outside,
        };
        queue.enter(party).await.ok_or_else(overloaded)
    }
}

/// The refusal. Those who are refused together do not come back together.
pub fn overloaded() -> Problem {
    static REFUSED: AtomicU64 = AtomicU64::new(0);
    let detail = "The server has more to do than it can. Try again shortly.";
    let seconds = 1 + REFUSED.fetch_add(1, Ordering::Relaxed) % LONGEST_PAUSE;
    Problem::new(Kind::Unavailable, "overloaded", detail).after(seconds)
}

/// The places of a class, and who waits for them.
struct Queue {
    name: &'static str,
    places: usize,
    longest: Duration,
    /// Whether one party may have half of the queue only.
    is_shared: bool,
    free: Semaphore,
    line: Mutex<Line>,
}

/// Who waits, and how quickly it goes.
#[derive(Debug)]
struct Line {
    waiting: usize,
    by_party: HashMap<u64, usize>,
    /// How long work takes: the moving average, in seconds.
    work: f64,
}

impl Line {
    /// Whether one more may wait where there are so many places.
    fn admits(&self, party: Option<u64>, places: usize, longest: Duration) -> bool {
        let wait = |ahead: usize| (ahead + 1) as f64 * self.work / places as f64;
        let own = party.map_or(0, |party| self.by_party.get(&party).copied().unwrap_or(0));
        let longest = longest.as_secs_f64();
        self.waiting < QUEUE && wait(self.waiting) <= longest && 2.0 * wait(own) <= longest
    }

    fn join(&mut self, party: Option<u64>) {
        self.waiting += 1;
        if let Some(party) = party {
            *self.by_party.entry(party).or_default() += 1;
        }
    }

    fn leave(&mut self, party: Option<u64>) {
        self.waiting = self.waiting.saturating_sub(1);
        if let Some(party) = party
            && let Some(count) = self.by_party.get_mut(&party)
        {
            *count -= 1;
            if *count == 0 {
                self.by_party.remove(&party);
            }
        }
    }

    fn took(&mut self, time: Duration) {
        self.work += WEIGHT * (time.as_secs_f64() - self.work);
    }
}

impl Queue {
    fn new(name: &'static str, places: usize, longest: Duration, is_shared: bool) -> Self {
        let line = Line { waiting: 0, by_party: HashMap::new(), work: FIRST_GUESS.as_secs_f64() };
        Self { name, places, longest, is_shared, free: Semaphore::new(places), line: Mutex::new(line) }
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `None` when there is no place in time.
    async fn enter(&self, party: u64) -> Option<Place<'_>> {
        // A place that is given back goes to who waits first, so one that is free has nobody waiting for it.
        if let Ok(permit) = self.free.try_acquire() {
            return Some(self.place(permit));
        }
        let party = self.is_shared.then_some(party);
        let waiting = {
            let mut line = self.line();
            line.admits(party, self.places, self.longest).then(|| line.join(party))
        };
        if waiting.is_none() {
            metrics::counter!("admission_refused_total", "class" => self.name).increment(1);
            return None;
        }
        metrics::gauge!("admission_waiting", "class" => self.name).increment(1);
        let turn = Turn { queue: self, party };
        let permit = timeout(self.longest, self.free.acquire()).await;
        drop(turn);
        match permit {
            Ok(Ok(permit)) => Some(self.place(permit)),
            _ => {
                metrics::counter!("admission_refused_total", "class" => self.name).increment(1);
                None
            }
        }
    }

    fn place<'q>(&'q self, permit: SemaphorePermit<'q>) -> Place<'q> {
        metrics::gauge!("admission_running", "class" => self.name).increment(1);
        Place { queue: self, since: Instant::now(), _permit: permit }
    }
}

/// Somebody who waits, until this is dropped.
struct Turn<'q> {
    queue: &'q Queue,
    party: Option<u64>,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.queue.line().leave(self.party);
        metrics::gauge!("admission_waiting", "class" => self.queue.name).decrement(1);
    }
}

/// A place, until it is dropped.
pub struct Place<'q> {
    queue: &'q Queue,
    since: Instant,
    _permit: SemaphorePermit<'q>,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.queue.line().took(self.since.elapsed());
        metrics::gauge!("admission_running", "class" => self.queue.name).decrement(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(waiting: usize, work: f64) -> Line {
        Line { waiting, by_party: HashMap::new(), work }
    }

    #[test]
    fn who_would_wait_too_long_is_not_let_into_the_queue() {
        let second = Duration::from_secs(1);
        // Ten places and work of 50 ms: 200 a second.
        assert!(line(0, 0.05).admits(None, 10, second));
        assert!(line(198, 0.05).admits(None, 10, second));
        assert!(!line(200, 0.05).admits(None, 10, second));
        // Work that takes long makes the queue short, and quick work does not make it endless.
        assert!(line(0, 2.0).admits(None, 10, second) && !line(5, 2.0).admits(None, 10, second));
        assert!(!line(0, 20.0).admits(None, 10, second));
        assert!(line(1023, 1e-6).admits(None, 10, second) && !line(1024, 1e-6).admits(None, 10, second));
    }

    #[test]
    fn two_hundred_sign_ins_at_once_fit_into_the_queue() {
        // 60 ms in a place, which is 30 ms of hashing where four share two processors.
        assert!(line(196, 0.06).admits(None, 4, LOGIN_WAIT));
        assert!(line(196, 0.25).admits(None, 4, LOGIN_WAIT), "on a slow machine");
    }

    #[test]
    fn one_party_has_half_of_the_queue() {
        let second = Duration::from_secs(1);
        let mut line = line(0, 0.05);
        let mut admitted = 0;
        while line.admits(Some(7), 10, second) {
            line.join(Some(7));
            admitted += 1;
        }
        assert_eq!(admitted, 100);
        assert!(line.admits(Some(8), 10, second));
        for _ in 0..admitted {
            line.leave(Some(7));
        }
        assert!(line.by_party.is_empty() && line.waiting == 0);
    }

    #[test]
    fn the_average_follows_what_work_takes() {
        let mut line = line(0, 0.02);
        for _ in 0..50 {
            line.took(Duration::from_secs(1));
        }
        assert!((0.98..=1.0).contains(&line.work), "{}", line.work);
    }

    #[tokio::test]
    async fn a_queue_is_first_come_first_served_and_refuses_at_once() {
        let queue = Queue::new("test", 1, Duration::from_secs(1), false);
        let first = queue.enter(0).await.unwrap();
        queue.line().work = 0.4;
        let (mut second, mut third) = (Box::pin(queue.enter(0)), Box::pin(queue.enter(0)));
        assert!(futures_util::poll!(&mut second).is_pending());
        assert!(futures_util::poll!(&mut third).is_pending());
        assert!(queue.enter(0).await.is_none(), "1.2 s is too long to wait");
        drop(first);
        let second = second.await.unwrap();
        assert!(futures_util::poll!(&mut third).is_pending());
        drop(second);
        assert!(third.await.is_some());
        assert_eq!(queue.line().waiting, 0);
    }

    #[tokio::test]
    async fn what_turns_out_slower_than_expected_is_waited_for_so_long_only() {
        let queue = Queue::new("test", 1, Duration::from_millis(100), true);
        let _held = queue.enter(0).await.unwrap();
        let begun = Instant::now();
        assert!(queue.enter(0).await.is_none());
        assert!(begun.elapsed() >= Duration::from_millis(99), "{:?}", begun.elapsed());
        assert_eq!(queue.line().waiting, 0);
        // Who gives up leaves the queue.
        let mut gone = Box::pin(queue.enter(0));
        assert!(futures_util::poll!(&mut gone).is_pending() && queue.line().waiting == 1);
        drop(gone);
        assert_eq!(queue.line().waiting, 0);
    }
}
