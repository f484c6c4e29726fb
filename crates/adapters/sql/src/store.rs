//! Opening, migrating, and watching the database.

mod postgres;
mod sqlite;

use std::{collections::BTreeSet, str::FromStr, sync::Arc, time::Duration};

use portico_kernel::{CommitListener, StoreError, TraceParent, trace::StoreObserver};
use portico_migrations::Migrator;
use sea_orm::{
    SqliteTransactionMode, SqlxPostgresConnector, TransactionOptions,
    sqlx::{self, SqlitePool, pool::PoolOptions, postgres::PgConnectOptions, sqlite::SqliteConnectOptions},
};
use sea_orm_migration::MigratorTrait;

use self::{postgres::connect_postgres, sqlite::connect_sqlite};
use crate::{
    connection::{Connection, Connections, Health, PoolFigures, Slots, Source, Transaction},
    db::{Db, StatementConnection},
    error::store_error,
    remembered::Remembered,
    repositories::{ReadConnection, Repositories, SqlReader, SqlUnitOfWork},
    restored,
};

/// Where the database is and how much of it to use.
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// `sqlite://path/to/file.db` (made when missing) or `postgres://user:password@host/database`.
    pub url: String,
    /// The most connections: to Postgres, or to SQLite for reading. SQLite has one more, for writing. A quarter of those to
    /// Postgres is for background work, see [`SqlStore::for_background`]; two at least, beside one at least for the rest.
    pub max_connections: u32,
    /// How long to wait for a free connection before the answer is [`StoreError::Unavailable`].
    pub acquire_timeout: Duration,
    /// How long to wait for the answer to a statement before it is given up, and its connection closed: three times as long for
    /// background work, a fifth of it while the database answers nobody at all. On Postgres also how long a transaction may wait
    /// for a lock, and be idle.
    pub statement_timeout: Duration,
}

impl StoreOptions {
    /// The defaults for a database: 20 connections to Postgres, 4 readers of SQLite, 2 seconds of patience, 5 for a statement.
    pub fn new(url: impl Into<String>) -> Self {
        let url = url.into();
        let max_connections = if is_postgres(&url) { 20 } else { 4 };
        Self {
            url,
            max_connections,
            acquire_timeout: Duration::from_secs(2),
            statement_timeout: Duration::from_secs(5),
        }
    }
}

/// A migration, and whether it was applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MigrationState {
    /// Name, in the order of which they are applied.
    pub name: String,
    /// Whether the database has it.
    pub applied: bool,
}

/// The database: Postgres, or SQLite embedded in the process. Cheap to clone.
#[derive(Clone)]
pub struct SqlStore {
    pub(crate) pools: Pools,
    writer: Connections,
    reader: Connections,
    /// For background work, where that has connections of its own.
    background: Option<Connections>,
    pub(crate) health: Arc<Health>,
    remembered: Arc<Remembered>,
    listener: Option<Arc<dyn CommitListener>>,
    observer: Option<Arc<dyn StoreObserver>>,
}

#[derive(Clone)]
pub(crate) enum Pools {
    Postgres {
        requests: Arc<Slots>,
        /// So that background work goes on however many requests there are, and never takes all connections from them.
        background: Arc<Slots>,
    },
    /// One connection that writes, so that writers queue here instead of failing on each other's locks, and some that
    /// only read, which the write-ahead log lets them do meanwhile.
    Sqlite { writer: SqlitePool, readers: SqlitePool },
}

impl SqlStore {
    /// Opens the database. Does not migrate it.
    pub async fn connect(options: &StoreOptions) -> Result<Self, StoreError> {
        if is_postgres(&options.url) {
            connect_postgres(options).await
        } else {
            connect_sqlite(options).await
        }
    }

    /// Has `listener` told of every commit that wrote events or jobs.
    #[must_use]
    pub fn with_listener(mut self, listener: Arc<dyn CommitListener>) -> Self {
        self.listener = Some(listener);
        self
    }

    /// Has `observer` watch what is run, and say for which trace.
    #[must_use]
    pub fn with_observer(mut self, observer: Arc<dyn StoreObserver>) -> Self {
        let connections = [&mut self.writer, &mut self.reader];
        for connection in connections.into_iter().chain(&mut self.background) {
            connection.observe(&observer);
        }
        self.observer = Some(observer);
        self
    }

    /// The same database for background work: with more time for a statement, and over connections of its own where there are
    /// several that write.
    #[must_use]
    pub fn for_background(&self) -> Self {
        let connections = |own: &Connections| match &self.background {
            Some(background) => background.clone(),
            None => own.patient(own.limit() * BACKGROUND),
        };
        Self { writer: connections(&self.writer), reader: connections(&self.reader), ..self.clone() }
    }

    /// Begins a unit of work. On SQLite it holds the only writing connection until it ends.
    pub async fn begin(&self) -> Result<SqlUnitOfWork, StoreError> {
        let transaction = self.transaction().await?;
        Ok(Repositories::new(
            transaction,
            self.remembered.clone(),
            self.listener.clone(),
            self.observer.clone(),
        ))
    }

    /// The repositories for reading, without a transaction.
    pub fn reader(&self) -> SqlReader {
        Repositories::new(ReadConnection(self.reader.clone()), self.remembered.clone(), None, None)
    }

    /// Whether the database answers within a second, and takes what is written as far as is known: where writing failed, it
    /// has to succeed again, or on Postgres not to have failed for some seconds.
    pub async fn ping(&self) -> Result<(), StoreError> {
        const PATIENCE: Duration = Duration::from_secs(1);
        const FAILING: Duration = Duration::from_secs(3);
        let answers = async {
            self.reader.ping().await.map_err(store_error)?;
            match self.pools {
                Pools::Postgres { .. } if self.health.has_failed_within(FAILING) => {
                    Err(StoreError::Unavailable("writing failed a moment ago".into()))
                }
                Pools::Sqlite { .. } if self.health.has_failed() => self.try_to_write().await,
                _ => Ok(()),
            }
        };
        match tokio::time::timeout(PATIENCE, answers).await {
            Ok(answer) => answer,
            Err(_) => Err(unavailable(sqlx::Error::PoolTimedOut)),
        }
    }

    /// Writes the first page of a file of SQLite as it is.
    async fn try_to_write(&self) -> Result<(), StoreError> {
        let transaction = self.transaction().await?;
        let version = transaction.db().row::<i32>("pragma user_version", ()).await?.unwrap_or(0);
        let same = format!("pragma user_version = {version}");
        transaction.db().script(&same).await?;
        transaction.commit().await
    }

    /// Figures of the pools, all together.
    pub fn pool_figures(&self) -> PoolFigures {
        fn figures<D: sqlx::Database>(pool: &sqlx::Pool<D>) -> PoolFigures {
            let idle = u32::try_from(pool.num_idle()).unwrap_or(u32::MAX);
            PoolFigures { open: pool.size(), idle, max: pool.options().get_max_connections() }
        }
        let (one, other) = match &self.pools {
            Pools::Postgres { requests, background } => (requests.figures(), background.figures()),
            Pools::Sqlite { writer, readers } => (figures(writer), figures(readers)),
        };
        PoolFigures { open: one.open + other.open, idle: one.idle + other.idle, max: one.max + other.max }
    }

    /// Applies the migrations that are missing; all of them or none. Processes that start at once take turns. Afterwards the
    /// event log can be read, also where the database was restored from a dump of another cluster.
    ///
    /// Instances of an earlier version go on writing, and may lock tables in another order: Postgres lets one of both fail. So failures
    /// that may pass are tried again.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        for _ in 1..MIGRATION_ATTEMPTS {
            match self.try_to_migrate().await {
                Err(StoreError::Unavailable(_)) => {}
                done => return done,
            }
        }
        self.try_to_migrate().await
    }

    async fn try_to_migrate(&self) -> Result<(), StoreError> {
        if self.is_migrated().await? && !restored::is_from_elsewhere(&self.read()).await? {
            return Ok(());
        }
        let transaction = self.migration_transaction().await?;
        Migrator::up(transaction.shared()?, None).await.map_err(store_error)?;
        restored::adopt(&transaction.db()).await?;
        transaction.commit().await
    }

    /// Whether the database has the migrations of this program and no others. Quicker than [`SqlStore::migration_status`], for the start.
    async fn is_migrated(&self) -> Result<bool, StoreError> {
        let db = self.read();
        if !db.exists(db.dialect().has_migrations, ()).await? {
            return Ok(false);
        }
        let applied: Vec<String> = db.rows("select version from seaql_migrations", ()).await?;
        let migrations = Migrator::migrations();
        let known: BTreeSet<&str> = migrations.iter().map(|migration| migration.name()).collect();
        let applied: BTreeSet<&str> = applied.iter().map(String::as_str).collect();
        Ok(applied == known)
    }

    /// Takes back the last `steps` migrations, with the data they made room for.
    pub async fn migrate_down(&self, steps: u32) -> Result<(), StoreError> {
        let transaction = self.migration_transaction().await?;
        Migrator::down(transaction.shared()?, Some(steps)).await.map_err(store_error)?;
        transaction.commit().await
    }

    /// Every migration, and whether it was applied.
    pub async fn migration_status(&self) -> Result<Vec<MigrationState>, StoreError> {
        let migrations =
            Migrator::get_migration_with_status_read_only(&self.read().0).await.map_err(store_error)?;
        Ok(migrations
            .iter()
            .map(|migration| MigrationState {
                name: migration.name().to_owned(),
                applied: migration.status() == sea_orm_migration::MigrationStatus::Applied,
            })
            .collect())
    }

    /// Every migration, as of a database that has none yet.
    pub fn pending_migrations() -> Vec<MigrationState> {
        let migrations = Migrator::migrations();
        let names = migrations.iter().map(|migration| migration.name().to_owned());
        names.map(|name| MigrationState { name, applied: false }).collect()
    }

    /// Waits for connections in use, and closes all of them.
    pub async fn close(&self) {
        match &self.pools {
            Pools::Postgres { requests, background } => {
                tokio::join!(requests.close(), background.close());
            }
            // The last connection to close writes the log back into the database, which a reader cannot.
            Pools::Sqlite { writer, readers } => {
                readers.close().await;
                writer.close().await;
            }
        }
    }

    /// Begins a transaction that may write. On SQLite it takes the write lock right away: one that reads first and asks
    /// for the lock later fails when somebody else wrote in between.
    pub(crate) async fn transaction(&self) -> Result<Transaction, StoreError> {
        let options = match self.pools {
            Pools::Postgres { .. } => TransactionOptions::default(),
            Pools::Sqlite { .. } => TransactionOptions {
                sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
                ..TransactionOptions::default()
            },
        };
        self.writer.begin(options).await
    }

    /// The trace of the work at hand.
    pub(crate) fn trace(&self) -> Option<TraceParent> {
        self.observer.as_ref()?.trace_parent()
    }

    /// Tells the listener of a job that was enqueued outside of a unit of work, once it is committed.
    pub(crate) fn has_enqueued(&self) {
        if let Some(listener) = &self.listener {
            listener.committed(&[], true);
        }
    }

    /// For single statements that write.
    pub(crate) fn write(&self) -> Db<'_> {
        Db(Connection::Single(&self.writer))
    }

    /// For single statements that read.
    pub(crate) fn read(&self) -> Db<'_> {
        Db(Connection::Single(&self.reader))
    }

    /// A transaction that may take long, and waits for its turn.
    async fn migration_transaction(&self) -> Result<Transaction, StoreError> {
        /// Any number that no other program takes for its advisory locks in this database.
        const MIGRATION_LOCK: i64 = 0x706f_7274_6963_6f00;
        /// For all of a migration of a large database.
        const PATIENCE: Duration = Duration::from_secs(24 * 3600);
        let patient = match &self.pools {
            // A connection of SeaORM, as migrations need one.
            Pools::Postgres { requests, .. } => {
                let pool = PoolOptions::new().max_connections(1);
                let pool = pool.connect_lazy_with(requests.connect_options().clone());
                let source = Source::Shared(SqlxPostgresConnector::from_sqlx_postgres_pool(pool));
                Connections::new(source, PATIENCE, self.health.clone()).patient(PATIENCE)
            }
            Pools::Sqlite { .. } => self.writer.patient(PATIENCE),
        };
        let transaction = Self { writer: patient, ..self.clone() }.transaction().await?;
        if let Pools::Postgres { .. } = self.pools {
            const NO_TIMEOUTS: &str = "select set_config('statement_timeout', '0', true), set_config('lock_timeout', '0', true), \
                                       set_config('idle_in_transaction_session_timeout', '0', true)";
            transaction.db().exists(NO_TIMEOUTS, ()).await?;
            transaction.db().execute("select pg_advisory_xact_lock($1)", [MIGRATION_LOCK]).await?;
        }
        Ok(transaction)
    }
}

fn is_postgres(url: &str) -> bool {
    url.starts_with("postgres://") || url.starts_with("postgresql://")
}

pub(crate) fn unavailable(error: sqlx::Error) -> StoreError {
    StoreError::Unavailable(Box::new(error))
}

/// Whether this can be the URL of a database. Connects to none.
///
/// # Errors
/// With what it has to be like; without the URL, which may hold a password.
pub fn check_url(url: &str) -> Result<(), String> {
    if is_postgres(url) {
        let wrong = |why: &str| format!("must be like postgres://user:password@host:5432/database{why}");
        // The library would take a server of this machine in place of a host that is missing.
        let (_, rest) = url.split_once("://").unwrap_or_default();
        let (authority, query) = rest.split_once('?').unwrap_or((rest, ""));
        let authority = authority.split('/').next().unwrap_or_default();
        let host = authority.rsplit('@').next().unwrap_or_default();
        if host.is_empty() && !query.split('&').any(|pair| pair.starts_with("host=")) {
            return Err(wrong("; there is no host in it"));
        }
        return PgConnectOptions::from_str(url).map(drop).map_err(|error| match error {
            sqlx::Error::Configuration(why) => wrong(&format!(" ({why})")),
            _ => wrong(""),
        });
    }
    let wrong =
        "must begin with sqlite:// and name a file, or be like postgres://user:password@host:5432/database";
    let path = url.strip_prefix("sqlite:").ok_or(wrong)?;
    if path.trim_start_matches('/').is_empty() || SqliteConnectOptions::from_str(url).is_err() {
        return Err(wrong.into());
    }
    Ok(())
}

/// Whether the URL names a file of SQLite that is not there.
pub fn names_missing_file(url: &str) -> bool {
    !is_postgres(url)
        && SqliteConnectOptions::from_str(url).is_ok_and(|options| !options.get_filename().exists())
}

/// How often migrations are tried.
const MIGRATION_ATTEMPTS: u32 = 3;

/// How much longer a statement of background work may take.
const BACKGROUND: u32 = 3;

/// A part of the deadline of a statement: while the database answers nobody at all, no statement waits for longer.
const SILENCE: u32 = 5;

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
