//! Looking through a whole database for a text.

use secrecy::ExposeSecret;
use sqlx::{Connection, Row};

use crate::{database::BY_A_TEST, server::TestServer};

impl TestServer {
    /// Every `table.column` of the database that contains a text, ignoring the case of ASCII letters. Bytes are searched
    /// as text as far as they are.
    pub async fn places_of(&self, text: &str) -> Vec<String> {
        let url = self.app.settings.database_url();
        let url = url.expose_secret();
        let mut places = Vec::new();
        if url.starts_with("sqlite:") {
            let mut connection =
                sqlx::SqliteConnection::connect(url).await.expect("the database of the server");
            let columns = "select t.name, c.name from sqlite_master t join pragma_table_info(t.name) c \
                           where t.type = 'table' order by 1, 2";
            let columns = sqlx::query(columns).fetch_all(&mut connection).await.expect("the columns");
            for column in columns {
                let (table, column): (String, String) = (column.get(0), column.get(1));
                let sql = format!(
                    "select count(*) from \"{table}\" where instr(lower(cast(\"{column}\" as text)), lower($1)) > 0"
                );
                let count = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(text).fetch_one(&mut connection).await;
                if count.expect("a count").get::<i64, _>(0) > 0 {
                    places.push(format!("{table}.{column}"));
                }
            }
        } else {
            let mut connection = sqlx::PgConnection::connect(url).await.expect("the database of the server");
            let columns = "select table_name::text, column_name::text from information_schema.columns \
                           where table_schema = 'public' order by 1, 2";
            let columns = sqlx::query(columns).fetch_all(&mut connection).await.expect("the columns");
            for column in columns {
                let (table, column): (String, String) = (column.get(0), column.get(1));
                let sql = format!(
                    "select count(*) from \"{table}\" where position(lower($1) in lower(\"{column}\"::text)) > 0 {BY_A_TEST}"
                );
                let count = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(text).fetch_one(&mut connection).await;
                if count.expect("a count").get::<i64, _>(0) > 0 {
                    places.push(format!("{table}.{column}"));
                }
            }
        }
        places
    }
}
