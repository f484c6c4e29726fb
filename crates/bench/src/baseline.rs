//! What Portico is compared with: actix-web and sqlx, and nothing between them.

use std::{path::Path, time::Duration};

use actix_web::{
    App, HttpResponse, HttpServer,
    error::{ErrorInternalServerError, ErrorNotFound},
    web::{self, Bytes, Data, Json},
};
use anyhow::Context;
use serde::{Deserialize, Serialize};
use sqlx::{
    PgPool, Row,
    postgres::{PgConnectOptions, PgPoolOptions, PgRow},
};
use time::{OffsetDateTime, PrimitiveDateTime};
use uuid::Uuid;

/// Variable with the address of the database; it holds a password, so it is no argument.
pub const DATABASE: &str = "PORTICO_BENCH_DATABASE_URL";

/// What the server prints before its address when it is ready.
pub const READY: &str = "ready at ";

/// The same backlog as ours, for the many connections.
const BACKLOG: u32 = 4096;

/// Serves until it is killed. The pool is as large and as patient as ours, and does not test connections before use
/// either.
pub async fn serve(body: &Path, workers: usize, connections: u32) -> anyhow::Result<()> {
    let body = Bytes::from(std::fs::read(body)?);
    let url = std::env::var(DATABASE).context(DATABASE)?;
    let pool = PgPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(Duration::from_secs(2))
        .test_before_acquire(false)
        .connect_with(url.parse::<PgConnectOptions>()?)
        .await?;
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let server = HttpServer::new(move || {
        App::new()
            .app_data(Data::new(pool.clone()))
            .app_data(Data::new(body.clone()))
            .route("/fixed", web::get().to(fixed))
            .route("/tenants/{tenant}/pages/{page}", web::get().to(select))
            .route("/tenants/{tenant}/sites/{site}/pages", web::post().to(insert))
    })
    .workers(workers)
    .backlog(BACKLOG)
    .listen(listener)?
    .run();
    println!("{READY}http://{address}");
    Ok(server.await?)
}

async fn fixed(body: Data<Bytes>) -> HttpResponse {
    HttpResponse::Ok().content_type("text/html; charset=utf-8").body(body.get_ref().clone())
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

async fn insert(
    pool: Data<PgPool>,
    path: web::Path<(Uuid, Uuid)>,
    input: Json<NewPage>,
) -> actix_web::Result<HttpResponse> {
    let (tenant, site_id) = path.into_inner();
    let (id, event, now) = fresh();
    let NewPage { title, slug } = input.into_inner();
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
    write(&pool, tenant, event, &page).await.map_err(ErrorInternalServerError)?;
    Ok(HttpResponse::Created().json(page))
}

async fn write(pool: &PgPool, tenant: Uuid, event: Uuid, page: &Page) -> anyhow::Result<()> {
    let at = PrimitiveDateTime::new(page.created_at.date(), page.created_at.time());
    let mut transaction = pool.begin().await?;
    let query = "insert into bare_pages (tenant_id, id, site_id, title, slug, status, is_home, created_at, updated_at,
        version) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, 1)";
    sqlx::query(query)
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
    let query = "insert into bare_events (tenant_id, id, kind, resource_type, resource_id, actor_kind, after,
        request_id, created_at) values ($1, $2, 'page.created', 'page', $3, 'user', $4, $5, $6)";
    sqlx::query(query)
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
