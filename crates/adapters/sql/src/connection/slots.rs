//! The connections to Postgres.
//!
//! Not the pool of sqlx: that asks each connection that comes back for an answer, which is a round trip more for each statement and each
//! transaction, has no deadline, and keeps its place from others meanwhile. A connection that is free is free at once here; one that was
//! left alone in the middle of something is asked for its answer, and closed where that does not come soon.
//!
//! An answer wakes the runtime on which its connection was opened, which then wakes the one that waits for it: with a thread and a
//! runtime for each worker of the HTTP server, two threads instead of one. So connections are used where they were opened, if possible.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::{Duration, Instant},
};

use portico_kernel::trace::StoreObserver;
use sea_orm::{
    ConnAcquireErr, DbErr, ExecResult, QueryResult, RuntimeErr, Statement,
    sqlx::{self, postgres::PgConnectOptions},
};
use tokio::{
    runtime::{Handle, Id},
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
    time::{sleep, timeout},
};

use super::session::{End, Observer, Session, SessionOptions};

/// How long a connection that is closed at the end may take to say so.
const FAREWELL: Duration = Duration::from_secs(1);

/// How long what was left alone in the middle of something may take to be answered.
const SETTLING: Duration = Duration::from_millis(900);

/// A connection that nobody needed for so long is closed. Postgres closes it itself after twice that.
const MAX_IDLE: Duration = Duration::from_secs(10 * 60);

/// Figures of the connection pool, for metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PoolFigures {
    /// Connections that are open.
    pub open: u32,
    /// Connections that nobody uses right now.
    pub idle: u32,
    /// The most connections there may be.
    pub max: u32,
}

/// A bounded number of connections.
pub(crate) struct Slots {
    options: SessionOptions,
    size: u32,
    patience: Duration,
    permits: Arc<Semaphore>,
    /// The one that was used last at the end: it is used next, so that under little load others are closed.
    idle: Mutex<VecDeque<Slot>>,
    observer: OnceLock<Arc<dyn StoreObserver>>,
}

/// An open connection.
struct Slot {
    /// The runtime on which it was opened.
    home: Id,
    session: Session,
}

impl Slots {
    /// Up to `size` connections; `patience` is how long to wait for a free one, and for one that is opened.
    pub fn new(options: SessionOptions, size: u32, patience: Duration) -> Arc<Self> {
        Arc::new(Self {
            options,
            size,
            patience,
            permits: Arc::new(Semaphore::new(size as usize)),
            idle: Mutex::default(),
            observer: OnceLock::new(),
        })
    }

    /// How to connect.
    pub fn connect_options(&self) -> &PgConnectOptions {
        &self.options.connect
    }

    /// Has `observer` watch every statement. The first one stays.
    pub fn observe(&self, observer: Arc<dyn StoreObserver>) {
        let _ = self.observer.set(observer);
    }

    /// Waits for a place. The connection is opened when it is used.
    pub async fn take(self: &Arc<Self>) -> Result<Lease, DbErr> {
        let asked = Instant::now();
        let permit = match timeout(self.patience, self.permits.clone().acquire_owned()).await {
            Ok(Ok(permit)) => permit,
            Ok(Err(_)) => return Err(DbErr::ConnectionAcquire(ConnAcquireErr::ConnectionClosed)),
            Err(_) => return Err(no_connection()),
        };
        Ok(Lease {
            slot: self.pick(Handle::current().id()),
            is_ready: false,
            slots: self.clone(),
            waited: asked.elapsed(),
            permit: Some(permit),
        })
    }

    /// A connection for whoever has a permit; none where a new one is to be opened.
    fn pick(&self, here: Id) -> Option<Slot> {
        let mut idle = self.idle();
        let homes = idle.iter().map(|slot| slot.home);
        let chosen = choose(homes, here, self.permits.available_permits(), self.size as usize)?;
        idle.remove(chosen)
    }

    /// Opens a connection. While the server refuses connections because it starts or has too many, it is asked again.
    async fn open(&self) -> Result<Slot, DbErr> {
        const FIRST_PAUSE: Duration = Duration::from_millis(10);
        let (mut pause, longest) = (FIRST_PAUSE, self.patience / 5);
        loop {
            match Session::open(&self.options).await {
                Ok(session) => return Ok(Slot { home: Handle::current().id(), session }),
                Err(error) if passes(&error) => sleep(pause).await,
                Err(error) => return Err(DbErr::Conn(RuntimeErr::SqlxError(Arc::new(error)))),
            }
            pause = (pause * 2).min(longest);
        }
    }

    fn give_back(&self, mut slot: Slot) {
        if self.permits.is_closed() {
            return;
        }
        slot.session.give_back();
        let mut idle = self.idle();
        idle.push_back(slot);
        let is_unneeded = idle.front().is_some_and(|first| first.session.idle_for() >= MAX_IDLE);
        let unneeded = if is_unneeded { idle.pop_front() } else { None };
        drop(idle);
        if let (Some(unneeded), Ok(runtime)) = (unneeded, Handle::try_current()) {
            runtime.spawn(timeout(FAREWELL, unneeded.session.close()));
        }
    }

    fn idle(&self) -> MutexGuard<'_, VecDeque<Slot>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many there are.
    pub fn figures(&self) -> PoolFigures {
        let used =
            self.size.saturating_sub(u32::try_from(self.permits.available_permits()).unwrap_or(u32::MAX));
        let idle = u32::try_from(self.idle().len()).unwrap_or(u32::MAX);
        PoolFigures { open: used + idle, idle, max: self.size }
    }

    /// Hands out no connection any more, waits for those in use, at most for as long as for a free one, and closes all.
    pub async fn close(&self) {
        let all = self.permits.clone().acquire_many_owned(self.size);
        let all = timeout(self.patience.max(FAREWELL), all).await;
        self.permits.close();
        // Not before: whoever waits would get a place.
        drop(all);
        let idle: Vec<Slot> = self.idle().drain(..).collect();
        let mut closing = JoinSet::new();
        for slot in idle {
            closing.spawn(timeout(FAREWELL, slot.session.close()));
        }
        closing.join_all().await;
    }
}

/// Which of the idle connections with these homes is used: the last one of this runtime, or of another one where no further one may be
/// opened. That may be while a third of all places are in use, since each connection costs Postgres a process. `free` is how many places
/// are left, beside that for which this is asked.
fn choose(
    mut homes: impl DoubleEndedIterator<Item = Id> + ExactSizeIterator,
    here: Id,
    free: usize,
    size: usize,
) -> Option<usize> {
    let idle = homes.len();
    let may_have_more = idle <= free && free * 3 <= size * 2;
    match homes.rposition(|home| home == here) {
        Some(own) => Some(own),
        None if may_have_more => None,
        None => idle.checked_sub(1),
    }
}

/// Whether a connection can be had soon from a server that answers like this (Postgres manual, appendix A).
fn passes(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(error) => error.kind() == std::io::ErrorKind::ConnectionRefused,
        // There are too many connections; the server starts or stops.
        sqlx::Error::Database(error) => error.code().is_some_and(|code| ["53300", "57P03"].contains(&&*code)),
        _ => false,
    }
}

pub(super) fn no_connection() -> DbErr {
    DbErr::ConnectionAcquire(ConnAcquireErr::Timeout)
}

/// A place for a connection in use. Dropped, it is free for others; what was begun is rolled back.
pub(crate) struct Lease {
    slot: Option<Slot>,
    /// Whether the connection was used by this lease, and so is known to be open.
    is_ready: bool,
    slots: Arc<Slots>,
    /// For how long the place was waited for.
    waited: Duration,
    permit: Option<OwnedSemaphorePermit>,
}

impl Lease {
    /// The connection, and who is told of its statements.
    async fn ready(&mut self) -> Result<(&mut Session, Observer<'_>), DbErr> {
        let slot = match self.slot.take() {
            Some(slot) if self.is_ready => slot,
            unsure => {
                let opened = timeout(self.slots.patience, usable(&self.slots, unsure)).await;
                opened.map_err(|_| no_connection())??
            }
        };
        self.is_ready = true;
        Ok((&mut self.slot.insert(slot).session, self.slots.observer.get()))
    }

    /// Runs a statement.
    pub async fn execute(&mut self, statement: Statement) -> Result<ExecResult, DbErr> {
        let (session, observer) = self.ready().await?;
        session.execute(statement, observer).await
    }

    /// Runs what cannot be prepared.
    pub async fn execute_unprepared(&mut self, sql: &str) -> Result<ExecResult, DbErr> {
        self.ready().await?.0.execute_unprepared(sql).await
    }

    /// Runs a query.
    pub async fn query(&mut self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        let (session, observer) = self.ready().await?;
        session.query(statement, observer).await
    }

    /// Whether it answers.
    pub async fn ping(&mut self) -> Result<(), DbErr> {
        self.ready().await?.0.ping().await
    }

    /// Whether a transaction was begun.
    pub fn is_in_transaction(&self) -> bool {
        self.slot.as_ref().is_some_and(|slot| slot.session.is_in_transaction())
    }

    /// Begins a transaction.
    pub async fn begin(&mut self) -> Result<(), DbErr> {
        let waited = self.waited;
        let (session, observer) = self.ready().await?;
        session.begin(waited, observer).await
    }

    /// Makes the transaction durable.
    pub async fn commit(&mut self) -> Result<(), DbErr> {
        let (session, observer) = self.ready().await?;
        session.commit(observer).await
    }
}

/// The connection, if it can be used, or a new one.
async fn usable(slots: &Slots, slot: Option<Slot>) -> Result<Slot, DbErr> {
    if let Some(mut slot) = slot
        && slot.session.is_usable().await
    {
        return Ok(slot);
    }
    // The one that cannot be used is closed by now: the server may have no place for both.
    slots.open().await
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(mut slot) = self.slot.take() else { return };
        match (slot.session.end(), Handle::try_current()) {
            (End::Free, _) => self.slots.give_back(slot),
            (End::UnderWay, Ok(runtime)) => {
                let (slots, permit) = (self.slots.clone(), self.permit.take());
                runtime.spawn(async move {
                    if let Ok(Ok(())) = timeout(SETTLING, slot.session.settle()).await {
                        slots.give_back(slot);
                    }
                    drop(permit);
                });
            }
            // Closed.
            (End::UnderWay | End::Doubt, _) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::runtime::{Builder, Runtime};

    use super::*;

    fn runtime() -> Runtime {
        Builder::new_current_thread().build().unwrap()
    }

    #[test]
    fn a_connection_is_used_where_it_was_opened_the_last_one_first() {
        let (here, there) = (runtime(), runtime());
        let (here, there) = (here.handle().id(), there.handle().id());
        assert_eq!(choose([there, here, here, there].into_iter(), here, 8, 9), Some(2));
        assert_eq!(choose([there, here, there].into_iter(), there, 0, 4), Some(2));
    }

    #[test]
    fn one_of_another_runtime_is_used_where_there_is_no_load_or_no_place() {
        let (here, there) = (runtime(), runtime());
        let (here, there) = (here.handle().id(), there.handle().id());
        assert_eq!(choose([there, there].into_iter(), here, 8, 9), Some(1), "there is no load");
        assert_eq!(choose([there].into_iter(), here, 6, 9), None, "a third is in use");
        assert_eq!(choose([there].into_iter(), here, 0, 1), Some(0), "there is no place for another one");
        assert_eq!(choose([].into_iter(), here, 8, 9), None, "there is none");
    }
}
