//! Connections whose every use has a deadline, and what is known of the database behind them.
//!
//! A statement that is not answered in time ends in [`StoreError::Unavailable`], and its connection is closed: nobody can know what
//! is still under way on it (ADR 46).

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use portico_kernel::{StoreError, trace::StoreObserver};
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, ExecResult, QueryResult,
    RuntimeErr, Statement, TransactionOptions, TransactionTrait, Value,
    sea_query::{Expr, Query, SelectStatement},
    sqlx,
};
use tokio::time::{Instant, timeout_at};

use crate::error::{is_storage_failure, store_error};

mod deferred;
mod slots;

use deferred::{Deferred, TableInsert};
pub(crate) use deferred::{Until, notification};
use slots::Lease;
pub use slots::PoolFigures;
pub(crate) use slots::Slots;

/// What the uses of a database tell about it. Shared by all connections to it.
pub(crate) struct Health {
    started: Instant,
    /// How long a statement waits while the database answers nobody.
    silence: Duration,
    /// When a statement was answered last, in microseconds after `started`.
    answered: AtomicU64,
    /// Whether something asks the database several times a second, so that a second without an answer means something.
    beats: AtomicBool,
    /// When the storage below failed to write, in microseconds after `started`; 0 once a commit has succeeded since.
    write_failed: AtomicU64,
    /// Whether the transaction that used SQLite's writing connection last may not have ended as the library thinks.
    in_doubt: AtomicBool,
}

impl Health {
    /// Nothing is known; `silence` is how long a statement waits while the database answers nobody.
    pub fn new(silence: Duration) -> Self {
        Self {
            started: Instant::now(),
            silence,
            answered: AtomicU64::new(0),
            beats: AtomicBool::new(false),
            write_failed: AtomicU64::new(0),
            in_doubt: AtomicBool::new(false),
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX).max(1)
    }

    /// A task that asks the database several times a second was answered.
    pub fn beat(&self) {
        self.beats.store(true, Ordering::Relaxed);
        self.answered.store(self.now(), Ordering::Relaxed);
    }

    /// Until when to wait for a statement that was begun then. Who begins while nobody has been answered for some time waits for a
    /// moment only, unless it is patient: background work, by which it is noticed that the database is back.
    fn deadline(&self, begun: Instant, limit: Duration, is_patient: bool) -> Instant {
        if !self.beats.load(Ordering::Relaxed) {
            return begun + limit;
        }
        let answered = self.started + Duration::from_micros(self.answered.load(Ordering::Relaxed));
        let is_known = !is_patient && begun >= answered + self.silence / 2;
        let patience = if is_known { self.silence / 4 } else { self.silence };
        (begun.max(answered) + patience).min(begun + limit)
    }

    /// Notes how a statement ended.
    fn note(&self, error: Option<&DbErr>) -> Outcome {
        let outcome = error.map_or(Outcome::Answered, outcome);
        match outcome {
            Outcome::Answered => self.answered.store(self.now(), Ordering::Relaxed),
            Outcome::NotSent => {}
            Outcome::InDoubt => {
                if error.is_some_and(is_storage_failure) {
                    self.failed_to_write();
                }
                self.doubt();
            }
        }
        outcome
    }

    /// The storage below failed to write.
    pub fn failed_to_write(&self) {
        self.write_failed.store(self.now(), Ordering::Relaxed);
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

    /// Whether writing failed no longer ago than that, and nothing was written since.
    pub fn has_failed_within(&self, time: Duration) -> bool {
        let failed = self.write_failed.load(Ordering::Relaxed);
        failed != 0 && Duration::from_micros(self.now().saturating_sub(failed)) < time
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

/// For how long a statement is waited for, and where it is noted how it ended.
#[derive(Clone)]
struct Deadline {
    limit: Duration,
    /// Whether it waits as long as ever while the database is known to answer nobody.
    is_patient: bool,
    health: Arc<Health>,
}

impl Deadline {
    /// Waits for an answer until the deadline, or until the database has answered nobody for a while.
    async fn bounded<T>(&self, asked: impl Future<Output = Result<T, DbErr>>) -> Result<T, DbErr> {
        let begun = Instant::now();
        let mut asked = pin!(asked);
        let answer = loop {
            let until = self.health.deadline(begun, self.limit, self.is_patient);
            match timeout_at(until, &mut asked).await {
                Ok(answer) => break answer,
                // Others may have been answered meanwhile.
                Err(_) if self.health.deadline(begun, self.limit, self.is_patient) > until => {}
                Err(_) => break Err(given_up("the database did not answer in time")),
            }
        };
        self.health.note(answer.as_ref().err());
        answer
    }
}

fn given_up(why: &'static str) -> DbErr {
    let error = std::io::Error::new(std::io::ErrorKind::TimedOut, why);
    DbErr::Conn(RuntimeErr::SqlxError(Arc::new(sqlx::Error::Io(error))))
}

/// Connections of which every use has a deadline. For single statements; [`Connections::begin`] for more. Cheap to clone.
#[derive(Clone)]
pub struct Connections {
    source: Source,
    deadline: Deadline,
}

#[derive(Clone)]
pub(crate) enum Source {
    /// Those of SQLite.
    Shared(DatabaseConnection),
    /// Those of Postgres.
    Slots(Arc<Slots>),
}

/// A connection in use.
enum Used<'c> {
    Shared(&'c DatabaseConnection),
    Slot(Lease),
}

impl Used<'_> {
    fn connection(&self) -> &DatabaseConnection {
        match self {
            Self::Shared(connection) => connection,
            Self::Slot(lease) => lease.connection(),
        }
    }

    /// What was asked was answered.
    fn ended<T>(self, answer: Result<T, DbErr>) -> Result<T, DbErr> {
        if let Self::Slot(lease) = self {
            lease.ended(answer.as_ref().err().map_or(Outcome::Answered, outcome) == Outcome::Answered);
        }
        answer
    }
}

impl Connections {
    /// For requests, which are answered soon when the database is away.
    pub(crate) fn new(source: Source, limit: Duration, health: Arc<Health>) -> Self {
        Self { source, deadline: Deadline { limit, is_patient: false, health } }
    }

    /// The same connections for background work.
    pub(crate) fn patient(&self, limit: Duration) -> Self {
        let health = self.deadline.health.clone();
        Self { source: self.source.clone(), deadline: Deadline { limit, is_patient: true, health } }
    }

    /// How long a statement is waited for.
    pub(crate) fn limit(&self) -> Duration {
        self.deadline.limit
    }

    /// Has `observer` watch every statement.
    pub(crate) fn observe(&mut self, observer: &Arc<dyn StoreObserver>) {
        match &mut self.source {
            Source::Shared(connection) => watch(connection, observer),
            Source::Slots(slots) => slots.observe(observer.clone()),
        }
    }

    async fn take(&self) -> Result<Used<'_>, DbErr> {
        Ok(match &self.source {
            Source::Shared(connection) => Used::Shared(connection),
            Source::Slots(slots) => Used::Slot(slots.take().await?),
        })
    }

    /// Whether the database answers.
    pub(crate) async fn ping(&self) -> Result<(), DbErr> {
        let asked = async {
            let used = self.take().await?;
            let answer = used.connection().ping().await;
            used.ended(answer)
        };
        self.deadline.bounded(asked).await
    }

    /// Opens a transaction.
    ///
    /// # Errors
    /// `Unavailable` when there is no connection, or none that answers.
    pub(crate) async fn begin(&self, options: TransactionOptions) -> Result<Transaction, StoreError> {
        let begin = async {
            let used = self.take().await?;
            let begun = used.connection().begin_with_options(options).await;
            match (begun, used) {
                (Ok(transaction), Used::Shared(_)) => Ok((transaction, None)),
                (Ok(transaction), Used::Slot(lease)) => {
                    lease.ended(true);
                    Ok((transaction, Some(lease)))
                }
                (Err(error), used) => used.ended(Err(error)),
            }
        };
        match self.deadline.bounded(begin).await {
            Ok((inner, lease)) => {
                let (broken, deferred) = (AtomicBool::new(false), Deferred::default());
                Ok(Transaction { inner, lease, broken, deferred, deadline: self.deadline.clone() })
            }
            Err(error) => {
                if outcome(&error) != Outcome::NotSent {
                    self.deadline.health.doubt();
                }
                Err(store_error(error))
            }
        }
    }
}

/// Has `observer` told of every statement.
pub(crate) fn watch(connection: &mut DatabaseConnection, observer: &Arc<dyn StoreObserver>) {
    let observer = observer.clone();
    connection.set_metric_callback(move |info| {
        observer.statement(&info.statement.sql, info.elapsed, info.failed);
    });
}

/// An open transaction of which every statement has a deadline. Dropped, it rolls back.
pub struct Transaction {
    // Before the lease, so that the connection is given back by then.
    inner: DatabaseTransaction,
    lease: Option<Lease>,
    /// Whether a statement was given up, or met a failure of the storage, which makes SQLite roll back by itself. What came
    /// after it would be outside of the transaction.
    broken: AtomicBool,
    /// What is added with a later statement.
    deferred: Deferred,
    deadline: Deadline,
}

impl Transaction {
    /// Without deadlines: for migrations.
    pub(crate) fn inner(&self) -> &DatabaseTransaction {
        &self.inner
    }

    async fn bounded<T>(&self, asked: impl Future<Output = Result<T, DbErr>>) -> Result<T, DbErr> {
        if self.broken.load(Ordering::Relaxed) {
            return Err(given_up("an earlier statement of the transaction was given up"));
        }
        let answer = self.deadline.bounded(asked).await;
        if answer.as_ref().is_err_and(|error| outcome(error) == Outcome::InDoubt) {
            self.broken.store(true, Ordering::Relaxed);
            if let Some(lease) = &self.lease {
                lease.ended(false);
            }
        }
        answer
    }

    /// Adds the deferred rows that the statement may not come before.
    async fn prepare_for(&self, sql: &str) -> Result<(), DbErr> {
        self.send(self.deferred.before(sql), None).await
    }

    /// Adds all deferred rows, and runs `last` with them.
    pub(crate) async fn flush(&self, last: Option<SelectStatement>) -> Result<(), StoreError> {
        self.send(self.deferred.rest(), last).await.map_err(store_error)
    }

    /// Adds all deferred rows together with `select` and these columns, with `$1`, `$2` …, and answers its first row. On Postgres it is
    /// one statement, of which the columns do not see the rows.
    pub(crate) async fn flush_with(
        &self,
        columns: String,
        values: Vec<Value>,
    ) -> Result<Option<QueryResult>, StoreError> {
        let (backend, rows) = (self.get_database_backend(), self.deferred.rest());
        let mut statements = match backend {
            DbBackend::Postgres => {
                let select = Query::select().expr(Expr::cust_with_values(columns, values)).take();
                deferred::statements(backend, rows, Some(select))
            }
            _ => {
                let select = Statement::from_sql_and_values(backend, format!("select {columns}"), values);
                let inserts = deferred::statements(backend, rows, None);
                inserts.into_iter().chain([select]).collect()
            }
        };
        let query = statements.pop();
        let answered = async {
            for statement in statements {
                self.bounded(self.inner.execute_raw(statement)).await?;
            }
            match query {
                Some(query) => self.bounded(self.inner.query_one_raw(query)).await,
                None => Ok(None),
            }
        };
        answered.await.map_err(store_error)
    }

    async fn send(&self, inserts: Vec<TableInsert>, last: Option<SelectStatement>) -> Result<(), DbErr> {
        for statement in deferred::statements(self.get_database_backend(), inserts, last) {
            self.bounded(self.inner.execute_raw(statement)).await?;
        }
        Ok(())
    }

    /// Makes everything durable.
    ///
    /// # Errors
    /// `Unavailable` also when nobody can know whether it is.
    pub(crate) async fn commit(self) -> Result<(), StoreError> {
        self.flush(None).await?;
        let Self { inner, lease, broken, deadline, .. } = self;
        if broken.into_inner() {
            return Err(store_error(given_up("an earlier statement of the transaction was given up")));
        }
        let committed = deadline.bounded(inner.commit()).await;
        match committed {
            Ok(()) => deadline.health.committed(),
            Err(_) => deadline.health.doubt(),
        }
        if let Some(lease) = &lease {
            lease.ended(committed.is_ok());
        }
        committed.map_err(store_error)
    }
}

#[async_trait]
impl ConnectionTrait for Connections {
    fn get_database_backend(&self) -> DbBackend {
        match &self.source {
            Source::Shared(connection) => connection.get_database_backend(),
            Source::Slots(_) => DbBackend::Postgres,
        }
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        let asked = async {
            let used = self.take().await?;
            let answer = used.connection().execute_raw(statement).await;
            used.ended(answer)
        };
        self.deadline.bounded(asked).await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        let asked = async {
            let used = self.take().await?;
            let answer = used.connection().execute_unprepared(sql).await;
            used.ended(answer)
        };
        self.deadline.bounded(asked).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        let asked = async {
            let used = self.take().await?;
            let answer = used.connection().query_one_raw(statement).await;
            used.ended(answer)
        };
        self.deadline.bounded(asked).await
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        let asked = async {
            let used = self.take().await?;
            let answer = used.connection().query_all_raw(statement).await;
            used.ended(answer)
        };
        self.deadline.bounded(asked).await
    }
}

#[async_trait]
impl ConnectionTrait for Transaction {
    fn get_database_backend(&self) -> DbBackend {
        self.inner.get_database_backend()
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        self.prepare_for(&statement.sql).await?;
        self.bounded(self.inner.execute_raw(statement)).await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        self.prepare_for(sql).await?;
        self.bounded(self.inner.execute_unprepared(sql)).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        self.prepare_for(&statement.sql).await?;
        self.bounded(self.inner.query_one_raw(statement)).await
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        self.prepare_for(&statement.sql).await?;
        self.bounded(self.inner.query_all_raw(statement)).await
    }
}

/// What statements are sent over.
pub(crate) trait StatementConnection: ConnectionTrait {
    /// Where rows are kept that may be added later; none where each statement is a transaction of its own.
    fn deferred(&self) -> Option<&Deferred> {
        None
    }
}

impl StatementConnection for Connections {}

impl StatementConnection for Transaction {
    fn deferred(&self) -> Option<&Deferred> {
        Some(&self.deferred)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::sleep;

    use super::*;

    const LIMIT: Duration = Duration::from_millis(500);
    const SILENCE: Duration = Duration::from_millis(100);

    fn deadline() -> Deadline {
        Deadline { limit: LIMIT, is_patient: false, health: Arc::new(Health::new(SILENCE)) }
    }

    async fn asked(deadline: &Deadline, takes: Duration) -> (bool, Duration) {
        let begun = Instant::now();
        let answer = deadline.bounded(async {
            sleep(takes).await;
            Ok(())
        });
        (answer.await.is_ok(), begun.elapsed())
    }

    #[tokio::test]
    async fn a_statement_is_given_up_at_its_deadline() {
        let store = deadline();
        assert!(asked(&store, LIMIT / 2).await.0);
        let (answered, took) = asked(&store, LIMIT * 20).await;
        assert!(!answered && took >= LIMIT && took < LIMIT * 20, "{took:?}");
        assert!(store.health.take_doubt() && !store.health.take_doubt());
    }

    #[tokio::test]
    async fn while_the_database_answers_nobody_the_wait_is_shorter() {
        let store = deadline();
        store.health.beat();
        let (answered, took) = asked(&store, LIMIT).await;
        assert!(!answered && took >= SILENCE && took < LIMIT, "{took:?}");
        let (answered, took) = asked(&store, LIMIT).await;
        assert!(!answered && took >= SILENCE / 4 && took < SILENCE, "it is known by now: {took:?}");
        let background = Deadline { is_patient: true, ..store.clone() };
        let (answered, took) = asked(&background, LIMIT).await;
        assert!(!answered && took >= SILENCE && took < LIMIT, "{took:?}");
        store.health.beat();
        assert!(asked(&store, SILENCE / 2).await.0, "it is back");
    }

    #[tokio::test]
    async fn a_slow_statement_of_a_database_that_answers_others_has_its_time() {
        let store = deadline();
        let health = store.health.clone();
        let beating = tokio::spawn(async move {
            loop {
                health.beat();
                sleep(SILENCE / 10).await;
            }
        });
        sleep(Duration::from_millis(1)).await;
        assert!(asked(&store, LIMIT / 2).await.0);
        beating.abort();
    }

    #[tokio::test]
    async fn writing_counts_as_failing_until_it_succeeds_or_for_some_seconds() {
        let health = Health::new(SILENCE);
        let (moment, hour) = (Duration::from_millis(10), Duration::from_secs(3600));
        assert!(!health.has_failed() && !health.has_failed_within(hour));
        health.failed_to_write();
        sleep(moment).await;
        assert!(health.has_failed() && health.has_failed_within(hour) && !health.has_failed_within(moment));
        health.committed();
        assert!(!health.has_failed());
    }
}
