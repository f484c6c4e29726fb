//! A migrated database for each test, on SQLite and on Postgres.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process,
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::Duration,
};

use portico_sql::{SqlStore, StoreOptions};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, SqliteConnection};
use tokio::sync::OnceCell;
use url::Url;
use uuid::Uuid;

use crate::tenancy::tables_without_tenant;

/// Names the server to make databases on; `scripts/test` starts one and sets it.
const SERVER: &str = "PORTICO_TEST_POSTGRES_URL";

/// How long a test waits for a connection or a lock: a loaded machine is slow, not wrong.
const PATIENCE: Duration = Duration::from_secs(30);

/// Runs `test` on SQLite, then on Postgres.
///
/// # Panics
/// When no Postgres server is there. A test that silently runs on one database only is worth less than a failed one.
pub async fn on_each_database(test: impl AsyncFn(&TestDatabase)) {
    // Output of a test is shown when it fails: the last line names the database.
    eprintln!("on SQLite");
    let database = TestDatabase::sqlite().await;
    test(&database).await;
    database.close().await;
    eprintln!("on Postgres");
    let database = TestDatabase::postgres().await;
    test(&database).await;
    database.close().await;
}

/// A migrated, empty database that no other test uses. Removed when dropped.
pub struct TestDatabase {
    store: SqlStore,
    url: String,
    // Last, so that it goes after the connections.
    _remains: Remains,
}

/// Runs a statement with ids as `$1`, `$2` … on the database at `url`, past the program, and returns the number of rows that
/// it changed.
///
/// # Panics
/// When the statement fails.
pub async fn tamper(url: &str, statement: &str, ids: &[Uuid]) -> u64 {
    // Written in a test, so no input of users is in it.
    let statement = AssertSqlSafe(format!("{statement} {BY_A_TEST}"));
    if url.starts_with("sqlite:") {
        let mut connection = SqliteConnection::connect(url).await.expect("the database is there");
        let query = ids.iter().fold(sqlx::query(statement), |query, id| query.bind(*id));
        query.execute(&mut connection).await.expect("the statement runs").rows_affected()
    } else {
        let mut connection = PgConnection::connect(url).await.expect("the database is there");
        let query = ids.iter().fold(sqlx::query(statement), |query, id| query.bind(*id));
        query.execute(&mut connection).await.expect("the statement runs").rows_affected()
    }
}

/// Marks statements that a test runs itself.
pub(crate) const BY_A_TEST: &str = "/* by a test */";

/// A transaction past the program on a Postgres database. It holds what it has locked until it is released, or its connection is dropped.
pub struct Holder(PgConnection);

impl Holder {
    /// Begins a transaction on the database at `url`, and runs a statement in it.
    ///
    /// # Panics
    /// When the statement fails, or locks no row.
    pub async fn begin(url: &str, statement: &str) -> Self {
        let mut connection = PgConnection::connect(url).await.expect("the database is there");
        connection.execute("begin").await.expect("a transaction begins");
        // Written in a test, so no input of users is in it.
        let statement = AssertSqlSafe(format!("{statement} {BY_A_TEST}"));
        let held = connection.execute(statement).await.expect("the statement runs").rows_affected();
        assert!(held > 0, "there is a row to hold");
        Self(connection)
    }

    /// Ends the transaction without a change.
    ///
    /// # Panics
    /// When the connection is gone.
    pub async fn release(mut self) {
        self.0.execute("rollback").await.expect("the transaction ends");
    }
}

/// What is left of a database when its connections are closed.
enum Remains {
    Directory(PathBuf),
    Database(String),
}

impl TestDatabase {
    /// A file in a directory of its own: a copy of a database that is migrated once for each process.
    pub async fn sqlite() -> Self {
        static TEMPLATE: OnceCell<Vec<u8>> = OnceCell::const_new();
        let template = TEMPLATE.get_or_init(|| async {
            let made = Self::sqlite_of(&[]).await;
            made.store.migrate().await.expect("the migrations run on SQLite");
            // Closing writes the log back into the file.
            made.store.close().await;
            std::fs::read(made.url.trim_start_matches("sqlite://")).expect("the database can be read")
        });
        Self::sqlite_of(template.await).await
    }

    async fn sqlite_of(content: &[u8]) -> Self {
        let directory = std::env::temp_dir().join(unique_name());
        std::fs::create_dir(&directory).expect("the temporary directory can be written to");
        let file = directory.join("portico.db");
        std::fs::write(&file, content).expect("the database can be written");
        let url = format!("sqlite://{}", file.display());
        let remains = Remains::Directory(directory);
        Self { store: connect(&url).await, url, _remains: remains }
    }

    /// A copy of a database that is migrated once for each process.
    ///
    /// # Panics
    /// When no Postgres server is there.
    pub async fn postgres() -> Self {
        static TEMPLATE: OnceCell<String> = OnceCell::const_new();
        let template = TEMPLATE.get_or_init(|| migrated_template("template", async |_| ())).await;
        Self::copy_of(template).await
    }

    /// A copy of a database that is migrated, and given to `fill`, once for each process. There is one such for all who ask.
    ///
    /// # Panics
    /// When no Postgres server is there.
    pub async fn postgres_filled(fill: impl AsyncFnOnce(&SqlStore)) -> Self {
        static TEMPLATE: OnceCell<String> = OnceCell::const_new();
        let template = TEMPLATE.get_or_init(|| migrated_template("filled_template", fill)).await;
        Self::copy_of(template).await
    }

    async fn copy_of(template: &str) -> Self {
        let name = unique_name();
        // Copying files takes 15 ms where copying through the write-ahead log, the default, takes ten times as long.
        administer(&[format!(r#"create database "{name}" template "{template}" strategy file_copy"#)]).await;
        let url = database_url(&name);
        let remains = Remains::Database(name);
        Self { store: connect(&url).await, url, _remains: remains }
    }

    /// The store over it.
    pub fn store(&self) -> &SqlStore {
        &self.store
    }

    /// Its address, for a second store or a server.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Runs a statement past the program, as a client with its own connection can. See [`tamper`].
    pub async fn tamper(&self, statement: &str, ids: &[Uuid]) -> u64 {
        tamper(&self.url, statement, ids).await
    }

    /// How often the statement that is like `pattern` was run on this Postgres database, and how many pages it read, in memory or not.
    ///
    /// # Panics
    /// When none was, or no Postgres is there.
    pub async fn calls_and_pages(&self, pattern: &str) -> (i64, i64) {
        self.tamper("create extension if not exists pg_stat_statements", &[]).await;
        let mut connection = PgConnection::connect(&self.url).await.expect("the database is there");
        sqlx::query_as(
            "select calls, shared_blks_hit + shared_blks_read from pg_stat_statements where query like $1 \
             and dbid = (select oid from pg_database where datname = current_database()) /* by a test */",
        )
        .bind(pattern)
        .fetch_one(&mut connection)
        .await
        .expect("the statement was run")
    }

    /// Closes the connections and removes the database.
    async fn close(self) {
        self.store.close().await;
    }
}

impl Drop for Remains {
    fn drop(&mut self) {
        match self {
            Self::Directory(directory) => remove_directory(directory),
            Self::Database(name) => {
                let statement = format!(r#"drop database if exists "{name}" with (force)"#);
                let database = name.clone();
                // Dropping cannot wait for a future, and a runtime cannot be nested: hence a thread with its own. Without
                // success the database stays until scripts/with-postgres removes the server.
                let removal = thread::spawn(move || {
                    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                    runtime.map(|runtime| {
                        runtime.block_on(async {
                            let faults = faults(&database).await;
                            administer(&[statement]).await;
                            faults
                        })
                    })
                });
                let faults = match removal.join() {
                    Ok(Ok(faults)) => faults,
                    _ => return eprintln!("could not remove the database {name}"),
                };
                // A test that has failed already says more by its own failure.
                assert!(faults.is_empty() || thread::panicking(), "{}", faults.join("\n"));
            }
        }
    }
}

fn remove_directory(directory: &Path) {
    if let Err(error) = std::fs::remove_dir_all(directory) {
        eprintln!("could not remove {}: {error}", directory.display());
    }
}

/// A name that no other database of this process has, nor one of another process that runs.
fn unique_name() -> String {
    static COUNTER: AtomicU32 = AtomicU32::new(0);
    format!("portico_test_{}_{}", process::id(), COUNTER.fetch_add(1, Ordering::SeqCst))
}

async fn connect(url: &str) -> SqlStore {
    let options =
        StoreOptions { acquire_timeout: PATIENCE, statement_timeout: PATIENCE, ..StoreOptions::new(url) };
    SqlStore::connect(&options).await.expect("the database can be opened")
}

/// How many indexes each table of a Postgres database has.
pub async fn index_counts(url: &str) -> Vec<(String, i64)> {
    let mut connection = PgConnection::connect(url).await.expect("the Postgres server answers");
    sqlx::query_as(
        "select tablename::text, count(*) from pg_indexes where schemaname = 'public' group by 1 order by 2 desc, 1",
    )
    .fetch_all(&mut connection)
    .await
    .expect("the indexes are listed")
}

/// Tables whose rows belong to tenants: those with a tenant in their key.
static OWNED_TABLES: OnceLock<BTreeSet<String>> = OnceLock::new();

/// What is wrong with the statements that were run on a database, see [`tables_without_tenant`].
async fn faults(name: &str) -> Vec<String> {
    let Some(owned) = OWNED_TABLES.get() else { return Vec::new() };
    let mut connection = PgConnection::connect(server().as_str()).await.expect("the Postgres server answers");
    let run: Vec<String> = sqlx::query_scalar(
        "select query from pg_stat_statements where dbid = (select oid from pg_database where datname = $1) \
         and position($2 in query) = 0",
    )
    .bind(name)
    .bind(BY_A_TEST)
    .fetch_all(&mut connection)
    .await
    .expect(
        "Postgres runs with shared_preload_libraries=pg_stat_statements, as scripts/with-postgres starts it",
    );
    // Keeps the list of statements short.
    sqlx::query("select pg_stat_statements_reset(0, (select oid from pg_database where datname = $1), 0)")
        .bind(name)
        .execute(&mut connection)
        .await
        .expect("what was remembered is forgotten");
    let faults = run.iter().filter_map(|sql| match tables_without_tenant(sql, owned) {
        Ok(tables) if tables.is_empty() => None,
        Ok(tables) => Some(format!("does not say whose rows of {}: {sql}", tables.join(", "))),
        Err(error) => Some(format!("cannot be read: {error}")),
    });
    faults.collect()
}

/// Makes the database that tests get copies of, and returns its name.
async fn migrated_template(suffix: &str, fill: impl AsyncFnOnce(&SqlStore)) -> String {
    let name = format!("portico_test_{}_{suffix}", process::id());
    administer(&[
        // Of an earlier process with the same number, on a server that outlives them.
        format!(r#"drop database if exists "{name}" with (force)"#),
        format!(r#"create database "{name}""#),
        "create extension if not exists pg_stat_statements".to_owned(),
    ])
    .await;
    let store = connect(&database_url(&name)).await;
    store.migrate().await.expect("the migrations run on Postgres");
    fill(&store).await;
    // A database can be copied only while it has no connections.
    store.close().await;
    let mut connection = PgConnection::connect(&database_url(&name)).await.expect("the template answers");
    let owned: Vec<String> = sqlx::query_scalar(
        "select c.relname::text from pg_index i join pg_class c on c.oid = i.indrelid \
         join pg_attribute a on a.attrelid = c.oid and a.attnum = any(i.indkey) \
         where i.indisprimary and a.attname = 'tenant_id'",
    )
    .fetch_all(&mut connection)
    .await
    .expect("the tables are listed");
    assert!(owned.len() > 20, "tables that belong to tenants: {owned:?}");
    let _ = OWNED_TABLES.set(owned.into_iter().collect());
    connection.close().await.expect("the connection closes");
    name
}

/// Runs statements on the server, outside of any test's database.
async fn administer(statements: &[String]) {
    let mut connection = PgConnection::connect(server().as_str()).await.expect("the Postgres server answers");
    for statement in statements {
        // Made here of numbers and fixed words.
        connection.execute(AssertSqlSafe(statement.as_str())).await.expect("the Postgres server obeys");
    }
    connection.close().await.expect("the connection closes");
}

fn database_url(name: &str) -> String {
    let mut url = server();
    url.set_path(name);
    url.into()
}

fn server() -> Url {
    server_of(std::env::var(SERVER).ok())
}

fn server_of(setting: Option<String>) -> Url {
    let Some(url) = setting else {
        panic!(
            "{SERVER} is not set, so there is no Postgres to test on. \
             Run scripts/test, or: scripts/with-postgres cargo test …"
        );
    };
    Url::parse(&url).expect("PORTICO_TEST_POSTGRES_URL is an address")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_database_is_migrated() {
        on_each_database(async |database| {
            let migrations = database.store().migration_status().await.unwrap();
            assert!(!migrations.is_empty() && migrations.iter().all(|migration| migration.applied));
        })
        .await;
    }

    #[tokio::test]
    async fn databases_are_apart_and_go_when_dropped() {
        let (one, other) = (TestDatabase::sqlite().await, TestDatabase::sqlite().await);
        assert_ne!(one.url(), other.url());
        let file = PathBuf::from(one.url().trim_start_matches("sqlite://"));
        assert!(file.exists());
        drop(one);
        assert!(!file.exists());

        let (one, other) = (TestDatabase::postgres().await, TestDatabase::postgres().await);
        let url = one.url().to_owned();
        assert_ne!(url, other.url());
        // Also while its connections are open.
        drop(one);
        assert!(PgConnection::connect(&url).await.is_err());
        assert!(PgConnection::connect(other.url()).await.is_ok());
    }

    #[test]
    #[should_panic(expected = "Run scripts/test")]
    fn without_a_server_the_test_fails_and_says_what_to_do() {
        server_of(None);
    }

    #[tokio::test]
    async fn a_statement_that_does_not_say_whose_rows_fails_its_test() {
        let database = TestDatabase::postgres().await;
        let mut connection = PgConnection::connect(database.url()).await.unwrap();
        connection
            .execute("select title from pages where id = '01900000-0000-7000-8000-000000000000'")
            .await
            .unwrap();
        tamper(database.url(), "delete from pages", &[]).await;
        connection.close().await.unwrap();
        let dropped = thread::spawn(move || drop(database)).join();
        let text = dropped.unwrap_err().downcast::<String>().unwrap();
        assert!(text.contains("whose rows of pages: select title") && !text.contains("delete"), "{text}");
    }
}
