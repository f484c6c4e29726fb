//! What Portico is compared with: actix-web, sqlx and argon2, and nothing between them.

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use actix_web::{
    App, HttpRequest, HttpResponse, HttpServer,
    error::{ErrorInternalServerError, ErrorNotFound, ErrorServiceUnavailable, ErrorUnauthorized},
    http::header,
    web::{self, Bytes, Data, Json},
};
use anyhow::Context;
use argon2::{Algorithm, Argon2, Block, Params, Version};
use portico_identity::ports::TokenIssuer;
use portico_security::{Argon2Cost, JwtIssuer, system_env};
use serde::{Deserialize, Serialize};
use sqlx::{
    PgPool, Row, SqlitePool,
    postgres::{PgConnectOptions, PgPoolOptions, PgRow},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use time::{OffsetDateTime, PrimitiveDateTime};
use tokio::sync::Semaphore;
use uuid::Uuid;

use crate::{inbound, rows};

/// Variable with the address of the database (`postgres://…`, or the path of a SQLite file); it may hold a password, so it is no
/// argument.
pub const DATABASE: &str = "PORTICO_BENCH_DATABASE_URL";

/// Variable with the secret that access tokens are signed with.
pub const JWT_SECRET: &str = "PORTICO_BENCH_JWT_SECRET";

/// What the server prints before its address when it is ready.
pub const READY: &str = "ready at ";

/// The same backlog as ours, for the many connections.
const BACKLOG: u32 = 4096;

/// As patient as ours.
const PATIENCE: Duration = Duration::from_secs(60);

/// Serves until it is killed. The pool is as large as ours, and does not test connections before use either. `page` and `answer`
/// are files whose bytes are answered.
pub async fn serve(page: &Path, answer: &Path, workers: usize, connections: u32) -> anyhow::Result<()> {
    let fixed = Fixed { page: std::fs::read(page)?.into(), answer: std::fs::read(answer)?.into() };
    let database = std::env::var(DATABASE).context(DATABASE)?;
    let (postgres, sqlite) = match database.starts_with("postgres") {
        true => (Some(open_postgres(&database, connections).await?), None),
        false => (None, Some(open_sqlite(&database).await?)),
    };
    let secret = std::env::var(JWT_SECRET).context(JWT_SECRET)?;
    let tokens = Data::new(JwtIssuer::new(&secret.into()));
    let hashing = Data::new(Hashing::new(workers)?);
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let server = HttpServer::new(move || {
        let app = App::new()
            .app_data(Data::new(fixed.clone()))
            .app_data(tokens.clone())
            .app_data(hashing.clone())
            .route("/fixed", web::get().to(fixed_page))
            .route("/kept", web::get().to(kept))
            .route("/hash", web::post().to(hash));
        match (&postgres, &sqlite) {
            (Some(pool), _) => app
                .app_data(Data::new(pool.clone()))
                .route("/tenants/{tenant}/pages/{page}", web::get().to(select))
                .route("/tenants/{tenant}/sites/{site}/pages", web::post().to(insert))
                .route("/rows/{name}", web::get().to(rows::rows))
                .route(inbound::PATH, web::post().to(inbound::take)),
            (_, Some(pool)) => app
                .app_data(Data::new(pool.clone()))
                .route("/tenants/{tenant}/sites/{site}/pages", web::post().to(insert_sqlite)),
            _ => app,
        }
    })
    .workers(workers)
    .backlog(BACKLOG)
    .listen(listener)?
    .run();
    println!("{READY}http://{address}");
    Ok(server.await?)
}

async fn open_postgres(url: &str, connections: u32) -> anyhow::Result<PgPool> {
    let pool = PgPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(PATIENCE)
        .test_before_acquire(false)
        .connect_with(url.parse::<PgConnectOptions>()?)
        .await?;
    Ok(pool)
}

/// One connection that writes, with the settings of ours.
async fn open_sqlite(file: &str) -> anyhow::Result<SqlitePool> {
    let options = SqliteConnectOptions::new()
        .filename(file)
        .foreign_keys(false)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Normal)
        .pragma("temp_store", "memory")
        .pragma("cache_size", "-8192");
    let pool = SqlitePoolOptions::new()
        .max_connections(1)
        .acquire_timeout(PATIENCE)
        .test_before_acquire(false)
        .connect_with(options)
        .await?;
    Ok(pool)
}

/// Bytes that are answered as they are.
#[derive(Clone)]
struct Fixed {
    /// A published page.
    page: Bytes,
    /// An answer of the API.
    answer: Bytes,
}

async fn fixed_page(fixed: Data<Fixed>) -> HttpResponse {
    HttpResponse::Ok().content_type("text/html; charset=utf-8").body(fixed.page.clone())
}

/// The fixed answer, for whoever has a good access token. It is checked by the same code as ours: signature, issuer, kind, times.
async fn kept(
    request: HttpRequest,
    fixed: Data<Fixed>,
    tokens: Data<JwtIssuer>,
) -> actix_web::Result<HttpResponse> {
    let token = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    token
        .and_then(|token| tokens.read_access_token(token.strip_prefix("Bearer ")?, system_env().now()))
        .ok_or_else(|| ErrorUnauthorized("no good access token"))?;
    Ok(HttpResponse::Ok().content_type("application/json").body(fixed.answer.clone()))
}

/// Argon2id with the parameters of ours, on as many threads, in memory that is used again, too.
struct Hashing {
    params: Params,
    threads: Semaphore,
    memory: Mutex<Vec<Vec<Block>>>,
}

impl Hashing {
    fn new(threads: usize) -> anyhow::Result<Self> {
        let Argon2Cost { memory, passes, lanes } = Argon2Cost::default();
        let params = Params::new(memory, passes, lanes, None).map_err(anyhow::Error::msg)?;
        Ok(Self { params, threads: Semaphore::new(threads), memory: Mutex::default() })
    }

    fn hash(&self, password: &str) -> Result<[u8; 32], argon2::Error> {
        let free = || self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        let mut blocks = free().pop().unwrap_or_default();
        blocks.resize(self.params.block_count(), Block::new());
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, self.params.clone());
        let mut output = [0; 32];
        let hashed = argon2.hash_password_into_with_memory(
            password.as_bytes(),
            b"sixteen bytes of",
            &mut output,
            &mut blocks,
        );
        free().push(blocks);
        hashed.map(|()| output)
    }
}

#[derive(Deserialize)]
struct Credentials {
    password: String,
}

/// One hash, and nothing is compared with it.
#[expect(clippy::disallowed_methods, reason = "a bare route answers as actix does")]
async fn hash(hashing: Data<Hashing>, input: Json<Credentials>) -> actix_web::Result<HttpResponse> {
    let hashing: Arc<Hashing> = hashing.into_inner();
    let one = hashing.clone();
    let _permit = hashing.threads.acquire().await.map_err(ErrorServiceUnavailable)?;
    let hash = web::block(move || one.hash(&input.password)).await?;
    let hash = hash.map_err(|error| ErrorInternalServerError(error.to_string()))?;
    Ok(HttpResponse::Ok().json(hash))
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    id: Uuid,
    site_id: Uuid,
    title: String,
    slug: String,
    status: String,
    is_home: bool,
    template_id: Option<Uuid>,
    #[serde(with = "time::serde::rfc3339::option")]
    published_at: Option<OffsetDateTime>,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    updated_at: OffsetDateTime,
}

async fn select(pool: Data<PgPool>, path: web::Path<(Uuid, Uuid)>) -> actix_web::Result<Json<Page>> {
    let (tenant, id) = path.into_inner();
    let query =
        "select id, site_id, title, slug, status, is_home, template_id, published_at, created_at, updated_at,
        tenant_id, version from pages where tenant_id = $1 and id = $2";
    let page = sqlx::query(query)
        .bind(tenant)
        .bind(id)
        .try_map(page)
        .fetch_optional(pool.get_ref())
        .await
        .map_err(ErrorInternalServerError)?;
    page.map(Json).ok_or_else(|| ErrorNotFound("no page"))
}

fn page(row: PgRow) -> sqlx::Result<Page> {
    let time = PrimitiveDateTime::assume_utc;
    Ok(Page {
        id: row.try_get(0)?,
        site_id: row.try_get(1)?,
        title: row.try_get(2)?,
        slug: row.try_get(3)?,
        status: row.try_get(4)?,
        is_home: row.try_get(5)?,
        template_id: row.try_get(6)?,
        published_at: row.try_get::<Option<_>, _>(7)?.map(time),
        created_at: time(row.try_get(8)?),
        updated_at: time(row.try_get(9)?),
    })
}

#[derive(Deserialize)]
struct NewPage {
    title: String,
    slug: String,
}

#[expect(clippy::disallowed_methods, reason = "a bare route answers as actix does")]
async fn insert(
    pool: Data<PgPool>,
    path: web::Path<(Uuid, Uuid)>,
    input: Json<NewPage>,
) -> actix_web::Result<HttpResponse> {
    let (tenant, site) = path.into_inner();
    let (event, page) = new_page(site, input.into_inner());
    write(&pool, tenant, event, &page).await.map_err(ErrorInternalServerError)?;
    Ok(HttpResponse::Created().json(page))
}

#[expect(clippy::disallowed_methods, reason = "a bare route answers as actix does")]
async fn insert_sqlite(
    pool: Data<SqlitePool>,
    path: web::Path<(Uuid, Uuid)>,
    input: Json<NewPage>,
) -> actix_web::Result<HttpResponse> {
    let (tenant, site) = path.into_inner();
    let (event, page) = new_page(site, input.into_inner());
    write_sqlite(&pool, tenant, event, &page).await.map_err(ErrorInternalServerError)?;
    Ok(HttpResponse::Created().json(page))
}

/// The id of the event, and the page.
fn new_page(site_id: Uuid, NewPage { title, slug }: NewPage) -> (Uuid, Page) {
    let (id, event, now) = fresh();
    let page = Page {
        id,
        site_id,
        title,
        slug,
        status: "draft".to_owned(),
        is_home: false,
        template_id: None,
        published_at: None,
        created_at: now,
        updated_at: now,
    };
    (event, page)
}

async fn write(pool: &PgPool, tenant: Uuid, event: Uuid, page: &Page) -> anyhow::Result<()> {
    let at = PrimitiveDateTime::new(page.created_at.date(), page.created_at.time());
    let mut transaction = pool.begin().await?;
    sqlx::query("insert into bare_pages (tenant_id, id, site_id, title, slug, status, is_home, created_at, updated_at, version)
            values ($1, $2, $3, $4, $5, $6, $7, $8, $9, 1)")
        .bind(tenant)
        .bind(page.id)
        .bind(page.site_id)
        .bind(&page.title)
        .bind(&page.slug)
        .bind(&page.status)
        .bind(page.is_home)
        .bind(at)
        .bind(at)
        .execute(&mut *transaction)
        .await?;
    sqlx::query("insert into bare_events (tenant_id, id, kind, resource_type, resource_id, actor_kind, after, request_id, created_at)
            values ($1, $2, 'page.created', 'page', $3, 'user', $4, $5, $6)")
        .bind(tenant)
        .bind(event)
        .bind(page.id)
        .bind(sqlx::types::Json(page))
        .bind(event.to_string())
        .bind(at)
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;
    Ok(())
}

/// The same in the tables of ours, in a copy of its file without triggers.
async fn write_sqlite(pool: &SqlitePool, tenant: Uuid, event: Uuid, page: &Page) -> anyhow::Result<()> {
    let at = PrimitiveDateTime::new(page.created_at.date(), page.created_at.time());
    let mut transaction = pool.begin_with("begin immediate").await?;
    sqlx::query("insert into pages (tenant_id, id, site_id, title, slug, status, is_home, created_at, updated_at, version)
            values ($1, $2, $3, $4, $5, $6, $7, $8, $9, 1)")
        .bind(tenant)
        .bind(page.id)
        .bind(page.site_id)
        .bind(&page.title)
        .bind(&page.slug)
        .bind(&page.status)
        .bind(page.is_home)
        .bind(at)
        .bind(at)
        .execute(&mut *transaction)
        .await?;
    sqlx::query("insert into events (tenant_id, id, kind, resource_type, resource_id, actor_kind, after, request_id, created_at)
            values ($1, $2, 'page.created', 'page', $3, 'user', $4, $5, $6)")
        .bind(tenant)
        .bind(event)
        .bind(page.id)
        .bind(sqlx::types::Json(page))
        .bind(event.to_string())
        .bind(at)
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;
    Ok(())
}

/// Two ids that sort by time, as ours do, and the time.
#[expect(clippy::disallowed_methods, reason = "nobody tests this server with another clock")]
fn fresh() -> (Uuid, Uuid, OffsetDateTime) {
    (Uuid::now_v7(), Uuid::now_v7(), OffsetDateTime::now_utc())
}
