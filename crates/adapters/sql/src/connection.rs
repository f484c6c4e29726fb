//! Connections whose every use has a deadline, and what is known of the database behind them.
//!
//! A statement that is not answered in time ends in [`StoreError::Unavailable`](portico_kernel::StoreError), and its
//! connection is closed when it comes back to the pool: nobody can know what is still under way on it (ADR 46).

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use async_trait::async_trait;
use portico_kernel::StoreError;
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, ExecResult, QueryResult,
    RuntimeErr, Statement, TransactionOptions, TransactionTrait, sqlx,
};
use tokio::time::timeout_at;

use crate::error::{is_storage_failure, store_error};

/// A part of the deadline of a statement: while the database answers nobody at all, no statement waits for longer.
const SILENCE: u32 = 5;

/// How long after writing failed the database counts as one that takes no writes, unless one succeeds earlier.
const FAILING: Duration = Duration::from_secs(3);

/// What the uses of a database tell about it. Shared by all connections to it.
pub(crate) struct Health {
    started: Instant,
    /// When a statement was answered last, in microseconds after `started`.
    answered: AtomicU64,
    /// Whether something asks the database several times a second, so that a second without an answer means something.
    beats: AtomicBool,
    /// When the storage below failed to write, in microseconds after `started`; 0 once a commit has succeeded since.
    write_failed: AtomicU64,
    /// Whether the transaction that used SQLite's writing connection last may not have ended as the library thinks.
    in_doubt: AtomicBool,
}

impl Default for Health {
    fn default() -> Self {
        Self {
            started: Instant::now(),
            answered: AtomicU64::new(0),
            beats: AtomicBool::new(false),
            write_failed: AtomicU64::new(0),
            in_doubt: AtomicBool::new(false),
        }
    }
}

impl Health {
    fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX).max(1)
    }

    /// A task that asks the database several times a second was answered.
    pub fn beat(&self) {
        self.beats.store(true, Ordering::Relaxed);
        self.answered.store(self.now(), Ordering::Relaxed);
    }

    /// Until when to wait for a statement that was begun then: for `limit`, and while nobody is answered for a part of it.
    fn deadline(&self, begun: Instant, limit: Duration) -> Instant {
        if !self.beats.load(Ordering::Relaxed) {
            return begun + limit;
        }
        let answered = self.started + Duration::from_micros(self.answered.load(Ordering::Relaxed));
        (begun.max(answered) + limit / SILENCE).min(begun + limit)
    }

    /// Notes how a statement ended.
    fn note(&self, error: Option<&DbErr>) -> Outcome {
        let outcome = error.map_or(Outcome::Answered, outcome);
        match outcome {
            Outcome::Answered => self.answered.store(self.now(), Ordering::Relaxed),
            Outcome::NotSent => {}
            Outcome::InDoubt => {
                if error.is_some_and(is_storage_failure) {
                    self.write_failed.store(self.now(), Ordering::Relaxed);
                }
                self.doubt();
            }
        }
        outcome
    }

    /// Nobody can know how a transaction ended.
    fn doubt(&self) {
        self.in_doubt.store(true, Ordering::Release);
    }

    /// Whether the connection that is given back is in doubt. Asked once for each.
    pub fn take_doubt(&self) -> bool {
        self.in_doubt.swap(false, Ordering::AcqRel)
    }

    /// A transaction was made durable.
    pub fn committed(&self) {
        self.write_failed.store(0, Ordering::Relaxed);
    }

    /// Whether writing failed a moment ago, and nothing was written since.
    pub fn is_failing(&self) -> bool {
        let failed = self.write_failed.load(Ordering::Relaxed);
        failed != 0 && Duration::from_micros(self.now().saturating_sub(failed)) < FAILING
    }

    /// Whether writing failed, however long ago, and nothing was written since.
    pub fn has_failed(&self) -> bool {
        self.write_failed.load(Ordering::Relaxed) != 0
    }
}

/// How a statement ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// The database did it, or said why not.
    Answered,
    /// There was no connection for it.
    NotSent,
    /// The connection broke, the statement was given up, or the storage failed.
    InDoubt,
}

fn outcome(error: &DbErr) -> Outcome {
    match error {
        DbErr::ConnectionAcquire(_) => Outcome::NotSent,
        DbErr::Conn(RuntimeErr::SqlxError(cause))
        | DbErr::Exec(RuntimeErr::SqlxError(cause))
        | DbErr::Query(RuntimeErr::SqlxError(cause)) => match &**cause {
            sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed => Outcome::NotSent,
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::Protocol(_)
            | sqlx::Error::WorkerCrashed => Outcome::InDoubt,
            _ if is_storage_failure(error) => Outcome::InDoubt,
            _ => Outcome::Answered,
        },
        _ => Outcome::Answered,
    }
}

/// A pool of connections, or an open transaction, of which every statement has a deadline.
pub struct Bounded<C> {
    inner: C,
    limit: Duration,
    health: Arc<Health>,
    /// Of a transaction: whether a statement was given up, or met a failure of the storage, which makes SQLite roll back by
    /// itself. What came after it would be outside of the transaction.
    broken: Option<AtomicBool>,
}

/// An open transaction of which every statement has a deadline. Dropped, it rolls back.
pub type Transaction = Bounded<DatabaseTransaction>;

impl<C> Bounded<C> {
    /// Without deadlines.
    pub(crate) fn inner(&self) -> &C {
        &self.inner
    }

    /// Waits for an answer until the deadline, and for a part of it while the database answers nobody.
    async fn bounded<T>(&self, asked: impl Future<Output = Result<T, DbErr>>) -> Result<T, DbErr> {
        if self.broken.as_ref().is_some_and(|broken| broken.load(Ordering::Relaxed)) {
            return Err(given_up("an earlier statement of the transaction was given up"));
        }
        let begun = Instant::now();
        let mut asked = pin!(asked);
        let answer = loop {
            let until = self.health.deadline(begun, self.limit);
            match timeout_at(until.into(), &mut asked).await {
                Ok(answer) => break answer,
                // Others may have been answered meanwhile.
                Err(_) if self.health.deadline(begun, self.limit) > until => {}
                Err(_) => break Err(given_up("the database did not answer in time")),
            }
        };
        if self.health.note(answer.as_ref().err()) == Outcome::InDoubt
            && let Some(broken) = &self.broken
        {
            broken.store(true, Ordering::Relaxed);
        }
        answer
    }
}

fn given_up(why: &'static str) -> DbErr {
    let error = std::io::Error::new(std::io::ErrorKind::TimedOut, why);
    DbErr::Conn(RuntimeErr::SqlxError(Arc::new(sqlx::Error::Io(error))))
}

impl Bounded<DatabaseConnection> {
    pub(crate) fn new(pool: DatabaseConnection, limit: Duration, health: Arc<Health>) -> Self {
        Self { inner: pool, limit, health, broken: None }
    }

    /// The same pool with another deadline.
    pub(crate) fn with_limit(&self, limit: Duration) -> Self {
        Self { limit, ..self.clone() }
    }

    /// For what is set up once.
    pub(crate) fn inner_mut(&mut self) -> &mut DatabaseConnection {
        &mut self.inner
    }

    /// # Errors
    /// `Unavailable` when there is no connection, or none that answers.
    pub(crate) async fn begin(&self, options: TransactionOptions) -> Result<Transaction, StoreError> {
        let begun = self.bounded(self.inner.begin_with_options(options)).await;
        let transaction = begun.inspect_err(|error| {
            if outcome(error) != Outcome::NotSent {
                self.health.doubt();
            }
        });
        Ok(Bounded {
            inner: transaction.map_err(store_error)?,
            limit: self.limit,
            health: self.health.clone(),
            broken: Some(AtomicBool::new(false)),
        })
    }
}

impl Clone for Bounded<DatabaseConnection> {
    fn clone(&self) -> Self {
        Self::new(self.inner.clone(), self.limit, self.health.clone())
    }
}

impl Transaction {
    /// Makes everything durable.
    ///
    /// # Errors
    /// `Unavailable` also when nobody can know whether it is.
    pub(crate) async fn commit(self) -> Result<(), StoreError> {
        let Self { inner, limit, health, broken } = self;
        let ending = Bounded { inner: (), limit, health, broken };
        let committed = ending.bounded(inner.commit()).await;
        match committed {
            Ok(()) => ending.health.committed(),
            Err(_) => ending.health.doubt(),
        }
        committed.map_err(store_error)
    }
}

#[async_trait]
impl<C: ConnectionTrait + Send> ConnectionTrait for Bounded<C> {
    fn get_database_backend(&self) -> DbBackend {
        self.inner.get_database_backend()
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        self.bounded(self.inner.execute_raw(statement)).await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        self.bounded(self.inner.execute_unprepared(sql)).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        self.bounded(self.inner.query_one_raw(statement)).await
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        self.bounded(self.inner.query_all_raw(statement)).await
    }
}
