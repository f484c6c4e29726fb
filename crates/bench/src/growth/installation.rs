//! An installation of a size: a database, filled as often as the size says, and the servers on it.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use reqwest::{Client, Method};
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row};
use tokio::process::Command;
use url::Url;

use super::operations::{Operation, Who};
use crate::{
    customer::{Api, Customer, text},
    servers::{self, Running},
};

/// The statements that fill it, see there.
const FILL: &str = include_str!("fill.sql");

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// What requests are about: names of [`Operation`]s, and a query for the values of each. `$1` is the tenant, `$2` the site.
const SAMPLES: &[(&str, &str)] = &[
    ("page", "select id::text from pages where tenant_id = $1 and site_id = $2 and slug like 'page-%' order by md5(id::text) limit 40"),
    ("slug", "select slug from pages where tenant_id = $1 and site_id = $2 and slug like 'page-%' order by md5(id::text) limit 40"),
    ("last", "select (count(*) / 10)::text from pages where tenant_id = $1 and site_id = $2"),
    ("owner", "select user_id::text from memberships where tenant_id = $1 and role = 'owner' and $2::uuid is not null"),
    ("member", "select user_id::text from memberships where tenant_id = $1 and role = 'editor' and $2::uuid is not null order by user_id limit 1"),
    ("user", "select id::text from users where email like 'owner-%' and $1::uuid <> $2 order by md5(id::text) limit 40"),
    ("customer", "select id::text from tenants where subdomain like 'fill-%' and $1::uuid <> $2 order by md5(id::text) limit 40"),
    ("other", "select substr(subdomain, 13) from tenants where subdomain like 'fill-%' and status = 'active' and $1::uuid <> $2 order by md5(id::text) limit 40"),
    ("delivery", "select id::text from webhook_deliveries where tenant_id = $1 and $2::uuid is not null order by md5(id::text) limit 40"),
    ("delivered", "select event_id::text from webhook_deliveries where tenant_id = $1 and $2::uuid is not null order by md5(id::text) limit 40"),
    ("deep_delivery", "select id::text from webhook_deliveries where tenant_id = $1 and $2::uuid is not null order by id offset
        (select count(*) / 2 from webhook_deliveries where tenant_id = $1) limit 1"),
    ("deep_event", "select id::text from events where tenant_id = $1 and $2::uuid is not null order by id offset
        (select count(*) / 2 from events where tenant_id = $1) limit 1"),
    ("near", "select id::text from events where tenant_id = $1 and $2::uuid is not null order by transaction_id desc, sequence desc offset 5 limit 1"),
    ("request", "select request_id from events where tenant_id = $1 and request_id = id::text and $2::uuid is not null order by md5(id::text) limit 40"),
    ("from", "select to_char(min(created_at) + interval '14 days', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') from events where tenant_id = $1 and $2::uuid is not null"),
    ("to", "select to_char(min(created_at) + interval '18 days', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') from events where tenant_id = $1 and $2::uuid is not null"),
];

/// A database of a size, and whom the requests come from.
pub struct Installation {
    /// How often the amounts of `fill.sql` are there.
    pub size: u32,
    /// Address of the database.
    pub database: String,
    directory: PathBuf,
    program: Option<PathBuf>,
    tokens: [(Who, String); 3],
    values: HashMap<&'static str, Vec<String>>,
    client: Client,
}

impl Installation {
    /// Makes the database `name` on a server, and everything in it.
    pub async fn new(
        server: &Url,
        name: &str,
        size: u32,
        program: Option<PathBuf>,
        directory: &Path,
    ) -> anyhow::Result<Self> {
        on_server(server, &format!("create database {name}")).await?;
        let mut database = server.clone();
        database.set_path(name);
        let directory = directory.join(name);
        std::fs::create_dir(&directory)?;
        let mut made = Self {
            size,
            database: database.into(),
            directory,
            program,
            tokens: [Who::Owner, Who::Staff, Who::Key].map(|who| (who, String::new())),
            values: HashMap::new(),
            client: Client::builder().no_proxy().timeout(PATIENCE).build()?,
        };
        let mut connection = made.connect().await?;
        // In the database that is asked, so that it can be asked there.
        sqlx::query("create extension if not exists pg_stat_statements").execute(&mut connection).await?;
        made.settle(&mut connection).await?;
        made.fill(&mut connection).await?;
        made.take_samples(&mut connection).await?;
        connection.close().await?;
        Ok(made)
    }

    /// A connection to its database.
    pub async fn connect(&self) -> anyhow::Result<PgConnection> {
        PgConnection::connect(&self.database).await.context("the database")
    }

    /// Starts a server on it; with its background work, or without.
    pub async fn serve(&self, worker: bool) -> anyhow::Result<Running> {
        let model = servers::portico_command(Some(&self.database), &self.directory)?;
        let model = model.as_std();
        let mut command = Command::new(self.program.as_deref().unwrap_or(Path::new(model.get_program())));
        command.current_dir(&self.directory);
        for (name, value) in model.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command
            .env("PORTICO__SECURITY__ARGON2_MEMORY_KIB", "64")
            .env("PORTICO__SECURITY__ARGON2_PASSES", "1")
            .args(if worker { &["serve"][..] } else { &["serve", "--no-worker"] });
        servers::serving(&mut command, &self.directory.join("portico.log")).await
    }

    /// Whoever is there from the beginning: a customer with a site, and staff.
    async fn settle(&mut self, connection: &mut PgConnection) -> anyhow::Result<()> {
        let running = self.serve(true).await?;
        let customer = Customer::come_to(&running.url).await?;
        let mut api = Api::new(&running.url)?;
        api.token = Some(customer.token.clone());
        let page = format!("/tenants/{}/pages/{}", customer.tenant, customer.page);
        api.call(Method::PATCH, &page, Some(json!({"title": "Our bakery"}))).await?;
        // Nothing that it wants to be told of ever happens, so nothing is sent.
        let webhook = json!({"url": "https://receiver.example.com/hook", "events": ["domain.verified"]});
        let path = format!("/tenants/{}/webhooks", customer.tenant);
        let webhook = text(&api.call(Method::POST, &path, Some(webhook)).await?, "id")?;
        let key = json!({"name": "Import", "permissions": ["pages:read"]});
        let path = format!("/tenants/{}/api-keys", customer.tenant);
        let key = text(&api.call(Method::POST, &path, Some(key)).await?, "key")?;
        let (staff, _) = Api::new(&running.url)?.register("staff@example.com").await?;
        // What was to be done in the background is done.
        tokio::time::sleep(Duration::from_secs(2)).await;
        running.server.stop().await?;
        sqlx::query("update users set role = 'super_admin' where email = 'staff@example.com'")
            .execute(connection)
            .await?;
        self.tokens = [(Who::Owner, customer.token), (Who::Staff, staff), (Who::Key, key)];
        let ids = [
            ("tenant", customer.tenant),
            ("site", customer.site),
            ("hot", customer.page),
            ("webhook", webhook),
            ("host", customer.host.split(':').next().unwrap_or_default().to_owned()),
        ];
        self.values.extend(ids.map(|(name, id)| (name, vec![id])));
        Ok(())
    }

    async fn fill(&self, connection: &mut PgConnection) -> anyhow::Result<()> {
        let began = Instant::now();
        let sql = FILL
            .replace("{scale}", &self.size.to_string())
            .replace("{tenant}", self.value("tenant", 0)?)
            .replace("{site}", self.value("site", 0)?)
            .replace("{page}", self.value("hot", 0)?)
            .replace("{webhook}", self.value("webhook", 0)?);
        for statement in statements(&sql) {
            let done = sqlx::raw_sql(AssertSqlSafe(statement.clone())).execute(&mut *connection).await;
            done.with_context(|| statement.chars().take(200).collect::<String>())?;
        }
        sqlx::query("reset session_replication_role").execute(&mut *connection).await?;
        sqlx::query("vacuum (analyze)").execute(&mut *connection).await?;
        let events: i64 =
            sqlx::query_scalar("select count(*) from events").fetch_one(&mut *connection).await?;
        println!("size {}: {events} events, filled in {:.1} s", self.size, began.elapsed().as_secs_f64());
        Ok(())
    }

    async fn take_samples(&mut self, connection: &mut PgConnection) -> anyhow::Result<()> {
        for (name, query) in SAMPLES {
            let found = sqlx::query(*query)
                .bind(self.value("tenant", 0)?.parse::<uuid::Uuid>()?)
                .bind(self.value("site", 0)?.parse::<uuid::Uuid>()?)
                .fetch_all(&mut *connection)
                .await
                .context(*name)?;
            let values: Vec<String> = found.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?;
            ensure!(!values.is_empty(), "there is no {name}");
            self.values.insert(name, values);
        }
        Ok(())
    }

    /// How many rows the tables have that have more than `most`.
    pub async fn tables(&self, most: i64) -> anyhow::Result<HashMap<String, i64>> {
        let query = "select relname, reltuples::bigint from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace
            and reltuples > $1";
        let rows = sqlx::query(query).bind(most).fetch_all(&mut self.connect().await?).await?;
        rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
    }

    /// How often each top-level statement was sent so far, by its number in `pg_stat_statements`.
    pub async fn sent(&self, connection: &mut PgConnection) -> anyhow::Result<HashMap<i64, i64>> {
        let query = "select queryid, sum(calls)::bigint from pg_stat_statements(false)
            where dbid = (select oid from pg_database where datname = current_database()) and toplevel and queryid is not null
            group by queryid";
        let rows = sqlx::query(query).fetch_all(connection).await?;
        rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
    }

    fn value(&self, name: &str, n: usize) -> anyhow::Result<&str> {
        let values = self.values.get(name).with_context(|| format!("no {{{name}}}"))?;
        Ok(&values[n % values.len()])
    }

    fn spelled_out(&self, text: &str, n: usize) -> anyhow::Result<String> {
        let mut spelled = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            spelled += before;
            let Some((name, after)) = after.split_once('}') else { anyhow::bail!("{text}") };
            match name {
                "n" => spelled += &n.to_string(),
                "fresh" => spelled += &"&".repeat(1 + n),
                name => spelled += self.value(name, n)?,
            }
            rest = after;
        }
        Ok(spelled + rest)
    }

    /// Sends the `n`th request of a kind and waits for the whole answer. Returns how long it took, and how long the answer is.
    pub async fn ask(&self, url: &str, operation: &Operation, n: usize) -> anyhow::Result<(Duration, usize)> {
        let below = if operation.path.starts_with("//") { &operation.path[1..] } else { operation.path };
        let prefix = if operation.path.starts_with("//") { "" } else { "/api/v1" };
        let path = self.spelled_out(below, n)?;
        let mut request = self.client.request(operation.method.parse()?, format!("{url}{prefix}{path}"));
        // JSON has braces of its own.
        let body = match operation.body.strip_prefix('{').and_then(|body| body.strip_suffix('}')) {
            Some(inner) if operation.who != Who::Visitor => format!("{{{}}}", self.spelled_out(inner, n)?),
            _ => self.spelled_out(operation.body, n)?,
        };
        request = match operation.who {
            Who::Visitor => request.header("host", body),
            _ if !body.is_empty() => request.header("content-type", "application/json").body(body),
            _ => request,
        };
        if let Some((who, token)) = self.tokens.iter().find(|(who, _)| *who == operation.who) {
            request = if *who == Who::Key {
                request.header("x-api-key", token)
            } else {
                request.bearer_auth(token)
            };
        }
        let began = Instant::now();
        let mut answer = request.send().await?;
        let status = answer.status().as_u16();
        let (mut length, mut end) = (0, Vec::new());
        while let Some(piece) = answer.chunk().await? {
            length += piece.len();
            end.extend_from_slice(&piece);
            if operation.stream && end.windows(5).any(|bytes| bytes == b"data:") {
                break;
            }
        }
        let took = began.elapsed();
        ensure!(
            status == operation.status,
            "{} {path} answered {status}: {}",
            operation.method,
            String::from_utf8_lossy(&end)
        );
        Ok((took, length))
    }
}

/// Runs a statement outside of the databases that are made.
pub async fn on_server(server: &Url, statement: &str) -> anyhow::Result<()> {
    let mut connection = PgConnection::connect(server.as_str()).await.context("the Postgres server")?;
    sqlx::raw_sql(AssertSqlSafe(statement.to_owned())).execute(&mut connection).await?;
    Ok(connection.close().await?)
}

/// The statements of a script: each ends with a semicolon at the end of a line, outside of dollar quotes.
fn statements(script: &str) -> Vec<String> {
    let (mut found, mut statement, mut quoted) = (Vec::new(), String::new(), false);
    for line in script.lines() {
        statement += line;
        statement.push('\n');
        quoted ^= line.matches("$$").count() % 2 == 1;
        if line.ends_with(';') && !quoted {
            found.push(std::mem::take(&mut statement));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::statements;

    #[test]
    fn statements_end_outside_of_quotes() {
        let script = "select 1;\ncreate function f() language sql as $$\n  select 2;\n$$;\nselect\n 3;\n";
        assert_eq!(statements(script).len(), 3);
    }
}
