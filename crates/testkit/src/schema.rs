//! Foreign keys in the schema of a database.

use sqlx::{Connection, PgConnection, Row, SqliteConnection};

use crate::TestDatabase;

impl TestDatabase {
    /// Every table and column with a reference to a table, or with a name such as `user_id` for `users`.
    pub async fn references_to(&self, table: &str) -> Vec<(String, String)> {
        let name = format!("{}_id", table.trim_end_matches('s'));
        let rows: Vec<(String, String)> = if self.url().starts_with("sqlite:") {
            let mut connection = SqliteConnection::connect(self.url()).await.expect("the database is there");
            let sql = "select t.name, k.\"from\" from sqlite_master t join pragma_foreign_key_list(t.name) k \
                       where t.type = 'table' and k.\"table\" = $1 \
                       union select t.name, c.name from sqlite_master t join pragma_table_info(t.name) c \
                       where t.type = 'table' and c.name = $2";
            let rows = sqlx::query(sql).bind(table).bind(&name).fetch_all(&mut connection).await;
            rows.expect("the schema").iter().map(|row| (row.get(0), row.get(1))).collect()
        } else {
            let mut connection = PgConnection::connect(self.url()).await.expect("the database is there");
            let sql = "select k.conrelid::regclass::text, a.attname::text from pg_constraint k \
                       join pg_attribute a on a.attrelid = k.conrelid and a.attnum = any (k.conkey) \
                       where k.contype = 'f' and k.confrelid = cast($1 as text)::regclass \
                       union select table_name::text, column_name::text from information_schema.columns \
                       where table_schema = 'public' and column_name = $2";
            let rows = sqlx::query(sql).bind(table).bind(&name).fetch_all(&mut connection).await;
            rows.expect("the schema").iter().map(|row| (row.get(0), row.get(1))).collect()
        };
        rows
    }
}
