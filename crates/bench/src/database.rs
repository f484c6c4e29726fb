//! A database of its own for a run.

use anyhow::Context;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection, Row, sqlite::SqliteConnectOptions};
use url::Url;

use crate::process::StatFields;

/// Variable that names the Postgres server, as `scripts/with-postgres` sets it.
const SERVER: &str = "PORTICO_TEST_POSTGRES_URL";

/// The ids of pages that were added in bulk, as a template of [`crate::load::LoadTarget`].
pub const PAGE_ID: &str = "abcdefab-cdef-7abc-8def-{hex:10000}";

/// A new database, until [`Temporary::drop`].
pub struct Temporary {
    server: Url,
    name: String,
}

impl Temporary {
    /// Makes it on the server of `PORTICO_TEST_POSTGRES_URL`.
    pub async fn create() -> anyhow::Result<Self> {
        Self::named("bench").await
    }

    /// Another one, for another build.
    pub async fn another() -> anyhow::Result<Self> {
        Self::named("other").await
    }

    /// One for the parts about money and downloads, whose rows are not to be among those of the others.
    pub async fn of_money() -> anyhow::Result<Self> {
        Self::named("money").await
    }

    async fn named(name: &str) -> anyhow::Result<Self> {
        let server = std::env::var(SERVER).ok().filter(|url| !url.is_empty());
        let server = server.with_context(|| format!("{SERVER} is not set; scripts/bench sets it"))?;
        let server: Url = server.parse().with_context(|| format!("{SERVER} is no URL"))?;
        let temporary = Self { server, name: format!("portico_{name}_{}", std::process::id()) };
        temporary.on_server(&format!("create database {}", temporary.name)).await?;
        Ok(temporary)
    }

    /// Its address.
    pub fn url(&self) -> String {
        let mut url = self.server.clone();
        url.set_path(&self.name);
        url.into()
    }

    /// Removes it, also while connections are open.
    pub async fn drop(&self) -> anyhow::Result<()> {
        self.on_server(&format!("drop database {} with (force)", self.name)).await
    }

    /// Version and settings of the server that decide what a commit costs.
    pub async fn description(&self) -> anyhow::Result<String> {
        let mut connection = PgConnection::connect(&self.url()).await?;
        let query = "select current_setting('server_version') as version, current_setting('fsync') as fsync,
            current_setting('synchronous_commit') as synchronous_commit";
        let row = sqlx::query(query).fetch_one(&mut connection).await?;
        Ok(format!(
            "Postgres {}, fsync {}, synchronous_commit {}",
            row.try_get::<String, _>("version")?,
            row.try_get::<String, _>("fsync")?,
            row.try_get::<String, _>("synchronous_commit")?
        ))
    }

    /// Whether a commit waits until it is on the disk.
    pub async fn is_durable(&self) -> anyhow::Result<bool> {
        let mut connection = PgConnection::connect(&self.url()).await?;
        let query =
            "select current_setting('fsync') = 'on' and current_setting('synchronous_commit') <> 'off'";
        Ok(sqlx::query_scalar(query).fetch_one(&mut connection).await?)
    }

    /// Adds so many sites of a tenant. Their subdomains begin with `name`.
    pub async fn add_sites(&self, tenant: &str, number: i32, name: &str) -> anyhow::Result<()> {
        let mut connection = PgConnection::connect(&self.url()).await?;
        for statement in [
            "insert into subdomains (name, tenant_id, created_at)
             select $3 || '-' || n, $1::uuid, now() from generate_series(1, $2) n",
            "insert into sites (tenant_id, id, name, subdomain, status, live_deployment_id, created_at, updated_at, version)
             select $1::uuid, gen_random_uuid(), 'Other', $3 || '-' || n, 'published', gen_random_uuid(),
                now(), now(), 1 from generate_series(1, $2) n",
        ] {
            sqlx::query(statement).bind(tenant).bind(number).bind(name).execute(&mut connection).await?;
        }
        Ok(())
    }

    /// Adds so many drafts to a site, with the ids of [`PAGE_ID`].
    pub async fn add_pages(&self, tenant: &str, site: &str, number: i32) -> anyhow::Result<()> {
        let mut connection = PgConnection::connect(&self.url()).await?;
        let statement = "insert into pages (tenant_id, id, site_id, title, slug, status, is_home, created_at, updated_at, version)
            select $1::uuid, ($4 || lpad(to_hex(n), 12, '0'))::uuid, $2::uuid, 'Page ' || n || ' of many', 'page-' || n,
                'draft', false, at, at, 1
            from generate_series(1, $3) n, lateral (select now() at time zone 'utc' - n * interval '1 minute') as times (at)";
        let beginning = PAGE_ID.split('{').next().unwrap_or_default();
        let insert = sqlx::query(statement).bind(tenant).bind(site).bind(number).bind(beginning);
        insert.execute(&mut connection).await?;
        Ok(())
    }

    /// Has the planner look at what was added.
    pub async fn analyze(&self) -> anyhow::Result<()> {
        let mut connection = PgConnection::connect(&self.url()).await?;
        sqlx::query("vacuum analyze").execute(&mut connection).await?;
        Ok(())
    }

    /// The process of the Postgres server, if it runs on this machine: the parent of those that answer connections.
    pub async fn process(&self) -> anyhow::Result<Option<u32>> {
        let mut connection = PgConnection::connect(&self.url()).await?;
        let backend: i32 = sqlx::query_scalar("select pg_backend_pid()").fetch_one(&mut connection).await?;
        let Ok(text) = std::fs::read_to_string(format!("/proc/{backend}/stat")) else { return Ok(None) };
        if !text.contains("(postgres)") {
            return Ok(None);
        }
        Ok(Some(StatFields::parse(&text)?.number(4)?.try_into()?))
    }

    async fn on_server(&self, statement: &str) -> anyhow::Result<()> {
        let mut connection =
            PgConnection::connect(self.server.as_str()).await.with_context(|| SERVER.to_owned())?;
        sqlx::query(AssertSqlSafe(statement.to_owned())).execute(&mut connection).await?;
        connection.close().await?;
        Ok(())
    }
}

/// Makes tables for bare transactions to write: like these of the server, with the same indexes.
pub async fn make_bare_tables(database: &str, tables: &[&str]) -> anyhow::Result<()> {
    let mut connection = PgConnection::connect(database).await?;
    for table in tables {
        let statement = format!("create table bare_{table} (like {table} including all)");
        sqlx::query(AssertSqlSafe(statement)).execute(&mut connection).await?;
    }
    Ok(())
}

/// How many rows a table has, in a database as [`crate::stage::Subject`] names it.
pub async fn count(database: &str, table: &str) -> anyhow::Result<i64> {
    let query = AssertSqlSafe(format!("select count(*) from {table}"));
    if database.starts_with("postgres") {
        let mut connection = PgConnection::connect(database).await?;
        return Ok(sqlx::query_scalar(query).fetch_one(&mut connection).await?);
    }
    let mut connection = SqliteConnectOptions::new().filename(database).connect().await?;
    Ok(sqlx::query_scalar(query).fetch_one(&mut connection).await?)
}

/// The audit trail of a tenant.
pub struct Chain<'a> {
    connection: PgConnection,
    tenant: &'a str,
}

impl<'a> Chain<'a> {
    /// In a Postgres database.
    pub async fn of(database: &str, tenant: &'a str) -> anyhow::Result<Self> {
        Ok(Self { connection: PgConnection::connect(database).await?, tenant })
    }

    /// How many of its entries are sealed.
    pub async fn length(&mut self) -> anyhow::Result<i64> {
        let query = sqlx::query_scalar("select length from audit_chains where tenant_id = $1::uuid");
        Ok(query.bind(self.tenant).fetch_optional(&mut self.connection).await?.unwrap_or_default())
    }
}

/// Copies a SQLite file that is in use, and leaves out the triggers.
pub async fn copy_sqlite(from: &str, to: &str) -> anyhow::Result<()> {
    let mut connection = SqliteConnectOptions::new().filename(from).connect().await?;
    sqlx::query("vacuum into $1").bind(to).execute(&mut connection).await?;
    connection.close().await?;
    let mut copy = SqliteConnectOptions::new().filename(to).connect().await?;
    let triggers: Vec<String> = sqlx::query_scalar("select name from sqlite_master where type = 'trigger'")
        .fetch_all(&mut copy)
        .await?;
    for trigger in triggers {
        sqlx::query(AssertSqlSafe(format!("drop trigger \"{trigger}\""))).execute(&mut copy).await?;
    }
    Ok(copy.close().await?)
}
