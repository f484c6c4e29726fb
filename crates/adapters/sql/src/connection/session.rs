//! A connection to Postgres, on which statements run one after the other.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use portico_kernel::trace::StoreObserver;
use sea_orm::{
    DbErr, ExecResult, QueryResult, RuntimeErr, Statement,
    sqlx::{
        self, AssertSqlSafe, ConnectOptions, Connection, Executor, PgConnection, Postgres,
        postgres::PgConnectOptions, query::Query,
    },
};
use sea_query_sqlx::SqlxValues;

use super::deadline::{Outcome, outcome};
use crate::error::ends_connection;

/// A connection that was idle for longer is asked whether it still lives. Asking each time would cost a round trip.
const TEST_IF_IDLE_FOR: Duration = Duration::from_secs(1);

/// A connection is replaced after so long, because Postgres keeps what it has learned of tables for as long as it lives.
const LIFETIME: Duration = Duration::from_secs(30 * 60);

/// Sets settings of a session: their names are `$1`, their values `$2`.
const SETTINGS: &str =
    "select set_config(name, value, false) from unnest($1::text[], $2::text[]) as wanted(name, value)";

/// How to open one.
pub(crate) struct SessionOptions {
    /// Where the database is.
    pub connect: PgConnectOptions,
    /// The names of settings.
    pub names: Vec<String>,
    /// Their values.
    pub values: Vec<String>,
}

/// A connection, and what is under way on it.
pub(super) struct Session {
    connection: PgConnection,
    opened: Instant,
    given_back: Instant,
    /// When the statement was sent that has no answer yet.
    asked: Option<Instant>,
    /// Whether BEGIN was sent, and no COMMIT answered since.
    in_transaction: bool,
    is_in_doubt: bool,
}

impl Session {
    pub async fn open(options: &SessionOptions) -> Result<Self, sqlx::Error> {
        let mut connection = options.connect.connect().await?;
        let set = sqlx::query(SETTINGS).bind(&options.names).bind(&options.values);
        set.execute(&mut connection).await?;
        let now = Instant::now();
        Ok(Self {
            connection,
            opened: now,
            given_back: now,
            asked: None,
            in_transaction: false,
            is_in_doubt: false,
        })
    }

    /// Whether it can be used again: it is not too old, and was used a moment ago or answers.
    pub async fn is_usable(&mut self) -> bool {
        self.opened.elapsed() < LIFETIME
            && (self.idle_for() < TEST_IF_IDLE_FOR || self.connection.ping().await.is_ok())
    }

    /// For how long nobody has used it.
    pub fn idle_for(&self) -> Duration {
        self.given_back.elapsed()
    }

    /// It is free for others from now on.
    pub fn give_back(&mut self) {
        self.given_back = Instant::now();
    }

    /// How it can go on after a use.
    pub fn end(&self) -> End {
        /// A use that was cut off after so long, by its deadline or by whoever waited for it, leaves the connection in doubt.
        const LONG: Duration = Duration::from_millis(900);
        match self.asked {
            _ if self.is_in_doubt => End::Doubt,
            Some(asked) if asked.elapsed() >= LONG => End::Doubt,
            None if !self.in_transaction => End::Free,
            _ => End::UnderWay,
        }
    }

    /// Waits for the answer to what was sent, and rolls back.
    pub async fn settle(&mut self) -> Result<(), sqlx::Error> {
        match self.in_transaction {
            true => self.connection.execute("ROLLBACK").await.map(drop)?,
            false => self.connection.ping().await?,
        }
        (self.asked, self.in_transaction) = (None, false);
        Ok(())
    }

    /// Says goodbye to the server.
    pub async fn close(self) {
        // It is closed in any case.
        let _ = self.connection.close().await;
    }

    pub fn is_in_transaction(&self) -> bool {
        self.in_transaction
    }

    /// Begins a transaction. `waited` is for how long the connection was waited for.
    pub async fn begin(&mut self, waited: Duration, observer: Observer<'_>) -> Result<(), DbErr> {
        let asked = Instant::now();
        self.asked = Some(asked);
        // Before it is sent: whoever is cut off here leaves a transaction behind.
        self.in_transaction = true;
        let begun = self.connection.execute("BEGIN").await.map_err(exec_error);
        observe(observer, "begin", waited + asked.elapsed(), begun.is_err());
        let begun = self.answered(begun);
        // One that was refused was not begun: what came after it would be outside.
        self.in_transaction = begun.is_ok();
        begun.map(drop)
    }

    /// Makes the transaction durable.
    pub async fn commit(&mut self, observer: Observer<'_>) -> Result<(), DbErr> {
        let asked = Instant::now();
        self.asked = Some(asked);
        let committed = self.connection.execute("COMMIT").await.map_err(exec_error);
        observe(observer, "commit", asked.elapsed(), committed.is_err());
        let committed = self.answered(committed);
        self.in_transaction = committed.is_err();
        committed.map(drop)
    }

    pub async fn execute(
        &mut self,
        statement: Statement,
        observer: Observer<'_>,
    ) -> Result<ExecResult, DbErr> {
        let (sql, query) = prepared(statement);
        let asked = Instant::now();
        self.asked = Some(asked);
        let answer = query.execute(&mut self.connection).await.map_err(exec_error);
        observe(observer, &sql, asked.elapsed(), answer.is_err());
        self.answered(answer).map(ExecResult::from)
    }

    /// Runs what cannot be prepared.
    pub async fn execute_unprepared(&mut self, sql: &str) -> Result<ExecResult, DbErr> {
        self.asked = Some(Instant::now());
        let answer = self.connection.execute(AssertSqlSafe(sql.to_owned())).await.map_err(exec_error);
        self.answered(answer).map(ExecResult::from)
    }

    /// All rows. Also where one is wanted: a statement is over when all of its answer was read, and only then durable if it writes.
    pub async fn query(
        &mut self,
        statement: Statement,
        observer: Observer<'_>,
    ) -> Result<Vec<QueryResult>, DbErr> {
        let (sql, query) = prepared(statement);
        let asked = Instant::now();
        self.asked = Some(asked);
        let answer = query.fetch_all(&mut self.connection).await.map_err(query_error);
        observe(observer, &sql, asked.elapsed(), answer.is_err());
        Ok(self.answered(answer)?.into_iter().map(QueryResult::from).collect())
    }

    pub async fn ping(&mut self) -> Result<(), DbErr> {
        self.asked = Some(Instant::now());
        let answer = self.connection.ping().await.map_err(query_error);
        self.answered(answer)
    }

    fn answered<T>(&mut self, answer: Result<T, DbErr>) -> Result<T, DbErr> {
        self.asked = None;
        self.is_in_doubt |=
            answer.as_ref().is_err_and(|error| outcome(error) != Outcome::Answered || ends_connection(error));
        answer
    }
}

/// What is to be done with a connection after its use.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// It is free.
    Free,
    /// A statement or a transaction was left alone.
    UnderWay,
    /// Nobody can know what is under way on it.
    Doubt,
}

/// Who is told of statements, if anybody.
pub(super) type Observer<'o> = Option<&'o Arc<dyn StoreObserver>>;

fn observe(observer: Observer<'_>, sql: &str, took: Duration, failed: bool) {
    if let Some(observer) = observer {
        observer.statement(sql, took, failed);
    }
}

/// The text, for the observer, and what is sent.
fn prepared(statement: Statement) -> (Arc<String>, Query<'static, Postgres, SqlxValues>) {
    let sql = Arc::new(statement.sql);
    let values = statement.values.unwrap_or_else(|| sea_orm::Values(Vec::new()));
    (sql.clone(), sqlx::query_with(AssertSqlSafe(sql), SqlxValues(values)))
}

fn exec_error(error: sqlx::Error) -> DbErr {
    DbErr::Exec(RuntimeErr::SqlxError(Arc::new(error)))
}

fn query_error(error: sqlx::Error) -> DbErr {
    DbErr::Query(RuntimeErr::SqlxError(Arc::new(error)))
}
