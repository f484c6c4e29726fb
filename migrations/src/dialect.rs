//! The words in which Postgres and SQLite differ.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::{ConnectionTrait, DbBackend};

/// Placeholder, its word on Postgres, its word on SQLite.
///
/// Other type names are the same: SQLite takes any name, and stores what it is given. `{json}` is not, because a column
/// called `jsonb` would turn a text that looks like a number into one.
const WORDS: &[(&str, &str, &str)] = &[
    ("{json}", "jsonb", "text"),
    // The order in which readers see events. On Postgres numbers are given before transactions commit, in any order, so
    // the id of the transaction comes first: whoever reads only below the oldest running transaction misses nothing. On
    // SQLite there is one writer at a time, and the number alone is the order of commits.
    (
        "{event_order}",
        "transaction_id xid8 not null default pg_current_xact_id(),
         sequence bigint not null generated always as identity,",
        "sequence integer primary key autoincrement,",
    ),
    ("{event_key}", "primary key (tenant_id, id)", "unique (tenant_id, id)"),
    ("{cursor_order}", "transaction_id xid8 not null,", ""),
];

/// Runs statements, separated by semicolons, with the words of the database at hand.
pub async fn run(manager: &SchemaManager<'_>, statements: &str) -> Result<(), DbErr> {
    let postgres = is_postgres(manager);
    let sql = WORDS.iter().fold(statements.to_owned(), |sql, (placeholder, on_postgres, on_sqlite)| {
        sql.replace(placeholder, if postgres { on_postgres } else { on_sqlite })
    });
    manager.get_connection().execute_unprepared(&sql).await?;
    Ok(())
}

/// Whether this is Postgres.
pub fn is_postgres(manager: &SchemaManager<'_>) -> bool {
    manager.get_connection().get_database_backend() == DbBackend::Postgres
}
