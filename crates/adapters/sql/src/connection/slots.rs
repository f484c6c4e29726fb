//! The connections to Postgres.
//!
//! The pool of sqlx asks each connection that comes back for an answer, without a deadline, and keeps its place from others
//! meanwhile: after a moment without a network it has no connections left. So each connection has a pool of its own here, which
//! is closed together with it when it is in doubt.
//!
//! An answer wakes the runtime on which its connection was opened, which then wakes the one that waits for it: with a thread and a
//! runtime for each worker of the HTTP server, two threads instead of one. So connections are used where they were opened, if possible.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use portico_kernel::trace::StoreObserver;
use sea_orm::{
    ConnAcquireErr, DatabaseConnection, DbErr, SqlxPostgresConnector,
    sqlx::{PgPool, Postgres, pool::PoolOptions, postgres::PgConnectOptions},
};
use tokio::{
    runtime::{Handle, Id},
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
    time::timeout,
};

use super::watch;

/// A use that was cut off after so long, by its deadline or by whoever waited for it, leaves the connection in doubt.
const LONG: Duration = Duration::from_millis(900);

/// How long a connection that is closed at the end may take to say so.
const FAREWELL: Duration = Duration::from_secs(1);

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
    pool: PoolOptions<Postgres>,
    connect: PgConnectOptions,
    size: u32,
    patience: Duration,
    permits: Arc<Semaphore>,
    /// The one that was used the longest time ago first: the connection is back by then.
    idle: Mutex<VecDeque<Slot>>,
    observer: OnceLock<Arc<dyn StoreObserver>>,
}

/// A connection, or the place for one.
#[derive(Clone)]
struct Slot {
    /// The runtime on which it is opened.
    home: Id,
    pool: PgPool,
    connection: DatabaseConnection,
}

impl Slots {
    /// Up to `size` connections; `patience` is how long to wait for a free one.
    pub fn new(
        pool: PoolOptions<Postgres>,
        connect: PgConnectOptions,
        size: u32,
        patience: Duration,
    ) -> Arc<Self> {
        Arc::new(Self {
            pool: pool.max_connections(1).acquire_timeout(patience),
            connect,
            size,
            patience,
            permits: Arc::new(Semaphore::new(size as usize)),
            idle: Mutex::default(),
            observer: OnceLock::new(),
        })
    }

    /// How to connect.
    pub fn connect_options(&self) -> &PgConnectOptions {
        &self.connect
    }

    /// Has `observer` watch every statement. The first one stays.
    pub fn observe(&self, observer: Arc<dyn StoreObserver>) {
        for slot in self.idle().iter_mut() {
            watch(&mut slot.connection, &observer);
        }
        let _ = self.observer.set(observer);
    }

    /// Waits for a place. The connection is made when it is used.
    pub async fn take(self: &Arc<Self>) -> Result<Lease, DbErr> {
        let permit = match timeout(self.patience, self.permits.clone().acquire_owned()).await {
            Ok(Ok(permit)) => permit,
            Ok(Err(_)) => return Err(DbErr::ConnectionAcquire(ConnAcquireErr::ConnectionClosed)),
            Err(_) => return Err(DbErr::ConnectionAcquire(ConnAcquireErr::Timeout)),
        };
        Ok(Lease {
            slot: self.pick(Handle::current().id()),
            slots: self.clone(),
            taken: Instant::now(),
            is_under_way: AtomicBool::new(true),
            is_in_doubt: AtomicBool::new(false),
            _permit: permit,
        })
    }

    /// A place for whoever has a permit: one of this runtime, a new one under load, or that of another runtime.
    fn pick(&self, here: Id) -> Slot {
        let mut idle = self.idle();
        let slot = match idle.iter().position(|slot| slot.home == here) {
            Some(own) => idle.remove(own),
            None if self.may_have_more(idle.len()) => None,
            None => idle.pop_front(),
        };
        drop(idle);
        match slot {
            // Its connection was closed, and is opened here.
            Some(slot) if slot.pool.size() == 0 => Slot { home: here, ..slot },
            Some(slot) => slot,
            None => self.new_slot(here),
        }
    }

    /// Whether a further connection may be opened beside these that are idle: while a third of all are in use, since each costs
    /// Postgres a process. Each permit that is taken stands for a connection.
    fn may_have_more(&self, idle: usize) -> bool {
        let free = self.permits.available_permits();
        idle <= free && free * 3 <= self.size as usize * 2
    }

    fn new_slot(&self, home: Id) -> Slot {
        let pool = self.pool.clone().connect_lazy_with(self.connect.clone());
        let mut connection = SqlxPostgresConnector::from_sqlx_postgres_pool(pool.clone());
        if let Some(observer) = self.observer.get() {
            watch(&mut connection, observer);
        }
        Slot { home, pool, connection }
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, VecDeque<Slot>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many there are.
    pub fn figures(&self) -> PoolFigures {
        let used =
            self.size.saturating_sub(u32::try_from(self.permits.available_permits()).unwrap_or(u32::MAX));
        let idle = self.idle().iter().map(|slot| slot.pool.size()).sum();
        PoolFigures { open: used + idle, idle, max: self.size }
    }

    /// Hands out no connection any more, waits for those in use, at most for as long as for a free one, and closes all.
    pub async fn close(&self) {
        let all = self.permits.clone().acquire_many_owned(self.size);
        let _ = timeout(self.patience.max(FAREWELL), all).await;
        self.permits.close();
        let idle: Vec<Slot> = self.idle().drain(..).collect();
        let mut closing = JoinSet::new();
        for slot in idle {
            closing.spawn(async move { timeout(FAREWELL, slot.pool.close()).await });
        }
        closing.join_all().await;
    }
}

/// A connection in use. Dropped, it is free for others, or closed when it is in doubt.
pub(crate) struct Lease {
    slot: Slot,
    slots: Arc<Slots>,
    taken: Instant,
    is_under_way: AtomicBool,
    is_in_doubt: AtomicBool,
    _permit: OwnedSemaphorePermit,
}

impl Lease {
    /// To be used.
    pub fn connection(&self) -> &DatabaseConnection {
        &self.slot.connection
    }

    /// How its use ended, or one of its uses.
    pub fn ended(&self, was_answered: bool) {
        self.is_under_way.store(false, Ordering::Relaxed);
        if !was_answered {
            self.is_in_doubt.store(true, Ordering::Relaxed);
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let was_cut_off = *self.is_under_way.get_mut() && self.taken.elapsed() >= LONG;
        if was_cut_off || *self.is_in_doubt.get_mut() || self.slots.permits.is_closed() {
            // Closed from here on: the connection that comes back to it is closed, too.
            drop(self.slot.pool.close());
        } else {
            self.slots.idle().push_back(self.slot.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::runtime::{Builder, Runtime};

    use super::*;

    fn runtime() -> Runtime {
        Builder::new_current_thread().enable_all().build().unwrap()
    }

    fn slots(size: u32) -> Arc<Slots> {
        Slots::new(PoolOptions::new(), PgConnectOptions::new(), size, Duration::from_secs(1))
    }

    fn take(slots: &Arc<Slots>, runtime: &Runtime) -> Lease {
        runtime.block_on(slots.take()).unwrap()
    }

    fn homes(slots: &Slots) -> Vec<Id> {
        slots.idle().iter().map(|slot| slot.home).collect()
    }

    #[test]
    fn a_connection_is_used_where_it_was_opened() {
        let (slots, here, there) = (slots(9), runtime(), runtime());
        let (home, other) = (here.handle().id(), there.handle().id());
        drop([take(&slots, &there), take(&slots, &here), take(&slots, &there)]);
        assert_eq!(homes(&slots), [other, home, other]);
        let lease = take(&slots, &here);
        assert_eq!(homes(&slots), [other, other]);
        drop(lease);
        assert_eq!(homes(&slots), [other, other, home]);
    }

    #[test]
    fn one_of_another_runtime_is_used_where_there_is_no_load_or_no_place() {
        let (here, there) = (runtime(), runtime());
        let quiet = slots(9);
        drop(take(&quiet, &there));
        drop(take(&quiet, &here));
        assert_eq!(homes(&quiet), [here.handle().id()], "what was closed meanwhile is opened here");
        let busy = slots(3);
        drop(take(&busy, &there));
        drop(take(&busy, &here));
        assert_eq!(homes(&busy), [there.handle().id(), here.handle().id()], "a third is in use");
        let single = slots(1);
        drop(take(&single, &there));
        drop(take(&single, &here));
        assert_eq!(homes(&single).len(), 1, "there are never more than there may be");
    }
}
