//! The text of an INSERT, which every change sends. Written directly: as a tree of expressions that is cloned and then printed, it was
//! 7 % of the processor time of the creation of a page.

use sea_orm::{
    ActiveModelTrait, ActiveValue, DbBackend, EntityName, EntityTrait, IdenStatic, Iterable, Statement, Value,
};

/// Rows of one table that are added by one INSERT.
pub(crate) struct TableInsert {
    /// The table.
    pub table: &'static str,
    /// The columns that are given; the others have their defaults.
    pub columns: Vec<&'static str>,
    /// The values of each row in the order of the columns, row after row.
    pub values: Vec<Value>,
}

impl TableInsert {
    /// With one row.
    pub fn of<A: ActiveModelTrait>(mut row: A) -> Self {
        let table = A::Entity::default().table_name();
        let (mut columns, mut values) = (Vec::new(), Vec::new());
        for column in <A::Entity as EntityTrait>::Column::iter() {
            if let ActiveValue::Set(value) | ActiveValue::Unchanged(value) = row.take(column) {
                columns.push(column.as_str());
                values.push(value);
            }
        }
        Self { table, columns, values }
    }

    /// As a statement of its own.
    pub fn statement(self, backend: DbBackend) -> Statement {
        let (mut sql, mut values) = (String::with_capacity(512), Vec::with_capacity(self.values.len()));
        self.write(&mut sql, &mut values);
        Statement::from_sql_and_values(backend, sql, values)
    }

    /// Appends the text to that of a statement, and the values to its parameters. Names need no escapes: they are those of our tables.
    pub fn write(self, sql: &mut String, parameters: &mut Vec<Value>) {
        let Self { table, columns, values } = self;
        let names = columns.join("\", \"");
        for piece in ["INSERT INTO \"", table, "\" (\"", &*names, "\") VALUES "] {
            sql.push_str(piece);
        }
        let width = columns.len().max(1);
        for (index, value) in values.into_iter().enumerate() {
            sql.push_str(match index % width {
                0 if index == 0 => "($",
                0 => "), ($",
                _ => ", $",
            });
            parameters.push(value);
            sql.push_str(&parameters.len().to_string());
        }
        sql.push(')');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_numbered_after_those_that_are_there() {
        let row = TableInsert {
            table: "a",
            columns: vec!["id", "name"],
            values: vec![1.into(), "x".into(), 2.into(), "y".into()],
        };
        let mut sql = String::new();
        let mut parameters: Vec<Value> = vec![true.into()];
        row.write(&mut sql, &mut parameters);
        assert_eq!(sql, r#"INSERT INTO "a" ("id", "name") VALUES ($2, $3), ($4, $5)"#);
        let expected: Vec<Value> = vec![true.into(), 1.into(), "x".into(), 2.into(), "y".into()];
        assert_eq!(parameters, expected);
    }
}
