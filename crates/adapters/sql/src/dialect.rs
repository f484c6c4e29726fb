//! Where Postgres and SQLite differ.

use sea_orm::{
    ConnectionTrait, DbBackend, Value,
    sea_query::{Condition, Expr, ExprTrait, Func, LikeExpr},
};

/// The statements that are not the same on both.
pub(crate) struct Dialect {
    /// Locks the rows of a query that nobody else has locked. SQLite has one writer at a time and needs no such thing.
    pub for_update_skip_locked: &'static str,
    /// Holds the rows of a query until the transaction ends, without keeping others from referring to them.
    pub for_update: &'static str,
    /// Keeps the rows of a query from being deleted until the transaction ends, as a foreign key to them would.
    pub for_key_share: &'static str,
    /// Makes the cursor of reader `$1`, at the beginning of the log, unless it is there.
    pub start_cursor: &'static str,
    /// Moves cursors to transaction `$1` (as text) and sequence `$2`; a condition that names their readers has to follow.
    pub move_cursors: &'static str,
    /// Where an event stands in the order of the log, or the cursor of a reader, as columns `at_transaction` (text) and `at_sequence`.
    pub event_order: &'static str,
    /// Whether an event comes after transaction `$1` (as text) and sequence `$2`.
    pub event_is_after: &'static str,
    /// Whether no event that is still to be committed can come before an event.
    pub event_is_settled: &'static str,
    /// How to sort events in their order.
    pub order_by_event: &'static str,
    /// How to sort events against their order.
    pub newest_event_first: &'static str,
    /// Whether a queued job waits for longer than from `$2`, although it was to run at once, or again after a failure: pauses
    /// double from a second to an hour, and are up to a quarter longer.
    pub job_waits_too_long: &'static str,
    /// Whether something (`done.at`) was done less than `$5` seconds after something was made (`made.created_at`).
    pub done_within_seconds: &'static str,
    /// Finds a row where the table of migrations is there. The view that the library asks takes Postgres 4 ms to plan in a new connection.
    pub has_migrations: &'static str,
}

const POSTGRES: Dialect = Dialect {
    for_update_skip_locked: "for update skip locked",
    for_update: "for no key update",
    for_key_share: "for key share",
    start_cursor: "insert into event_cursors (reader, transaction_id, sequence) values ($1, '0', 0) \
                   on conflict (reader) do nothing",
    move_cursors: "update event_cursors set transaction_id = $1::text::xid8, sequence = $2 where",
    event_order: "transaction_id::text as at_transaction, sequence as at_sequence",
    event_is_after: "(transaction_id, sequence) > ($1::text::xid8, $2)",
    // Transactions below the oldest one that runs are all over, and those that begin later have higher ids. A transaction
    // of another database on the server cannot write here: one that is known to be such a one does not hold anybody up.
    event_is_settled: "transaction_id < least(pg_current_xact_id_if_assigned(), coalesce(\
                       (select running from pg_snapshot_xip(pg_current_snapshot()) running \
                        where not exists (select 1 from pg_stat_activity \
                          where backend_xid = running::xid and datname <> current_database()) \
                        order by running limit 1), \
                       pg_snapshot_xmax(pg_current_snapshot())))",
    order_by_event: "events.transaction_id, events.sequence",
    newest_event_first: "events.transaction_id desc, events.sequence desc",
    job_waits_too_long: "case when attempts = 0 then created_at > $2 and run_at < created_at + interval '1 second' \
                         else run_at > $2 + least(power(2, least(attempts, 13) - 1), 3600) * interval '1.25 seconds' end",
    done_within_seconds: "done.at < made.created_at + $5 * interval '1 second'",
    has_migrations: "select 1 where to_regclass(quote_ident(current_schema()) || '.seaql_migrations') is not null",
};

const SQLITE: Dialect = Dialect {
    for_update_skip_locked: "",
    for_update: "",
    for_key_share: "",
    start_cursor: "insert into event_cursors (reader, sequence) values ($1, 0) on conflict (reader) do nothing",
    move_cursors: "update event_cursors set sequence = $2 where $1 = '0' and",
    event_order: "'0' as at_transaction, sequence as at_sequence",
    event_is_after: "sequence > $2 and $1 = '0'",
    event_is_settled: "true",
    order_by_event: "events.sequence",
    newest_event_first: "events.sequence desc",
    job_waits_too_long: "case when attempts = 0 \
                         then created_at > $2 and julianday(run_at) < julianday(created_at) + 1.0 / 86400 \
                         else julianday(run_at) > julianday($2) + min(1 << (min(attempts, 13) - 1), 3600) * 1.25 / 86400 end",
    done_within_seconds: "julianday(done.at) < julianday(made.created_at) + $5 / 86400.0",
    has_migrations: "select 1 from sqlite_master where type = 'table' and name = 'seaql_migrations'",
};

/// What the database behind `connection` speaks.
pub(crate) fn dialect(connection: &impl ConnectionTrait) -> &'static Dialect {
    match connection.get_database_backend() {
        DbBackend::Postgres => &POSTGRES,
        _ => &SQLITE,
    }
}

/// Whether one of the columns contains `part`, ignoring case.
///
/// `lower` of SQLite (and of Postgres in the C locale) leaves letters outside of ASCII as they are, so the capital form
/// of `part` is tried too: it finds `Óptica` for `óptica`.
pub(crate) fn contains<const N: usize>(columns: [Expr; N], part: &str) -> Condition {
    let mut condition = Condition::any();
    let lower = part.to_lowercase();
    let upper = part.to_uppercase().to_ascii_lowercase();
    for column in columns {
        let column = Expr::from(Func::lower(column));
        condition = condition.add(column.clone().like(LikeExpr::new(pattern(&lower)).escape('\\')));
        if upper != lower {
            condition = condition.add(column.like(LikeExpr::new(pattern(&upper)).escape('\\')));
        }
    }
    condition
}

/// The same as a part of a statement. What it binds is added to `values`, which are the parameters of the statement so far.
pub(crate) fn containing(columns: &[&str], part: &str, values: &mut Vec<Value>) -> String {
    let lower = part.to_lowercase();
    let upper = part.to_uppercase().to_ascii_lowercase();
    values.push(pattern(&lower).into());
    values.push(pattern(&upper).into());
    let (one, other) = (values.len() - 1, values.len());
    let conditions: Vec<String> = columns
        .iter()
        .map(|column| {
            format!("lower({column}) like ${one} escape '\\' or lower({column}) like ${other} escape '\\'")
        })
        .collect();
    format!("({})", conditions.join(" or "))
}

/// A `like` pattern for anything that contains `part`, where `%` and `_` stand for themselves.
fn pattern(part: &str) -> String {
    let mut escaped = String::with_capacity(part.len() + 2);
    escaped.push('%');
    for character in part.chars() {
        if matches!(character, '%' | '_' | '\\') {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped.push('%');
    escaped
}
