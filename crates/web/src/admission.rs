//! Admission control: bounds the concurrent work of each class and the queue for it, and refuses the rest before it costs
//! anything.
//!
//! A class has permits for work and a queue before them, first come, first served. A newcomer is admitted to the queue if
//! its expected wait, estimated from the recent rate of released permits, is within what is tolerated; otherwise it is refused
//! at once. In a burst that is the limit of the class. A queue in which nobody got a permit soon for as long as that limit is
//! one that stands, an overload: a quarter is tolerated then, and the rest allows for wrong estimates, so that it does not time
//! out. So an overloaded server keeps its throughput, and few wait for an answer that comes too late.

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

/// The fraction of the longest wait that may be expected in a queue that stands.
const EXPECTED: u32 = 4;

/// The fraction of the longest wait that is a short one: where somebody waited no longer, the queue does not stand. Far below what may be
/// expected in a queue that stands, so that one that is held at that does not count as a burst again.
const SHORT: u32 = 16;

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
            // Not shared between parties: limiting single accounts and networks is the task of the throttle. Nor are there bursts: a
            // quarter of these waits is more than a client waits for.
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
    /// Whether the work is short: a party must leave room for others, and bursts are tolerated.
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
    longest: Duration,
    /// How long nobody may get a permit soon until the queue counts as one that stands. Zero: always.
    burst: Duration,
    waiting: usize,
    by_party: HashMap<u64, usize>,
    /// Moving average of the time between released permits while the queue is not empty, in seconds. Unlike the duration of
    /// the work it includes everything that slows a busy process down.
    interval: f64,
    /// When a permit was last released, or the queue last became non-empty.
    last: Instant,
    /// Since when nobody got a permit at once or after a short wait; none where permits were free when last looked at. A queue that all
    /// have left because they waited in vain is no rest.
    busy_since: Option<Instant>,
}

impl Line {
    fn new(places: usize, longest: Duration, burst: Duration, now: Instant) -> Self {
        let interval = first_guess(places);
        let by_party = HashMap::new();
        Self { places, longest, burst, waiting: 0, by_party, interval, last: now, busy_since: None }
    }

    /// Whether one more request of a party may wait. While others wait, a party may use half of the room, and all together one and
    /// a half times: where one party has filled the queue there is room for another.
    fn admits(&self, party: Option<u64>, now: Instant) -> bool {
        let room = self.room(now);
        let own = party.map_or(self.waiting, |party| self.by_party.get(&party).copied().unwrap_or_default());
        match own == self.waiting {
            true => own < room,
            false => own < room / 2 && self.waiting < room + room / 2,
        }
    }

    /// How many requests of one party may wait while nobody else does.
    fn room(&self, now: Instant) -> usize {
        let (tolerated, interval) = match self.is_burst(now) {
            // One and a half times that is the longest wait.
            true => (self.longest * 2 / 3, self.interval_of_burst()),
            false => (self.longest / EXPECTED, self.interval_of_standing(now)),
        };
        ((tolerated.as_secs_f64() / interval) as usize).min(QUEUE)
    }

    /// Whether the queue is not, or not yet, one that stands.
    fn is_burst(&self, now: Instant) -> bool {
        let busy = self.busy_since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
        busy < self.burst
    }

    /// After a rest at most the first guess: what was slow then may be quick now, and permits that are released will tell. A pause in which
    /// none is released counts for nothing, because it need not come again.
    fn interval_of_burst(&self) -> f64 {
        match self.busy_since {
            None => self.interval.min(first_guess(self.places)),
            Some(_) => self.interval,
        }
    }

    /// Accounts for permits that are no longer released. Work that began together ends together, so it is late only after this
    /// time.
    fn interval_of_standing(&self, now: Instant) -> f64 {
        match self.waiting {
            0 => self.interval,
            _ => {
                let pause = now.saturating_duration_since(self.last);
                self.interval.max(pause.as_secs_f64() / self.places as f64)
            }
        }
    }

    fn join(&mut self, party: Option<u64>, now: Instant) {
        if self.busy_since.is_none() {
            if self.is_burst(now) {
                self.interval = self.interval_of_burst();
            }
            self.busy_since = Some(now);
        }
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

    /// Records that somebody got a permit after a wait.
    fn served(&mut self, waited: Duration, now: Instant) {
        if waited <= self.longest / SHORT && self.busy_since.is_some() {
            self.busy_since = Some(now);
        }
    }

    /// Records that a permit was released after `held`. While the queue is empty, the estimate follows that duration: an
    /// estimate made while the database was unavailable must not refuse requests forever.
    fn given_back(&mut self, now: Instant, held: Duration) {
        let interval = match self.waiting {
            0 => {
                self.busy_since = None;
                held.as_secs_f64() / self.places as f64
            }
            _ => now.saturating_duration_since(self.last).as_secs_f64(),
        };
        self.interval += WEIGHT * (interval - self.interval);
        self.last = now;
    }
}

/// The time between released permits where nothing is known.
fn first_guess(places: usize) -> f64 {
    FIRST_GUESS.as_secs_f64() / places as f64
}

impl Queue {
    fn new(name: &'static str, places: usize, longest: Duration, is_shared: bool) -> Self {
        let burst = if is_shared { longest } else { Duration::ZERO };
        let line = Mutex::new(Line::new(places, longest, burst, Instant::now()));
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
        let joined = Instant::now();
        let permit = timeout(self.longest, self.free.acquire()).await;
        drop(turn);
        match permit {
            Ok(Ok(permit)) => {
                let now = Instant::now();
                self.line().served(now.saturating_duration_since(joined), now);
                Some(self.place(permit))
            }
            _ => {
                self.refused();
                None
            }
        }
    }

    /// Whether one more request of a party may wait.
    fn admits(&self, party: u64) -> bool {
        self.line().admits(self.is_shared.then_some(party), Instant::now())
    }

    /// Joins the queue, if one more request may wait.
    fn join(&self, party: Option<u64>) -> bool {
        let now = Instant::now();
        let mut line = self.line();
        let admits = line.admits(party, now);
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
mod tests;
