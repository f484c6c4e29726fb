//! Connections whose every use has a deadline, and what is known of the database behind them.
//!
//! A statement that is not answered in time ends in [`StoreError::Unavailable`], and its connection is closed: nobody can know what
//! is still under way on it (ADR 46).

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use portico_kernel::{StoreError, trace::StoreObserver};
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, ExecResult, QueryResult,
    Statement, TransactionOptions, TransactionTrait, Value,
};

use crate::error::store_error;

mod deadline;
mod deferred;
mod insert;
mod slots;

pub(crate) use deadline::Health;
use deadline::{Deadline, Outcome, given_up, outcome};
use deferred::{Asked, Deferred};
pub(crate) use deferred::{Until, notification};
pub(crate) use insert::TableInsert;
use slots::Lease;
pub use slots::PoolFigures;
pub(crate) use slots::Slots;

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
    pub(crate) async fn flush(&self, last: Option<Asked>) -> Result<(), StoreError> {
        self.send(self.deferred.rest(), last).await.map_err(store_error)
    }

    /// Adds all deferred rows together with `select` and these columns, with `$1`, `$2` …, and answers its first row. On Postgres it is
    /// one statement, of which the columns do not see the rows.
    pub(crate) async fn flush_with(
        &self,
        columns: String,
        values: Vec<Value>,
    ) -> Result<Option<QueryResult>, StoreError> {
        let asked = Asked { columns, values };
        let mut statements =
            deferred::statements(self.get_database_backend(), self.deferred.rest(), Some(asked));
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

    async fn send(&self, inserts: Vec<TableInsert>, last: Option<Asked>) -> Result<(), DbErr> {
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
