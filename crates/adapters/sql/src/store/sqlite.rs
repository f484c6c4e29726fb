//! Opening a file of SQLite.

use std::{str::FromStr, sync::Arc, time::Duration};

use portico_kernel::StoreError;
use sea_orm::{
    SqlxSqliteConnector,
    sqlx::{
        self, ConnectOptions, Connection, SqlitePool,
        pool::PoolOptions,
        sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
    },
};
use tokio::time::timeout;

use super::{Pools, SILENCE, SqlStore, StoreOptions, unavailable};
use crate::connection::{Connections, Health, Source};

/// How long the file of SQLite may take to be opened.
const OPENING: Duration = Duration::from_secs(30);

pub(super) async fn connect_sqlite(options: &StoreOptions) -> Result<SqlStore, StoreError> {
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
    keep_private(connect.get_filename()).map_err(|error| unavailable(sqlx::Error::Io(error)))?;
    // In KiB, for each connection. Little, so that an idle server stays small; the operating system caches the file too.
    let writing = connect.clone().pragma("cache_size", "-8192");
    let reading = connect.pragma("cache_size", "-4096").pragma("query_only", "on");
    let health = Arc::new(Health::new(options.statement_timeout / SILENCE));
    let pool = || {
        PoolOptions::<sqlx::Sqlite>::new().acquire_timeout(options.acquire_timeout).test_before_acquire(false)
    };
    // Makes the file and sets the journal mode, which stays with the file. On a busy disk that takes longer than requests wait.
    let opened = timeout(OPENING, writing.connect()).await;
    let first = opened.map_err(|late| StoreError::Unavailable(Box::new(late)))?.map_err(unavailable)?;
    let in_doubt = health.clone();
    let writer = pool()
        .max_connections(1)
        .idle_timeout(None)
        .max_lifetime(None)
        // The library counts transactions by itself: where SQLite has ended one alone, as it does when the disk is full, all that
        // came later would be parts of a transaction that is never committed.
        .after_release(move |connection, _| {
            let health = in_doubt.clone();
            Box::pin(async move {
                // The answer comes after that of a rollback that waits.
                connection.ping().await?;
                Ok(!health.take_doubt() && !connection.is_in_transaction())
            })
        })
        .connect_with(writing)
        .await
        .map_err(unavailable)?;
    let readers =
        pool().max_connections(options.max_connections).connect_with(reading).await.map_err(unavailable)?;
    first.close().await.map_err(unavailable)?;
    let bounded = |pool: &SqlitePool| {
        let pool = SqlxSqliteConnector::from_sqlx_sqlite_pool(pool.clone());
        Connections::new(Source::Shared(pool), options.statement_timeout, health.clone())
    };
    Ok(SqlStore {
        writer: bounded(&writer),
        reader: bounded(&readers),
        background: None,
        pools: Pools::Sqlite { writer, readers },
        health,
        remembered: Arc::default(),
        listener: None,
        observer: None,
    })
}

/// Makes the file of a database, which only the user of this process can read; its log and index get the mode of the file. One
/// that is there is closed to those who are neither in the group nor the owner.
#[cfg(unix)]
fn keep_private(file: &std::path::Path) -> std::io::Result<()> {
    use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
    let mut made = std::fs::OpenOptions::new();
    match made.write(true).create_new(true).mode(0o600).open(file) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
        made => return made.map(drop),
    }
    for ending in ["", "-wal", "-shm"] {
        let mut path = file.as_os_str().to_owned();
        path.push(ending);
        let Ok(about) = std::fs::metadata(&path) else { continue };
        let mode = about.permissions().mode();
        if mode & 0o007 != 0 {
            // It may belong to another user, who lets this one write: then it is theirs to close.
            let _ = std::fs::set_permissions(&path, PermissionsExt::from_mode(mode & 0o770));
        }
    }
    Ok(())
}

#[cfg(not(unix))]
fn keep_private(_: &std::path::Path) -> std::io::Result<()> {
    Ok(())
}
