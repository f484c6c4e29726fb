//! A database of its own for a run.

use anyhow::Context;
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row};
use url::Url;

/// Variable that names the Postgres server, as `scripts/with-postgres` sets it.
const SERVER: &str = "PORTICO_TEST_POSTGRES_URL";

/// A new database, until [`Temporary::drop`].
pub struct Temporary {
    server: Url,
    name: String,
}

impl Temporary {
    /// Makes it on the server of `PORTICO_TEST_POSTGRES_URL`.
    pub async fn create() -> anyhow::Result<Self> {
        let server = std::env::var(SERVER).ok().filter(|url| !url.is_empty()).with_context(|| {
            format!("{SERVER} is not set; run 'scripts/with-postgres cargo run --release -p portico-bench'")
        })?;
        let server: Url = server.parse().with_context(|| format!("{SERVER} is no URL"))?;
        let temporary = Self { server, name: format!("portico_bench_{}", std::process::id()) };
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

    /// Makes the tables that the bare transaction writes: like those of the server, with the same indexes.
    pub async fn make_bare_tables(&self) -> anyhow::Result<()> {
        let mut connection = PgConnection::connect(&self.url()).await?;
        for table in ["pages", "events"] {
            let statement = format!("create table bare_{table} (like {table} including all)");
            sqlx::query(AssertSqlSafe(statement)).execute(&mut connection).await?;
        }
        Ok(())
    }

    /// Adds so many sites of a tenant, so that the one that is asked for has to be found among them.
    pub async fn add_sites(&self, tenant: &str, number: i32) -> anyhow::Result<()> {
        let mut connection = PgConnection::connect(&self.url()).await?;
        for statement in [
            "insert into subdomains (name, tenant_id, created_at)
             select 'other-site-' || n, $1::uuid, now() from generate_series(1, $2) n",
            "insert into sites (tenant_id, id, name, subdomain, status, live_deployment_id, created_at, updated_at, version)
             select $1::uuid, gen_random_uuid(), 'Other', 'other-site-' || n, 'published', gen_random_uuid(),
                now(), now(), 1 from generate_series(1, $2) n",
        ] {
            sqlx::query(statement).bind(tenant).bind(number).execute(&mut connection).await?;
        }
        sqlx::query("analyze").execute(&mut connection).await?;
        Ok(())
    }

    /// How many rows a table has.
    pub async fn count(&self, table: &str) -> anyhow::Result<i64> {
        let mut connection = PgConnection::connect(&self.url()).await?;
        Ok(sqlx::query_scalar(AssertSqlSafe(format!("select count(*) from {table}")))
            .fetch_one(&mut connection)
            .await?)
    }

    async fn on_server(&self, statement: &str) -> anyhow::Result<()> {
        let mut connection =
            PgConnection::connect(self.server.as_str()).await.with_context(|| SERVER.to_owned())?;
        sqlx::query(AssertSqlSafe(statement.to_owned())).execute(&mut connection).await?;
        connection.close().await?;
        Ok(())
    }
}
