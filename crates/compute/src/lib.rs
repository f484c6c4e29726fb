//! Work that keeps a processor busy, on bounded pools of threads that let requests go first (ADR 111).
//!
//! Hashing of passwords, pictures, deployments of sites and previews have a [`Pool`] each. Its threads belong to it for good, so that they
//! can have a lower priority than those that answer requests, which cannot be taken back without a privilege.

use std::{
    collections::VecDeque,
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use tokio::sync::oneshot;

/// How much nicer (nice(2)) the threads of pools are than the process. To Linux a thread weighs 110 then where another one weighs 1024: on
/// a processor that it shares with one of those it gets a tenth, and where nothing else is to be done, all of it.
#[cfg(target_os = "linux")]
const NICENESS: i32 = 10;

/// How long a thread without work stays.
const IDLE: Duration = Duration::from_secs(10);

/// How much a pool does and holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolSize {
    /// Work that is done concurrently, at least one.
    pub threads: usize,
    /// Work that may wait for a thread; further one is refused.
    pub waiting: usize,
}

/// Why work was not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PoolError {
    /// As much waits as may wait, or no thread could be started.
    #[error("too much work waits, or no thread could be started")]
    Overloaded,
    /// It panicked.
    #[error("the work panicked")]
    Panicked,
}

/// A bounded pool of threads. They are started as they are needed, and end, with what they hold in thread-local variables, after ten
/// seconds without work, or with the pool.
pub struct Pool {
    shared: Arc<Shared>,
}

/// Work, which tells the pool when it is done.
type Task = Box<dyn FnOnce(&Shared) + Send>;

struct Shared {
    name: &'static str,
    size: PoolSize,
    idle: Duration,
    state: Mutex<State>,
    /// For work that comes, and for the end of the pool.
    woken: Condvar,
}

#[derive(Default)]
struct State {
    /// First come, first served. The numbers grow.
    waiting: VecDeque<(u64, Task)>,
    last_number: u64,
    threads: usize,
    /// Threads that work.
    busy: usize,
    is_closed: bool,
}

impl Pool {
    /// A pool of this size. `name` is that of its threads; Linux shows 15 letters of it.
    pub fn new(name: &'static str, size: PoolSize) -> Self {
        Self::with_idle(name, size, IDLE)
    }

    fn with_idle(name: &'static str, size: PoolSize, idle: Duration) -> Self {
        let size = PoolSize { threads: size.threads.max(1), ..size };
        let (state, woken) = (Mutex::default(), Condvar::new());
        Self { shared: Arc::new(Shared { name, size, idle, state, woken }) }
    }

    /// Does this work on a thread of the pool, as soon as one is free. If the caller is dropped, work that waits is dropped with it, and
    /// work that is under way goes on and keeps its thread.
    ///
    /// # Errors
    /// `Overloaded` where too much waits or no thread can be started; `Panicked` for work that panics.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, PoolError> {
        let (sender, receiver) = oneshot::channel();
        let task = move |shared: &Shared| {
            let done = catch_unwind(AssertUnwindSafe(work));
            // Before the caller hears of it, who may have more to do at once.
            shared.state().busy -= 1;
            let _ = sender.send(done.map_err(|_| PoolError::Panicked));
        };
        let _place = self.submit(Box::new(task))?;
        // Work that is dropped before it began had no thread.
        receiver.await.unwrap_or(Err(PoolError::Overloaded))
    }

    fn submit(&self, task: Task) -> Result<Place<'_>, PoolError> {
        let size = self.shared.size;
        let mut state = self.shared.state();
        if state.busy + state.waiting.len() >= size.threads.saturating_add(size.waiting) {
            return Err(PoolError::Overloaded);
        }
        state.last_number += 1;
        let place = Place { shared: &self.shared, number: state.last_number };
        state.waiting.push_back((place.number, task));
        let is_short = state.waiting.len() > state.threads - state.busy && state.threads < size.threads;
        state.threads += usize::from(is_short);
        drop(state);
        match is_short {
            true => self.start(),
            false => self.shared.woken.notify_one(),
        }
        Ok(place)
    }

    /// Starts a thread, which is counted already.
    fn start(&self) {
        let shared = self.shared.clone();
        let started = thread::Builder::new().name(shared.name.to_owned()).spawn(move || shared.work());
        if started.is_err() {
            let mut state = self.shared.state();
            state.threads -= 1;
            // Others do what waits, and without others nobody would: whoever waits is told.
            let given_up = if state.threads == 0 { mem::take(&mut state.waiting) } else { VecDeque::new() };
            drop(state);
            drop(given_up);
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.state().is_closed = true;
        self.shared.woken.notify_all();
    }
}

/// The place of work in the queue. Whoever gives up leaves it.
struct Place<'a> {
    shared: &'a Shared,
    number: u64,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut state = self.shared.state();
        let at = state.waiting.binary_search_by_key(&self.number, |(number, _)| *number);
        let given_up = at.ok().and_then(|at| state.waiting.remove(at));
        // What it holds is freed when others can go on.
        drop(state);
        drop(given_up);
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a thread does.
    fn work(&self) {
        lower_priority();
        let mut state = self.state();
        loop {
            if let Some((_, task)) = state.waiting.pop_front() {
                state.busy += 1;
                drop(state);
                task(self);
                state = self.state();
                continue;
            }
            if state.is_closed {
                break;
            }
            let waited = self.woken.wait_timeout(state, self.idle).unwrap_or_else(PoisonError::into_inner);
            state = waited.0;
            if waited.1.timed_out() && state.waiting.is_empty() {
                break;
            }
        }
        state.threads -= 1;
    }
}

/// Lets other threads go first, where the system knows threads of different priority: to Linux nice(2) is about the calling thread.
fn lower_priority() {
    // Where a sandbox refuses it, the work is done all the same.
    #[cfg(target_os = "linux")]
    let _ = rustix::process::nice(NICENESS);
}

#[cfg(test)]
mod tests;
