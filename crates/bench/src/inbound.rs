//! What the server is compared with where events of a provider are taken: a route that inserts a row.

use actix_web::{
    HttpResponse,
    error::ErrorInternalServerError,
    web::{Data, Json},
};
use portico_security::system_env;
use serde::Deserialize;
use serde_json::json;
use sqlx::PgPool;
use time::PrimitiveDateTime;

/// Path of the route.
pub const PATH: &str = "/inbound";

/// What is stored of an event.
#[derive(Deserialize)]
pub struct Event {
    id: String,
    r#type: String,
}

/// Stores an event once, and checks no signature.
#[expect(clippy::disallowed_methods, reason = "a bare route answers as actix does")]
pub async fn take(pool: Data<PgPool>, event: Json<Event>) -> actix_web::Result<HttpResponse> {
    let now = system_env().now().into_inner();
    sqlx::query(
        "insert into bare_inbound_events (provider, id, kind, status, received_at) values ('stripe', $1, $2, 'received', $3)
         on conflict (provider, id) do nothing",
    )
    .bind(&event.id)
    .bind(&event.r#type)
    .bind(PrimitiveDateTime::new(now.date(), now.time()))
    .execute(pool.get_ref())
    .await
    .map_err(ErrorInternalServerError)?;
    Ok(HttpResponse::Ok().json(json!({"received": true})))
}
