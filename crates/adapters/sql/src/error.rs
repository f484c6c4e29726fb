//! What a failed statement means to the domain.

use portico_kernel::StoreError;
use sea_orm::{
    DbErr, RuntimeErr,
    sqlx::{
        self,
        error::DatabaseError,
        postgres::{PgDatabaseError, PgSeverity},
    },
};

/// Tells apart what a caller can act on: a taken key, a missing reference, a store that is down or busy. Anything else is
/// internal.
pub(crate) fn store_error(error: DbErr) -> StoreError {
    let meaning = match &error {
        DbErr::ConnectionAcquire(_) => Meaning::Unavailable,
        DbErr::Conn(RuntimeErr::SqlxError(cause))
        | DbErr::Exec(RuntimeErr::SqlxError(cause))
        | DbErr::Query(RuntimeErr::SqlxError(cause)) => meaning(cause),
        _ => Meaning::Internal,
    };
    match meaning {
        Meaning::Conflict(key) => StoreError::Conflict(key),
        Meaning::MissingReference(key) => StoreError::MissingReference(key),
        Meaning::Unavailable => StoreError::Unavailable(Box::new(error)),
        Meaning::Internal => StoreError::Internal(Box::new(error)),
    }
}

/// Whether the storage below the database failed: it is full, broken, or there is no memory. SQLite then may have rolled back the
/// transaction by itself (sqlite.org/lang_transaction.html, "Response To Errors Within A Transaction").
pub(crate) fn is_storage_failure(error: &DbErr) -> bool {
    let Some(error) = of_database(error) else { return false };
    let code = error.code().unwrap_or_default();
    if error.try_downcast_ref::<PgDatabaseError>().is_some() {
        // Disk full, input/output error.
        ["53100", "58030"].contains(&&*code)
    } else {
        const OUT_OF_MEMORY: i32 = 7;
        const IO_ERROR: i32 = 10;
        const FULL: i32 = 13;
        code.parse::<i32>().is_ok_and(|code| [OUT_OF_MEMORY, IO_ERROR, FULL].contains(&(code & 0xff)))
    }
}

/// Whether Postgres has ended the connection with this error: it shuts down, or somebody or a limit has ended the session.
pub(crate) fn ends_connection(error: &DbErr) -> bool {
    let Some(error) = of_database(error) else { return false };
    error
        .try_downcast_ref::<PgDatabaseError>()
        .is_some_and(|error| matches!(error.severity(), PgSeverity::Fatal | PgSeverity::Panic))
}

/// What the database itself has answered, if it has.
fn of_database(error: &DbErr) -> Option<&(dyn DatabaseError + 'static)> {
    match error {
        DbErr::Conn(RuntimeErr::SqlxError(cause))
        | DbErr::Exec(RuntimeErr::SqlxError(cause))
        | DbErr::Query(RuntimeErr::SqlxError(cause)) => cause.as_database_error(),
        _ => None,
    }
}

enum Meaning {
    Conflict(String),
    MissingReference(String),
    Unavailable,
    Internal,
}

fn meaning(error: &sqlx::Error) -> Meaning {
    let error = match error {
        sqlx::Error::Database(error) => error,
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => return Meaning::Unavailable,
        _ => return Meaning::Internal,
    };
    // Postgres names the constraint; SQLite lists the columns after the colon, and for a foreign key says nothing.
    let key = || match error.constraint() {
        Some(name) => name.to_owned(),
        None => error.message().split_once(": ").map_or("", |(_, columns)| columns).to_owned(),
    };
    if error.is_unique_violation() {
        return Meaning::Conflict(key());
    }
    if error.is_foreign_key_violation() {
        return Meaning::MissingReference(key());
    }
    let code = error.code().unwrap_or_default();
    let passes = if error.try_downcast_ref::<PgDatabaseError>().is_some() {
        passes_on_postgres(&code)
    } else {
        passes_on_sqlite(&code)
    };
    if passes { Meaning::Unavailable } else { Meaning::Internal }
}

/// Whether a failure with this SQLSTATE (Postgres manual, appendix A) may be gone at the next attempt.
fn passes_on_postgres(code: &str) -> bool {
    // Connection exceptions; out of disk, memory or connections; shutting down; input/output errors.
    ["08", "53", "57P", "58"].iter().any(|class| code.starts_with(class))
        // Statement timeout, serialisation failure, deadlock, lock timeout, read-only standby, idle for too long in a transaction.
        || ["57014", "40001", "40P01", "55P03", "25006", "25P03"].contains(&code)
}

/// Whether a failure with this extended result code (sqlite.org/rescode.html) may be gone at the next attempt.
fn passes_on_sqlite(code: &str) -> bool {
    const BUSY: i32 = 5;
    const LOCKED: i32 = 6;
    const OUT_OF_MEMORY: i32 = 7;
    const IO_ERROR: i32 = 10;
    const FULL: i32 = 13;
    const CANNOT_OPEN: i32 = 14;
    code.parse::<i32>()
        .is_ok_and(|code| [BUSY, LOCKED, OUT_OF_MEMORY, IO_ERROR, FULL, CANNOT_OPEN].contains(&(code & 0xff)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passing_failures_are_told_from_bugs() {
        assert!(passes_on_postgres("57P01"), "the server is shutting down");
        assert!(passes_on_postgres("40P01"), "a deadlock");
        assert!(!passes_on_postgres("42P01"), "there is no such table");
        assert!(passes_on_sqlite("517"), "a busy snapshot");
        assert!(!passes_on_sqlite("1"), "an SQL error");
    }
}
