//! Admission control: bounds the concurrent work of each class and the queue for it, and refuses the rest before it costs
//! anything.
//!
//! A class has permits for work and a queue before them, first come, first served. A newcomer is admitted to the queue if
//! its expected wait, estimated from the recent rate of released permits, is within a quarter of the limit of the class;
//! otherwise it is refused at once. The remaining three quarters allow for wrong estimates: a full queue does not time out.
//! So an overloaded server keeps its throughput, and no client waits for an answer that comes too late.

use std::{
    collections::HashMap,
    num::NonZeroUsize,
    sync::{
        Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use metrics::Gauge;
use portico_kernel::Kind;
use portico_runtime::waiting::{WaitingRequest, WaitingRequests};
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::timeout,
};

use crate::{problem::Problem, settings};

/// Maximum length of a queue, whatever the wait.
const QUEUE: usize = 1024;

/// The fraction of the longest wait that may be expected.
const EXPECTED: u32 = 4;

/// Assumed duration of work in a class without history.
const FIRST_GUESS: Duration = Duration::from_millis(20);

/// Weight of the latest released permit in the moving average.
const WEIGHT: f64 = 0.05;

/// The longest wait for a sign-in, of which a quarter may be expected. Two hundred of them at once for one account all get in (ADR 22).
const LOGIN_WAIT: Duration = Duration::from_secs(60);

/// Maximum `Retry-After` of a refusal, in seconds.
const LONGEST_PAUSE: u64 = 3;

/// The longest wait for processing received files, of which a quarter may be expected: sending them again would take
/// longer.
const UPLOAD_WAIT: Duration = Duration::from_secs(120);

/// Files processed concurrently in one process: each takes memory, and images take a processor.
pub const UPLOADS: usize = 4;

/// Concurrent calls to external services.
const OUTSIDE: usize = 32;

/// A class of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Requests that read.
    Reads,
    /// Requests that change something.
    Writes,
    /// Requests that hash a password.
    Logins,
    /// Requests that wait for an external service.
    Outside,
    /// Received files that are processed and stored.
    Uploads,
}

/// The queues of the server.
pub struct Admission {
    reads: Queue,
    writes: Queue,
    logins: Queue,
    outside: Queue,
    uploads: Queue,
}

impl Admission {
    /// As configured, or derived from the number of database connections and processors.
    ///
    /// `connections` are those to Postgres; none where the database is SQLite. `waiting` counts the requests that wait to change something.
    pub fn new(chosen: &settings::Admission, connections: Option<u32>, waiting: WaitingRequests) -> Self {
        let processors = std::thread::available_parallelism().map_or(2, NonZeroUsize::get);
        // So no admitted request waits for a connection: a quarter is for background work, some are left to the other
        // classes. A few requests keep the one writer of SQLite busy.
        let (reads, writes) = match connections {
            Some(connections) => {
                let third = (connections as usize / 3).max(2);
                (third, third)
            }
            None => (4 * processors, 2 * processors),
        };
        Self {
            reads: Queue::new("reads", chosen.reads.unwrap_or(reads), chosen.wait, true),
            writes: Queue {
                waiting,
                ..Queue::new("writes", chosen.writes.unwrap_or(writes), chosen.wait, true)
            },
            // Not shared between parties: limiting single accounts and networks is the task of the throttle.
            logins: Queue::new(
                "logins",
                chosen.logins.unwrap_or(2 * processors),
                LOGIN_WAIT.max(chosen.wait),
                false,
            ),
            outside: Queue::new("outside", OUTSIDE, chosen.wait, true),
            uploads: Queue::new("uploads", UPLOADS, UPLOAD_WAIT, false),
        }
    }

    /// A permit, if one is free.
    pub fn try_enter(&self, class: Class) -> Option<Permit<'_>> {
        self.queue(class).try_enter()
    }

    /// Waits for a permit, on behalf of a party.
    ///
    /// # Errors
    /// 503 `overloaded`, at once if no permit can be expected in time.
    pub async fn enter(&self, class: Class, party: u64) -> Result<Permit<'_>, Problem> {
        self.queue(class).enter(party).await.ok_or_else(overloaded)
    }

    /// Whether a permit is free now.
    pub fn has_room(&self, class: Class) -> bool {
        self.queue(class).free.available_permits() > 0
    }

    /// Refuses work of a party for which no permit can be expected, before anything is done for it.
    ///
    /// # Errors
    /// 503 `overloaded`.
    pub fn check_capacity(&self, class: Class, party: u64) -> Result<(), Problem> {
        let queue = self.queue(class);
        if self.has_room(class) || queue.admits(party) {
            return Ok(());
        }
        queue.refused();
        Err(overloaded())
    }

    fn queue(&self, class: Class) -> &Queue {
        match class {
            Class::Reads => &self.reads,
            Class::Writes => &self.writes,
            Class::Logins => &self.logins,
            Class::Outside => &self.outside,
            Class::Uploads => &self.uploads,
        }
    }
}

/// The refusal, with jitter, so that clients refused together do not retry together.
pub fn overloaded() -> Problem {
    static REFUSED: AtomicU64 = AtomicU64::new(0);
    let detail = "The server has more to do than it can. Try again shortly.";
    let seconds = 1 + REFUSED.fetch_add(1, Ordering::Relaxed) % LONGEST_PAUSE;
    Problem::new(Kind::Unavailable, "overloaded", detail).after(seconds)
}

/// The permits of a class, and their queue.
struct Queue {
    name: &'static str,
    longest: Duration,
    /// Whether a party must leave room for others.
    is_shared: bool,
    free: Semaphore,
    line: Mutex<Line>,
    /// Those in the queue, for others to see.
    waiting: WaitingRequests,
    /// The numbers of permits taken and of those who wait, as metrics. Kept, because finding one takes longer than changing it.
    running: OnceLock<Gauge>,
    queued: OnceLock<Gauge>,
}

/// State of a queue: who waits, and the rate of released permits.
#[derive(Debug)]
struct Line {
    places: usize,
    waiting: usize,
    by_party: HashMap<u64, usize>,
    /// Moving average of the time between released permits while the queue is not empty, in seconds. Unlike the duration of
    /// the work it includes everything that slows a busy process down.
    interval: f64,
    /// When a permit was last released, or the queue last became non-empty.
    last: Instant,
}

impl Line {
    fn new(places: usize, now: Instant) -> Self {
        let interval = FIRST_GUESS.as_secs_f64() / places as f64;
        Self { places, waiting: 0, by_party: HashMap::new(), interval, last: now }
    }

    /// Whether one more request of a party may wait, given the longest acceptable expected wait. While others wait, a party
    /// may use half of that, and all together one and a half times: where one party has filled the queue there is room for
    /// another.
    fn admits(&self, party: Option<u64>, longest: Duration, now: Instant) -> bool {
        let interval = match self.waiting {
            0 => self.interval,
            // Accounts for permits that are no longer released. Work that began together ends together, so it is late only
            // after this time.
            _ => self.interval.max((now - self.last).as_secs_f64() / self.places as f64),
        };
        let wait = |ahead: usize| (ahead + 1) as f64 * interval;
        let longest = longest.as_secs_f64();
        let own = party.map_or(self.waiting, |party| self.by_party.get(&party).copied().unwrap_or_default());
        let is_alone = own == self.waiting;
        self.waiting < QUEUE
            && match is_alone {
                true => wait(own) <= longest,
                false => wait(own) <= 0.5 * longest && wait(self.waiting) <= 1.5 * longest,
            }
    }

    fn join(&mut self, party: Option<u64>, now: Instant) {
        if self.waiting == 0 {
            self.last = now;
        }
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

    /// Records that a permit was released after `held`. While the queue is empty, the estimate follows that duration: an
    /// estimate made while the database was unavailable must not refuse requests forever.
    fn given_back(&mut self, now: Instant, held: Duration) {
        let interval = match self.waiting {
            0 => held.as_secs_f64() / self.places as f64,
            _ => (now - self.last).as_secs_f64(),
        };
        self.interval += WEIGHT * (interval - self.interval);
        self.last = now;
    }
}

impl Queue {
    fn new(name: &'static str, places: usize, longest: Duration, is_shared: bool) -> Self {
        let line = Mutex::new(Line::new(places, Instant::now()));
        let (free, waiting) = (Semaphore::new(places), WaitingRequests::default());
        let (running, queued) = (OnceLock::new(), OnceLock::new());
        Self { name, longest, is_shared, free, line, waiting, running, queued }
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A released permit goes to the first waiter, so a free one has no waiters.
    fn try_enter(&self) -> Option<Permit<'_>> {
        self.free.try_acquire().ok().map(|permit| self.place(permit))
    }

    /// `None` when there is no permit in time.
    async fn enter(&self, party: u64) -> Option<Permit<'_>> {
        if let Some(permit) = self.try_enter() {
            return Some(permit);
        }
        let party = self.is_shared.then_some(party);
        if !self.join(party) {
            self.refused();
            return None;
        }
        self.queued().increment(1);
        let turn = Turn { queue: self, party, _waits: self.waiting.join() };
        let permit = timeout(self.longest, self.free.acquire()).await;
        drop(turn);
        match permit {
            Ok(Ok(permit)) => Some(self.place(permit)),
            _ => {
                self.refused();
                None
            }
        }
    }

    /// Whether one more request of a party may wait.
    fn admits(&self, party: u64) -> bool {
        self.line().admits(self.is_shared.then_some(party), self.longest / EXPECTED, Instant::now())
    }

    /// Joins the queue, if one more request may wait.
    fn join(&self, party: Option<u64>) -> bool {
        let now = Instant::now();
        let mut line = self.line();
        let admits = line.admits(party, self.longest / EXPECTED, now);
        if admits {
            line.join(party, now);
        }
        admits
    }

    fn refused(&self) {
        metrics::counter!("portico_admission_refused_total", "class" => self.name).increment(1);
    }

    fn running(&self) -> &Gauge {
        self.running.get_or_init(|| metrics::gauge!("portico_admission_running", "class" => self.name))
    }

    fn queued(&self) -> &Gauge {
        self.queued.get_or_init(|| metrics::gauge!("portico_admission_waiting", "class" => self.name))
    }

    fn place<'q>(&'q self, permit: SemaphorePermit<'q>) -> Permit<'q> {
        self.running().increment(1);
        Permit { queue: self, taken: Instant::now(), _permit: permit }
    }
}

/// A waiter; leaves the queue when dropped.
struct Turn<'q> {
    queue: &'q Queue,
    party: Option<u64>,
    _waits: WaitingRequest,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.queue.line().leave(self.party);
        self.queue.queued().decrement(1);
    }
}

/// A permit, until it is dropped.
pub struct Permit<'q> {
    queue: &'q Queue,
    taken: Instant,
    _permit: SemaphorePermit<'q>,
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        let now = Instant::now();
        self.queue.line().given_back(now, now.saturating_duration_since(self.taken));
        self.queue.running().decrement(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HALF: Duration = Duration::from_millis(500);

    fn line(places: usize, waiting: usize, interval: f64) -> (Line, Instant) {
        let now = Instant::now();
        (Line { waiting, interval, ..Line::new(places, now) }, now)
    }

    #[test]
    fn who_would_wait_too_long_is_not_let_into_the_queue() {
        let admits = |waiting, interval| {
            let (line, now) = line(10, waiting, interval);
            line.admits(None, HALF, now)
        };
        // 200 a second.
        assert!(admits(0, 0.005) && admits(98, 0.005) && !admits(100, 0.005));
        // Long work makes the queue short, and quick work does not make it unlimited.
        assert!(admits(0, 0.2) && !admits(2, 0.2) && !admits(0, 0.6));
        assert!(admits(1023, 1e-6) && !admits(1024, 1e-6));
    }

    #[test]
    fn nobody_joins_a_queue_that_stands_still() {
        let (line, now) = line(10, 9, 0.005);
        let after = |millis| line.admits(None, HALF, now + Duration::from_millis(millis));
        assert!(after(400) && !after(600));
    }

    #[test]
    fn two_hundred_sign_ins_at_once_fit_into_the_queue() {
        // 30 ms of hashing on each of two processors; and on a slow machine.
        for hash in [0.03, 0.12] {
            let (line, now) = line(4, 196, hash / 2.0);
            // Four that began together end together.
            let late = now + Duration::from_secs_f64(hash * 2.0);
            assert!(line.admits(None, LOGIN_WAIT / EXPECTED, late), "{hash}");
        }
    }

    #[test]
    fn a_party_has_the_whole_queue_until_others_come_and_half_of_it_then() {
        let (mut line, now) = line(10, 0, 0.005);
        let fill = |line: &mut Line, party| {
            let before = line.waiting;
            while line.admits(Some(party), HALF, now) {
                line.join(Some(party), now);
            }
            line.waiting - before
        };
        assert_eq!(fill(&mut line, 7), 100, "nobody else waits");
        assert_eq!(fill(&mut line, 8), 50, "there is room for others");
        assert_eq!((fill(&mut line, 9), fill(&mut line, 7)), (0, 0), "it has an end");
        for _ in 0..70 {
            line.leave(Some(7));
        }
        assert_eq!(fill(&mut line, 7), 20);
        for party in [7, 8].iter().flat_map(|party| [*party; 50]) {
            line.leave(Some(party));
        }
        assert!(line.by_party.is_empty() && line.waiting == 0);
    }

    #[test]
    fn the_average_follows_how_quickly_it_goes_while_somebody_waits() {
        let (mut line, mut now) = line(10, 0, 0.005);
        now += Duration::from_secs(3600);
        let held = Duration::from_millis(50);
        line.given_back(now, held);
        assert!((line.interval - 0.005).abs() < 1e-9, "nobody waited: ten at once take 50 ms");
        now += Duration::from_secs(3600);
        line.join(None, now);
        for _ in 0..100 {
            now += Duration::from_millis(100);
            line.given_back(now, held);
        }
        assert!((0.099..0.101).contains(&line.interval), "{}", line.interval);
        // The rate was low while the database was unavailable, and the queue admits no request now.
        (line.waiting, line.interval) = (0, 60.0);
        assert!(!line.admits(None, HALF, now));
        for _ in 0..200 {
            line.given_back(now, held);
        }
        assert!(line.admits(None, HALF, now), "{}", line.interval);
    }

    #[tokio::test]
    async fn a_queue_is_first_come_first_served_and_refuses_at_once() {
        let queue = Queue::new("test", 1, Duration::from_secs(40), false);
        let first = queue.enter(0).await.unwrap();
        queue.line().interval = 4.0;
        let (mut second, mut third) = (Box::pin(queue.enter(0)), Box::pin(queue.enter(0)));
        assert!(futures_util::poll!(&mut second).is_pending());
        assert!(futures_util::poll!(&mut third).is_pending());
        assert!(queue.enter(0).await.is_none(), "12 s is too long to wait");
        assert!(queue.waiting.any());
        drop(first);
        let second = second.await.unwrap();
        assert!(futures_util::poll!(&mut third).is_pending());
        assert!(queue.waiting.any());
        drop(second);
        assert!(third.await.is_some());
        assert_eq!(queue.line().waiting, 0);
        assert!(!queue.waiting.any());
    }

    #[tokio::test]
    async fn what_turns_out_slower_than_expected_is_waited_for_so_long_only() {
        let queue = Queue::new("test", 1, Duration::from_millis(100), false);
        let _held = queue.enter(0).await.unwrap();
        let begun = Instant::now();
        assert!(queue.enter(0).await.is_none());
        assert!(begun.elapsed() >= Duration::from_millis(99), "{:?}", begun.elapsed());
        assert_eq!(queue.line().waiting, 0);
        // A waiter that gives up leaves the queue.
        let mut gone = Box::pin(queue.enter(0));
        assert!(futures_util::poll!(&mut gone).is_pending() && queue.line().waiting == 1);
        drop(gone);
        assert_eq!(queue.line().waiting, 0);
    }
}
