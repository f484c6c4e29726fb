//! Connections whose every use has a deadline, and what is known of the database behind them.
//!
//! A statement that is not answered in time ends in [`StoreError::Unavailable`], and its connection is closed: nobody can know what
//! is still under way on it (ADR 46).

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use async_trait::async_trait;
use portico_kernel::{StoreError, trace::StoreObserver};
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, ExecResult, QueryResult,
    Statement, TransactionOptions, TransactionTrait, Value,
};
use tokio::sync::{Mutex, MutexGuard};

use crate::error::store_error;

mod deadline;
mod deferred;
mod insert;
mod plain_read;
mod session;
mod slots;

pub(crate) use deadline::Health;
use deadline::{Deadline, Outcome, given_up, outcome};
use deferred::{Asked, Deferred};
pub(crate) use deferred::{Until, notification};
pub(crate) use insert::TableInsert;
use plain_read::is_plain_read;
pub use plain_read::strange_word;
pub(crate) use session::SessionOptions;
pub use slots::PoolFigures;
pub(crate) use slots::Slots;
use slots::{Lease, no_connection};

/// Connections of which every use has a deadline. For single statements; [`Connections::begin`] for more. Cheap to clone.
#[derive(Clone)]
pub struct Connections {
    source: Source,
    deadline: Deadline,
    observer: Option<Arc<dyn StoreObserver>>,
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

impl Connections {
    /// For requests, which are answered soon when the database is away.
    pub(crate) fn new(source: Source, limit: Duration, health: Arc<Health>) -> Self {
        Self { source, deadline: Deadline { limit, is_patient: false, health }, observer: None }
    }

    /// The same connections for background work.
    pub(crate) fn patient(&self, limit: Duration) -> Self {
        let health = self.deadline.health.clone();
        let deadline = Deadline { limit, is_patient: true, health };
        Self { source: self.source.clone(), deadline, observer: self.observer.clone() }
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
        self.observer = Some(observer.clone());
    }

    async fn take(&self) -> Result<Used<'_>, DbErr> {
        Ok(match &self.source {
            Source::Shared(connection) => Used::Shared(connection),
            Source::Slots(slots) => Used::Slot(slots.take().await?),
        })
    }

    /// What the database behind them is.
    fn backend(&self) -> DbBackend {
        match &self.source {
            Source::Shared(connection) => connection.get_database_backend(),
            Source::Slots(_) => DbBackend::Postgres,
        }
    }

    /// Runs a statement.
    async fn execute(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        let asked = async {
            match self.take().await? {
                Used::Shared(connection) => connection.execute_raw(statement).await,
                Used::Slot(mut lease) => lease.execute(statement).await,
            }
        };
        self.deadline.bounded(asked).await
    }

    /// Runs what cannot be prepared.
    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        let asked = async {
            match self.take().await? {
                Used::Shared(connection) => connection.execute_unprepared(sql).await,
                Used::Slot(mut lease) => lease.execute_unprepared(sql).await,
            }
        };
        self.deadline.bounded(asked).await
    }

    /// Runs a query.
    async fn query(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        let asked = async {
            match self.take().await? {
                Used::Shared(connection) => connection.query_all_raw(statement).await,
                Used::Slot(mut lease) => lease.query(statement).await,
            }
        };
        self.deadline.bounded(asked).await
    }

    /// Whether the database answers.
    pub(crate) async fn ping(&self) -> Result<(), DbErr> {
        let asked = async {
            match self.take().await? {
                Used::Shared(connection) => connection.ping().await,
                Used::Slot(mut lease) => lease.ping().await,
            }
        };
        self.deadline.bounded(asked).await
    }

    /// Opens a transaction. On Postgres nothing is sent yet, see [`Transaction`].
    ///
    /// # Errors
    /// `Unavailable` when there is no connection, or none that answers.
    pub(crate) async fn begin(&self, options: TransactionOptions) -> Result<Transaction, StoreError> {
        let inner = match &self.source {
            Source::Shared(connection) => {
                // Not a statement to the library below. Includes the wait for the connection.
                let started = Instant::now();
                let begun = self.deadline.bounded(connection.begin_with_options(options)).await;
                self.saw("begin", started, begun.is_err());
                begun.map(Inner::Shared)
            }
            Source::Slots(slots) => match self.deadline.in_time(slots.take()).await {
                Some(lease) => lease.map(|lease| Inner::Slot(Mutex::new(lease))),
                None => Err(no_connection()),
            },
        };
        match inner {
            Ok(inner) => Ok(Transaction {
                inner,
                broken: AtomicBool::new(false),
                failed: AtomicBool::new(false),
                deferred: Deferred::default(),
                connections: self.clone(),
            }),
            Err(error) => Err(store_error(error)),
        }
    }

    fn saw(&self, what: &str, started: Instant, failed: bool) {
        if let Some(observer) = &self.observer {
            observer.statement(what, started.elapsed(), failed);
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
///
/// On Postgres it begins with the first statement that is not known to only read ([`is_plain_read`]), because each statement of a
/// transaction sees what is committed when it runs (READ COMMITTED), as it does outside of one; and one that would have a single
/// statement that writes is that statement (ADR 107).
pub struct Transaction {
    inner: Inner,
    /// Whether a statement was given up, or met a failure of the storage, which makes SQLite roll back by itself. What came
    /// after it would be outside of the transaction.
    broken: AtomicBool,
    /// Whether one of its statements failed, so that there is nothing to commit: Postgres rolls back then, and calls it a success.
    failed: AtomicBool,
    /// What is added with a later statement.
    deferred: Deferred,
    connections: Connections,
}

enum Inner {
    Shared(DatabaseTransaction),
    Slot(Mutex<Lease>),
}

impl Inner {
    /// The connection, in a transaction where the statement needs one.
    async fn within<'l>(lease: &'l Mutex<Lease>, sql: &str) -> Result<MutexGuard<'l, Lease>, DbErr> {
        let mut lease = lease.lock().await;
        if !lease.is_in_transaction() && !is_plain_read(sql) {
            lease.begin().await?;
        }
        Ok(lease)
    }

    async fn execute(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        match self {
            Self::Shared(transaction) => transaction.execute_raw(statement).await,
            Self::Slot(lease) => Self::within(lease, &statement.sql).await?.execute(statement).await,
        }
    }

    async fn query(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        match self {
            Self::Shared(transaction) => transaction.query_all_raw(statement).await,
            Self::Slot(lease) => Self::within(lease, &statement.sql).await?.query(statement).await,
        }
    }
}

impl Transaction {
    /// As SeaORM has it: for migrations.
    ///
    /// # Errors
    /// `Internal` for one over connections of our own.
    pub(crate) fn shared(&self) -> Result<&DatabaseTransaction, StoreError> {
        match &self.inner {
            Inner::Shared(transaction) => Ok(transaction),
            Inner::Slot(_) => Err(StoreError::Internal("not a transaction of SeaORM".into())),
        }
    }

    /// Whether statements so far may have changed or locked something.
    pub(crate) fn has_begun(&self) -> bool {
        match &self.inner {
            Inner::Shared(_) => true,
            Inner::Slot(lease) => lease.try_lock().is_ok_and(|lease| lease.is_in_transaction()),
        }
    }

    /// What the database behind it is.
    pub(crate) fn backend(&self) -> DbBackend {
        self.connections.backend()
    }

    /// Runs a statement.
    async fn execute(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        self.prepare_for(&statement.sql).await?;
        self.bounded(self.inner.execute(statement)).await
    }

    /// Runs what cannot be prepared.
    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        self.prepare_for(sql).await?;
        let asked = async {
            match &self.inner {
                Inner::Shared(transaction) => transaction.execute_unprepared(sql).await,
                Inner::Slot(lease) => Inner::within(lease, sql).await?.execute_unprepared(sql).await,
            }
        };
        self.bounded(asked).await
    }

    /// Runs a query.
    async fn query(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        self.prepare_for(&statement.sql).await?;
        self.bounded(self.inner.query(statement)).await
    }

    async fn bounded<T>(&self, asked: impl Future<Output = Result<T, DbErr>>) -> Result<T, DbErr> {
        if self.broken.load(Ordering::Relaxed) {
            return Err(was_given_up());
        }
        let answer = self.connections.deadline.bounded(asked).await;
        if let Err(error) = &answer {
            if outcome(error) == Outcome::InDoubt {
                self.broken.store(true, Ordering::Relaxed);
            }
            if self.has_begun() {
                self.fail();
            }
        }
        answer
    }

    fn fail(&self) {
        self.failed.store(true, Ordering::Relaxed);
    }

    /// Runs what adds deferred rows. They are nowhere else any more.
    async fn add(&self, statements: Vec<Statement>) -> Result<(), DbErr> {
        for statement in statements {
            self.bounded(self.inner.execute(statement)).await.inspect_err(|_| self.fail())?;
        }
        Ok(())
    }

    /// Adds the deferred rows that the statement may not come before.
    async fn prepare_for(&self, sql: &str) -> Result<(), DbErr> {
        self.add(self.statements(self.deferred.before(sql), None)).await
    }

    fn statements(&self, inserts: Vec<TableInsert>, last: Option<Asked>) -> Vec<Statement> {
        deferred::statements(self.backend(), inserts, last)
    }

    /// Answers the first row of `select` and these columns, with `$1`, `$2` …, and adds all deferred rows with it. On Postgres it is
    /// one statement, of which the columns do not see the rows.
    pub(crate) async fn flush_with(
        &self,
        columns: String,
        values: Vec<Value>,
    ) -> Result<Option<QueryResult>, StoreError> {
        self.first_row(self.deferred.rest(), columns, values).await.inspect_err(|_| self.fail())
    }

    /// The same without the deferred rows, and on Postgres without a transaction where none has begun.
    pub(crate) async fn read(
        &self,
        columns: String,
        values: Vec<Value>,
    ) -> Result<Option<QueryResult>, StoreError> {
        self.first_row(Vec::new(), columns, values).await
    }

    async fn first_row(
        &self,
        inserts: Vec<TableInsert>,
        columns: String,
        values: Vec<Value>,
    ) -> Result<Option<QueryResult>, StoreError> {
        let mut statements = self.statements(inserts, Some(Asked { columns, values }));
        let query = statements.pop();
        let answered = async {
            self.add(statements).await?;
            match query {
                Some(query) => Ok(self.bounded(self.inner.query(query)).await?.into_iter().next()),
                None => Ok(None),
            }
        };
        answered.await.map_err(store_error)
    }

    /// Makes everything durable.
    ///
    /// # Errors
    /// `Unavailable` also when nobody can know whether it is. `Internal` after a statement that failed, whatever became of its error.
    pub(crate) async fn commit(self) -> Result<(), StoreError> {
        self.commit_with(None).await
    }

    /// Adds all deferred rows, runs `last`, and makes everything durable.
    ///
    /// # Errors
    /// Like [`Transaction::commit`].
    pub(crate) async fn commit_with(self, last: Option<Asked>) -> Result<(), StoreError> {
        if self.broken.load(Ordering::Relaxed) {
            return Err(store_error(was_given_up()));
        }
        if self.failed.load(Ordering::Relaxed) {
            return Err(StoreError::Internal("a statement of the transaction has failed".into()));
        }
        let mut statements = self.statements(self.deferred.rest(), last);
        let only = if statements.len() == 1 && !self.has_begun() { statements.pop() } else { None };
        self.add(statements).await.map_err(store_error)?;
        let Self { inner, connections, .. } = self;
        let deadline = &connections.deadline;
        let committed = match inner {
            Inner::Shared(transaction) => {
                // Not a statement to the library below, but often where the time goes.
                let started = Instant::now();
                let committed = deadline.bounded(transaction.commit()).await;
                connections.saw("commit", started, committed.is_err());
                committed
            }
            Inner::Slot(lease) => {
                let mut lease = lease.into_inner();
                match only {
                    Some(statement) => deadline.bounded(lease.execute(statement)).await.map(drop),
                    None if lease.is_in_transaction() => deadline.bounded(lease.commit()).await,
                    None => return Ok(()),
                }
            }
        };
        // What a failure tells about the database is noted by the deadline: of a conflict, nothing.
        if committed.is_ok() {
            deadline.health.committed();
        }
        committed.map_err(store_error)
    }
}

fn was_given_up() -> DbErr {
    given_up("an earlier statement of the transaction was given up")
}

/// What statements are sent over. One type for all, so that whatever sends them is compiled once (ADR 69).
pub(crate) enum Connection<'c> {
    /// Each statement is a transaction of its own.
    Single(&'c Connections),
    /// The same, and nothing is written: a use case that was handed a reader by mistake fails at once.
    ReadOnly(&'c Connections),
    /// All statements are in one transaction.
    Transaction(&'c Transaction),
}

impl Connection<'_> {
    /// Where rows are kept that may be added later; none where each statement is a transaction of its own.
    pub fn deferred(&self) -> Option<&Deferred> {
        match self {
            Self::Single(_) | Self::ReadOnly(_) => None,
            Self::Transaction(transaction) => Some(&transaction.deferred),
        }
    }

    /// Whether this is a transaction that has neither changed nor locked anything yet.
    pub fn has_only_read(&self) -> bool {
        matches!(self, Self::Transaction(transaction) if !transaction.has_begun())
    }

    async fn query(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        match self {
            Self::Single(connections) | Self::ReadOnly(connections) => connections.query(statement).await,
            Self::Transaction(transaction) => transaction.query(statement).await,
        }
    }
}

#[async_trait]
impl ConnectionTrait for Connection<'_> {
    fn get_database_backend(&self) -> DbBackend {
        match self {
            Self::Single(connections) | Self::ReadOnly(connections) => connections.backend(),
            Self::Transaction(transaction) => transaction.backend(),
        }
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        match self {
            Self::Single(connections) => connections.execute(statement).await,
            Self::ReadOnly(_) => Err(read_only()),
            Self::Transaction(transaction) => transaction.execute(statement).await,
        }
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        match self {
            Self::Single(connections) => connections.execute_unprepared(sql).await,
            Self::ReadOnly(_) => Err(read_only()),
            Self::Transaction(transaction) => transaction.execute_unprepared(sql).await,
        }
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        Ok(self.query(statement).await?.into_iter().next())
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        self.query(statement).await
    }
}

fn read_only() -> DbErr {
    DbErr::Custom("a reader does not write; begin a unit of work".to_owned())
}
