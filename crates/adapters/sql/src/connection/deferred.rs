//! Rows that a transaction adds later than it was told to, together with others, so that they cost one round trip (ADR 67).

use std::{
    mem,
    sync::{Mutex, PoisonError},
};

use sea_orm::{DbBackend, Statement, Value};

use super::insert::TableInsert;

/// The most rows of one INSERT.
const ROWS: usize = 200;

/// The most INSERTs of one statement, far below what a statement may bind.
const INSERTS: usize = 8;

/// Until when a row may be added at the latest. The commit adds what is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Until {
    /// The next statement of the transaction.
    NextStatement,
    /// The next statement that has one of these words: the table, and what triggers of it write to. For tables to which no other
    /// one refers.
    Read(&'static [&'static str]),
}

/// The rows, in the order in which they were given.
#[derive(Default)]
pub(crate) struct Deferred(Mutex<Vec<Rows>>);

/// Rows of one table.
struct Rows {
    count: usize,
    until: Until,
    insert: TableInsert,
}

impl Deferred {
    /// Adds a row later.
    pub fn add(&self, row: TableInsert, until: Until) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // The rows of a table stay in their order: the event log has the order in which its rows come.
        let of_table = all.iter_mut().rev().find(|rows| rows.insert.table == row.table);
        let open = of_table
            .filter(|rows| rows.until == until && rows.insert.columns == row.columns && rows.count < ROWS);
        match open {
            Some(last) => {
                last.insert.values.extend(row.values);
                last.count += 1;
            }
            None => all.push(Rows { count: 1, until, insert: row }),
        }
    }

    /// Takes everything out, if the statement may not run before.
    pub fn before(&self, sql: &str) -> Vec<TableInsert> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = |rows: &Rows| match rows.until {
            Until::NextStatement => true,
            Until::Read(words) => words.iter().any(|word| sql.contains(word)),
        };
        if all.iter().any(is_due) { inserts(mem::take(&mut all)) } else { Vec::new() }
    }

    /// Takes everything out.
    pub fn rest(&self) -> Vec<TableInsert> {
        inserts(mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}

fn inserts(rows: Vec<Rows>) -> Vec<TableInsert> {
    rows.into_iter().map(|rows| rows.insert).collect()
}

/// What is asked for with the last rows: columns with `$1`, `$2` …, and what these stand for.
pub(crate) struct Asked {
    /// Columns, without a table.
    pub columns: String,
    /// Their parameters.
    pub values: Vec<Value>,
}

/// The statements that do it all: as few as the database allows. `last` is run with the last of them, or alone.
pub(crate) fn statements(
    backend: DbBackend,
    inserts: Vec<TableInsert>,
    mut last: Option<Asked>,
) -> Vec<Statement> {
    let mut inserts = inserts.into_iter().peekable();
    let mut statements = Vec::new();
    while inserts.peek().is_some() {
        let mut some: Vec<TableInsert> = Vec::new();
        while let Some(insert) =
            inserts.next_if(|insert| some.len() < INSERTS && may_follow(backend, &some, insert))
        {
            some.push(insert);
        }
        let is_end = inserts.peek().is_none();
        statements.push(statement(backend, some, if is_end { last.take() } else { None }));
    }
    statements.extend(last.map(|last| statement(backend, Vec::new(), Some(last))));
    statements
}

/// Parts of one statement of Postgres run in any order, so a table is in it once.
fn may_follow(backend: DbBackend, some: &[TableInsert], insert: &TableInsert) -> bool {
    backend != DbBackend::Postgres || some.iter().all(|other| other.table != insert.table)
}

/// One round trip, in which foreign keys between the rows hold at its end: to Postgres one statement, of which the main one is what is
/// asked for, or else the last INSERT. SQLite has no INSERT in another statement; it gets one after the other in one text, because
/// each text is handed to a thread and waited for.
fn statement(backend: DbBackend, mut parts: Vec<TableInsert>, asked: Option<Asked>) -> Statement {
    let is_postgres = backend == DbBackend::Postgres;
    let (columns, mut values) = match asked {
        Some(Asked { columns, values }) => (Some(columns), values),
        None => (None, Vec::new()),
    };
    let main = if columns.is_none() { parts.pop() } else { None };
    let mut sql = String::with_capacity(1024);
    for (index, part) in parts.into_iter().enumerate() {
        if is_postgres {
            sql.push_str(if index == 0 { "WITH " } else { ", " });
            sql.push_str(&format!("\"part_{index}\" AS ("));
        }
        part.write(&mut sql, &mut values);
        sql.push_str(if is_postgres { ") " } else { "; " });
    }
    if let Some(columns) = columns {
        sql.push_str("SELECT ");
        sql.push_str(&columns);
    }
    if let Some(main) = main {
        main.write(&mut sql, &mut values);
    }
    Statement::from_sql_and_values(backend, sql, values)
}

/// A notification on a channel of Postgres.
pub(crate) fn notification(channel: &str, payload: String) -> Asked {
    Asked { columns: "pg_notify($1, $2)".to_owned(), values: vec![channel.into(), payload.into()] }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn insert(table: &'static str, id: i32) -> TableInsert {
        TableInsert { table, columns: vec!["id"], values: vec![id.into()] }
    }

    fn sql(backend: DbBackend, inserts: Vec<TableInsert>, last: Option<Asked>) -> Vec<String> {
        statements(backend, inserts, last).into_iter().map(|statement| statement.sql).collect()
    }

    #[test]
    fn what_is_added_together_is_one_round_trip() {
        let three = || vec![insert("a", 1), insert("b", 2), insert("c", 3)];
        assert_eq!(
            sql(DbBackend::Postgres, three(), None),
            [
                r#"WITH "part_0" AS (INSERT INTO "a" ("id") VALUES ($1)) , "part_1" AS (INSERT INTO "b" ("id") VALUES ($2)) INSERT INTO "c" ("id") VALUES ($3)"#
            ]
        );
        assert_eq!(
            sql(DbBackend::Postgres, vec![insert("a", 1)], Some(notification("portico", "x".to_owned()))),
            [r#"WITH "part_0" AS (INSERT INTO "a" ("id") VALUES ($3)) SELECT pg_notify($1, $2)"#]
        );
        assert_eq!(
            sql(DbBackend::Sqlite, three(), None),
            [
                r#"INSERT INTO "a" ("id") VALUES ($1); INSERT INTO "b" ("id") VALUES ($2); INSERT INTO "c" ("id") VALUES ($3)"#
            ]
        );
        let asked = Asked { columns: "$1 as one".to_owned(), values: vec![1.into()] };
        assert_eq!(
            sql(DbBackend::Sqlite, vec![insert("a", 1)], Some(asked)),
            [r#"INSERT INTO "a" ("id") VALUES ($2); SELECT $1 as one"#]
        );
        assert_eq!(
            sql(DbBackend::Postgres, vec![insert("a", 1)], None),
            [r#"INSERT INTO "a" ("id") VALUES ($1)"#]
        );
        assert!(sql(DbBackend::Postgres, Vec::new(), None).is_empty());
        let again = vec![insert("a", 1), insert("b", 2), insert("a", 3)];
        assert_eq!(sql(DbBackend::Postgres, again, None).len(), 2, "the rows of a table keep their order");
        let many = (0..=INSERTS).map(|_| insert("a", 1)).collect();
        assert_eq!(sql(DbBackend::Sqlite, many, None).len(), 2);
    }

    #[test]
    fn rows_of_a_table_are_one_insert_in_their_order() {
        let deferred = Deferred::default();
        for id in [7, 3, 5] {
            deferred.add(insert("a", id), Until::Read(&["a"]));
        }
        deferred.add(insert("b", 9), Until::NextStatement);
        assert_eq!(deferred.before("select * from b").len(), 2, "what is due takes the rest with it");
        assert!(deferred.rest().is_empty());
        deferred.add(insert("a", 7), Until::Read(&["a"]));
        deferred.add(insert("a", 3), Until::Read(&["a"]));
        assert!(deferred.before("select * from c").is_empty());
        let statements = statements(DbBackend::Postgres, deferred.rest(), None);
        assert_eq!(statements[0].sql, r#"INSERT INTO "a" ("id") VALUES ($1), ($2)"#);
        let expected: Vec<Value> = vec![7.into(), 3.into()];
        assert_eq!(statements[0].values.as_ref().unwrap().0, expected);
    }
}
