//! Rows that a transaction adds later than it was told to, together with others, so that they cost one round trip (ADR 67).

use std::{
    mem,
    sync::{Mutex, PoisonError},
};

use sea_orm::{
    ActiveModelTrait, ActiveValue, ColumnTrait, DbBackend, EntityName, EntityTrait, Iterable, Statement,
    StatementBuilder,
    sea_query::{
        Alias, CommonTableExpression, Expr, Func, Iden, InsertStatement, Query, SelectStatement, WithClause,
    },
};

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
    table: &'static str,
    columns: Vec<String>,
    count: usize,
    until: Until,
    insert: InsertStatement,
}

impl Deferred {
    /// Adds a row later.
    pub fn add<A: ActiveModelTrait>(&self, mut row: A, until: Until) {
        let table = A::Entity::default().table_name();
        let (mut columns, mut values) = (Vec::new(), Vec::new());
        for column in <A::Entity as EntityTrait>::Column::iter() {
            if let ActiveValue::Set(value) | ActiveValue::Unchanged(value) = row.take(column) {
                columns.push(column.unquoted().to_owned());
                values.push(column.save_as(Expr::val(value)));
            }
        }
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // The rows of a table stay in their order: the event log has the order in which its rows come.
        let of_table = all.iter_mut().rev().find(|rows| rows.table == table);
        let open =
            of_table.filter(|rows| rows.until == until && rows.columns == columns && rows.count < ROWS);
        match open {
            Some(last) => {
                last.insert.values_panic(values);
                last.count += 1;
            }
            None => {
                let mut insert = Query::insert();
                insert.into_table(Alias::new(table));
                insert.columns(columns.iter().map(|column| Alias::new(column.as_str())));
                insert.values_panic(values);
                all.push(Rows { table, columns, count: 1, until, insert });
            }
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

/// Rows to be added, and their table.
pub(crate) type TableInsert = (&'static str, InsertStatement);

fn inserts(rows: Vec<Rows>) -> Vec<TableInsert> {
    rows.into_iter().map(|rows| (rows.table, rows.insert)).collect()
}

/// The statements that do it all: as few as the database allows. `last` is run with the last of them, or alone.
pub(crate) fn statements(
    backend: DbBackend,
    inserts: Vec<TableInsert>,
    last: Option<SelectStatement>,
) -> Vec<Statement> {
    if backend != DbBackend::Postgres {
        let inserts = inserts.iter().map(|(_, insert)| StatementBuilder::build(insert, &backend));
        return inserts.chain(last.map(|last| StatementBuilder::build(&last, &backend))).collect();
    }
    let mut inserts = inserts.into_iter().peekable();
    let (mut statements, mut last) = (Vec::new(), last);
    while inserts.peek().is_some() || last.is_some() {
        // Parts of one statement run in any order, so a table is in it once.
        let mut tables = Vec::new();
        let mut some = Vec::new();
        while let Some((table, insert)) =
            inserts.next_if(|(table, _)| tables.len() < INSERTS && !tables.contains(table))
        {
            tables.push(table);
            some.push(insert);
        }
        let is_end = inserts.peek().is_none();
        let select = if is_end { last.take() } else { None };
        // The main statement, of which the others are parts. Foreign keys between them are checked at its end.
        let main = if select.is_none() { some.pop() } else { None };
        let mut with = WithClause::new();
        let has_parts = !some.is_empty();
        for (index, insert) in some.into_iter().enumerate() {
            let mut part = CommonTableExpression::new();
            part.table_name(Alias::new(format!("part_{index}"))).query(insert);
            with.cte(part);
        }
        statements.push(match (select, main) {
            (Some(select), _) if has_parts => StatementBuilder::build(&with.query(select), &backend),
            (Some(select), _) => StatementBuilder::build(&select, &backend),
            (None, Some(main)) if has_parts => StatementBuilder::build(&with.query(main), &backend),
            (None, Some(main)) => StatementBuilder::build(&main, &backend),
            (None, None) => continue,
        });
    }
    statements
}

/// A notification on a channel of Postgres.
pub(crate) fn notification(channel: &str, payload: String) -> SelectStatement {
    let notify = Func::cust("pg_notify").arg(channel).arg(payload);
    Query::select().expr(notify).take()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn insert(table: &'static str, id: i32) -> TableInsert {
        let mut insert = Query::insert();
        insert.into_table(Alias::new(table)).columns([Alias::new("id")]).values_panic([id.into()]);
        (table, insert)
    }

    fn sql(backend: DbBackend, inserts: Vec<TableInsert>, last: Option<SelectStatement>) -> Vec<String> {
        statements(backend, inserts, last).into_iter().map(|statement| statement.sql).collect()
    }

    #[test]
    fn postgres_gets_one_statement_and_sqlite_as_many_as_there_are_tables() {
        let three = || vec![insert("a", 1), insert("b", 2), insert("c", 3)];
        assert_eq!(
            sql(DbBackend::Postgres, three(), None),
            [
                r#"WITH "part_0" AS (INSERT INTO "a" ("id") VALUES ($1)) , "part_1" AS (INSERT INTO "b" ("id") VALUES ($2)) INSERT INTO "c" ("id") VALUES ($3)"#
            ]
        );
        assert_eq!(
            sql(DbBackend::Postgres, vec![insert("a", 1)], Some(notification("portico", "x".to_owned()))),
            [r#"WITH "part_0" AS (INSERT INTO "a" ("id") VALUES ($1)) SELECT pg_notify($2, $3)"#]
        );
        assert_eq!(sql(DbBackend::Sqlite, three(), None).len(), 3);
        assert_eq!(
            sql(DbBackend::Postgres, vec![insert("a", 1)], None),
            [r#"INSERT INTO "a" ("id") VALUES ($1)"#]
        );
        assert!(sql(DbBackend::Postgres, Vec::new(), None).is_empty());
        let again = vec![insert("a", 1), insert("b", 2), insert("a", 3)];
        assert_eq!(sql(DbBackend::Postgres, again, None).len(), 2, "the rows of a table keep their order");
    }
}
