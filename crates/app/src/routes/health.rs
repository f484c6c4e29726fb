//! Whether the server lives, whether it is ready for requests, and its metrics.

use std::sync::atomic::Ordering;

use actix_web::{HttpResponse, get, http::header, web::Data};
use portico_kernel::Kind;
use serde::Serialize;

use crate::{http::problem::Problem, state::App};

/// State of the server.
#[derive(Serialize, utoipa::ToSchema)]
pub struct Health {
    /// `ok` when requests can be answered.
    #[schema(example = "ok")]
    status: &'static str,
    /// Version of the server.
    #[schema(example = "0.1.0")]
    version: &'static str,
    /// `ok` when the database answers.
    #[schema(example = "ok")]
    database: &'static str,
}

/// Health
///
/// Whether requests can be answered: the same as `/api/health/ready`.
#[utoipa::path(tag = "Operations", responses((status = 200, body = Health)))]
#[get("/api/health")]
pub async fn overall(app: Data<App>) -> Result<HttpResponse, Problem> {
    check(&app).await
}

/// Liveness
///
/// That the process runs. Does not look at anything else, so that a database outage does not restart it.
#[utoipa::path(tag = "Operations", responses((status = 204, description = "Alive.")))]
#[get("/api/health/live")]
pub async fn live() -> HttpResponse {
    HttpResponse::NoContent().finish()
}

/// Readiness
///
/// Whether requests can be answered. 503 while starting, shutting down, or when the database does not answer.
#[utoipa::path(tag = "Operations", responses((status = 200, body = Health)))]
#[get("/api/health/ready")]
pub async fn ready(app: Data<App>) -> Result<HttpResponse, Problem> {
    check(&app).await
}

/// Metrics
///
/// In the Prometheus text format.
#[utoipa::path(tag = "Operations", responses((status = 200, body = String, content_type = "text/plain")))]
#[get("/api/metrics")]
pub async fn metrics(app: Data<App>) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8"))
        .body(app.telemetry.render())
}

async fn check(app: &App) -> Result<HttpResponse, Problem> {
    if !app.ready.load(Ordering::Acquire) {
        return Err(Problem::new(Kind::Unavailable, "not_ready", "The server is starting or shutting down."));
    }
    app.store.ping().await?;
    let health = Health { status: "ok", version: env!("CARGO_PKG_VERSION"), database: "ok" };
    Ok(HttpResponse::Ok().json(health))
}
