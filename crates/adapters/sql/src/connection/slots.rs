//! The connections to Postgres.
//!
//! The pool of sqlx asks each connection that comes back for an answer, without a deadline, and keeps its place from others
//! meanwhile: after a moment without a network it has no connections left. So each connection has a pool of its own here, which
//! is closed together with it when it is in doubt.

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
        let idle = self.idle().pop_front();
        let slot = idle.unwrap_or_else(|| self.new_slot());
        Ok(Lease {
            slot,
            slots: self.clone(),
            taken: Instant::now(),
            is_under_way: AtomicBool::new(true),
            is_in_doubt: AtomicBool::new(false),
            _permit: permit,
        })
    }

    fn new_slot(&self) -> Slot {
        let pool = self.pool.clone().connect_lazy_with(self.connect.clone());
        let mut connection = SqlxPostgresConnector::from_sqlx_postgres_pool(pool.clone());
        if let Some(observer) = self.observer.get() {
            watch(&mut connection, observer);
        }
        Slot { pool, connection }
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
