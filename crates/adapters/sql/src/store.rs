//! Opening, migrating, and watching the database.

use std::{str::FromStr, sync::Arc, time::Duration};

use portico_kernel::{CommitListener, StoreError, trace::StoreObserver};
use portico_migrations::Migrator;
use sea_orm::{
    DatabaseConnection, DatabaseTransaction, SqliteTransactionMode, SqlxPostgresConnector,
    SqlxSqliteConnector, TransactionOptions, TransactionTrait,
    sqlx::{
        self, ConnectOptions, Connection, PgPool, SqlitePool,
        pool::PoolOptions,
        postgres::PgConnectOptions,
        sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
    },
};
use sea_orm_migration::MigratorTrait;

use crate::{
    dialect::execute,
    error::store_error,
    outbox::restored,
    repositories::{ReadConnection, Repositories, SqlReader, SqlUnitOfWork},
};

/// Where the database is and how much of it to use.
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// `sqlite://path/to/file.db` (made when missing) or `postgres://user:password@host/database`.
    pub url: String,
    /// The most connections: to Postgres, or to SQLite for reading. SQLite has one more, for writing.
    pub max_connections: u32,
    /// How long to wait for a free connection before the answer is [`StoreError::Unavailable`].
    pub acquire_timeout: Duration,
}

impl StoreOptions {
    /// The defaults for a database: 20 connections to Postgres, 4 readers of SQLite, 2 seconds of patience.
    pub fn new(url: impl Into<String>) -> Self {
        let url = url.into();
        let max_connections = if is_postgres(&url) { 20 } else { 4 };
        Self { url, max_connections, acquire_timeout: Duration::from_secs(2) }
    }
}

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
    writer: DatabaseConnection,
    reader: DatabaseConnection,
    listener: Option<Arc<dyn CommitListener>>,
    observer: Option<Arc<dyn StoreObserver>>,
}

#[derive(Clone)]
pub(crate) enum Pools {
    Postgres(PgPool),
    /// One connection that writes, so that writers queue here instead of failing on each other's locks, and some that
    /// only read, which the write-ahead log lets them do meanwhile.
    Sqlite {
        writer: SqlitePool,
        readers: SqlitePool,
    },
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
        for connection in [&mut self.writer, &mut self.reader] {
            let observer = observer.clone();
            connection.set_metric_callback(move |info| {
                observer.statement(&info.statement.sql, info.elapsed, info.failed);
            });
        }
        self.observer = Some(observer);
        self
    }

    /// Begins a unit of work. On SQLite it holds the only writing connection until it ends.
    pub async fn begin(&self) -> Result<SqlUnitOfWork, StoreError> {
        Ok(Repositories::new(self.transaction().await?, self.listener.clone(), self.observer.clone()))
    }

    /// The repositories for reading, without a transaction.
    pub fn reader(&self) -> SqlReader {
        Repositories::new(ReadConnection(self.reader.clone(), None), None, None)
    }

    /// Whether the database answers.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.reader.ping().await.map_err(store_error)
    }

    /// Figures of the pool; of SQLite, readers and writer together.
    pub fn pool_figures(&self) -> PoolFigures {
        fn figures<D: sqlx::Database>(pool: &sqlx::Pool<D>) -> PoolFigures {
            let idle = u32::try_from(pool.num_idle()).unwrap_or(u32::MAX);
            PoolFigures { open: pool.size(), idle, max: pool.options().get_max_connections() }
        }
        match &self.pools {
            Pools::Postgres(pool) => figures(pool),
            Pools::Sqlite { writer, readers } => {
                let (writer, readers) = (figures(writer), figures(readers));
                PoolFigures {
                    open: writer.open + readers.open,
                    idle: writer.idle + readers.idle,
                    max: writer.max + readers.max,
                }
            }
        }
    }

    /// Applies the migrations that are missing; all of them or none. Processes that start at once take turns. Afterwards the
    /// event log can be read, also where the database was restored from a dump of another cluster.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        let transaction = self.migration_transaction().await?;
        Migrator::up(&transaction, None).await.map_err(store_error)?;
        restored::adopt(&transaction).await?;
        transaction.commit().await.map_err(store_error)
    }

    /// Takes back the last `steps` migrations, with the data they made room for.
    pub async fn migrate_down(&self, steps: u32) -> Result<(), StoreError> {
        let transaction = self.migration_transaction().await?;
        Migrator::down(&transaction, Some(steps)).await.map_err(store_error)?;
        transaction.commit().await.map_err(store_error)
    }

    /// Every migration, and whether it was applied.
    pub async fn migration_status(&self) -> Result<Vec<MigrationState>, StoreError> {
        let migrations =
            Migrator::get_migration_with_status_read_only(&self.reader).await.map_err(store_error)?;
        Ok(migrations
            .iter()
            .map(|migration| MigrationState {
                name: migration.name().to_owned(),
                applied: migration.status() == sea_orm_migration::MigrationStatus::Applied,
            })
            .collect())
    }

    /// Waits for connections in use, and closes all of them.
    pub async fn close(&self) {
        match &self.pools {
            Pools::Postgres(pool) => pool.close().await,
            // The last connection to close writes the log back into the database, which a reader cannot.
            Pools::Sqlite { writer, readers } => {
                readers.close().await;
                writer.close().await;
            }
        }
    }

    /// Begins a transaction that may write. On SQLite it takes the write lock right away: one that reads first and asks
    /// for the lock later fails when somebody else wrote in between.
    pub(crate) async fn transaction(&self) -> Result<DatabaseTransaction, StoreError> {
        let options = match self.pools {
            Pools::Postgres(_) => TransactionOptions::default(),
            Pools::Sqlite { .. } => TransactionOptions {
                sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
                ..TransactionOptions::default()
            },
        };
        self.writer.begin_with_options(options).await.map_err(store_error)
    }

    /// For single statements that write.
    pub(crate) fn writer(&self) -> &DatabaseConnection {
        &self.writer
    }

    /// For single statements that read.
    pub(crate) fn read_connection(&self) -> &DatabaseConnection {
        &self.reader
    }

    async fn migration_transaction(&self) -> Result<DatabaseTransaction, StoreError> {
        /// Any number that no other program takes for its advisory locks in this database.
        const MIGRATION_LOCK: i64 = 0x706f_7274_6963_6f00;
        let transaction = self.transaction().await?;
        if let Pools::Postgres(_) = self.pools {
            execute(&transaction, "select pg_advisory_xact_lock($1)", [MIGRATION_LOCK.into()]).await?;
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

async fn connect_postgres(options: &StoreOptions) -> Result<SqlStore, StoreError> {
    /// A connection that was idle for longer is asked whether it still lives. Asking each time would cost a round trip.
    const TEST_IF_IDLE_FOR: Duration = Duration::from_secs(1);
    // What is slow is told by the observer, with the request that it was slow for.
    let connect = PgConnectOptions::from_str(&options.url)
        .map_err(unavailable)?
        .application_name("portico")
        .disable_statement_logging();
    let pool = PoolOptions::<sqlx::Postgres>::new()
        .max_connections(options.max_connections)
        .acquire_timeout(options.acquire_timeout)
        .test_before_acquire(false)
        .before_acquire(|connection, metadata| {
            Box::pin(async move {
                if metadata.idle_for >= TEST_IF_IDLE_FOR {
                    connection.ping().await?;
                }
                Ok(true)
            })
        })
        .connect_with(connect)
        .await
        .map_err(unavailable)?;
    let connection = SqlxPostgresConnector::from_sqlx_postgres_pool(pool.clone());
    Ok(SqlStore {
        pools: Pools::Postgres(pool),
        writer: connection.clone(),
        reader: connection,
        listener: None,
        observer: None,
    })
}

async fn connect_sqlite(options: &StoreOptions) -> Result<SqlStore, StoreError> {
    let connect = SqliteConnectOptions::from_str(&options.url)
        .map_err(unavailable)?
        .create_if_missing(true)
        .foreign_keys(true)
        .journal_mode(SqliteJournalMode::Wal)
        // What is committed is in the log, which outlives the process; only a power cut can take the last of it.
        .synchronous(SqliteSynchronous::Normal)
        .busy_timeout(options.acquire_timeout)
        .pragma("temp_store", "memory")
        .disable_statement_logging();
    // In KiB, for each connection. Little, so that an idle server stays small; the operating system caches the file too.
    let writing = connect.clone().pragma("cache_size", "-8192");
    let reading = connect.pragma("cache_size", "-4096").pragma("query_only", "on");
    let pool = || PoolOptions::new().acquire_timeout(options.acquire_timeout).test_before_acquire(false);
    // The writer first: it makes the file, and sets the journal mode, which stays with the file.
    let writer = pool()
        .max_connections(1)
        .idle_timeout(None)
        .max_lifetime(None)
        .connect_with(writing)
        .await
        .map_err(unavailable)?;
    let readers =
        pool().max_connections(options.max_connections).connect_with(reading).await.map_err(unavailable)?;
    Ok(SqlStore {
        writer: SqlxSqliteConnector::from_sqlx_sqlite_pool(writer.clone()),
        reader: SqlxSqliteConnector::from_sqlx_sqlite_pool(readers.clone()),
        pools: Pools::Sqlite { writer, readers },
        listener: None,
        observer: None,
    })
}
