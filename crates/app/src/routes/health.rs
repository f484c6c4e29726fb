//! Liveness, readiness and metrics of the server.

use std::sync::atomic::Ordering;

use actix_web::{HttpRequest, HttpResponse, get, http::header, web::Data};
use portico_kernel::{Kind, StoreError};
use portico_web::{
    client,
    problem::{Problem, ProblemBody},
    write::WithJson,
};
use secrecy::ExposeSecret;
use serde::Serialize;
use sha2::{Digest, Sha256};
use tokio::time::timeout;

use crate::{
    parts::{PATIENCE, PartState},
    settings::{Profile, Settings},
    state::App,
};

/// Marks the application at a separate port, whose metrics need no further authorisation.
pub struct MetricsPort;

/// Headers that proxies add.
const FORWARDING: [&str; 3] = ["x-forwarded-for", "forwarded", "x-real-ip"];

/// State of the server.
#[derive(Serialize, utoipa::ToSchema)]
pub struct Health {
    /// `ok`, or `degraded` while a part is unavailable without which requests can be answered.
    #[schema(example = "ok")]
    status: &'static str,
    /// Version of the server.
    #[schema(example = "0.1.0")]
    version: &'static str,
    /// The database. The server is not ready without it.
    database: PartState,
    /// Redis; `disabled` where none is set. Without it each instance counts limits by itself.
    redis: PartState,
    /// The store of uploaded files and published sites.
    storage: PartState,
    /// The scanner for malware; `disabled` where none is set. Without it files of releases and of tickets wait.
    scanner: PartState,
}

/// Health
///
/// Whether requests can be answered: the same as `/api/health/ready`.
#[utoipa::path(tag = "Operations", operation_id = "getHealth", responses((status = 200, body = Health)))]
#[get("/api/health")]
pub async fn overall(app: Data<App>) -> Result<HttpResponse, Problem> {
    check(&app).await
}

/// Liveness
///
/// Whether the process runs. Checks nothing else, so that a database outage does not restart it.
#[utoipa::path(tag = "Operations", operation_id = "getLiveness", responses((status = 204, description = "Alive.")))]
#[get("/api/health/live")]
pub async fn live() -> HttpResponse {
    HttpResponse::NoContent().finish()
}

/// Readiness
///
/// Whether requests can be answered. 503 while starting, shutting down, or when the database is unavailable; without Redis or the
/// file store requests are answered, and `status` is `degraded`.
#[utoipa::path(tag = "Operations", operation_id = "getReadiness", responses((status = 200, body = Health)))]
#[get("/api/health/ready")]
pub async fn ready(app: Data<App>) -> Result<HttpResponse, Problem> {
    check(&app).await
}

/// Metrics
///
/// In the Prometheus text format. In production, and wherever `metrics.token` or `metrics.allow_networks` is set, only with
/// that token as `Authorization: Bearer`, or directly from one of those networks; otherwise only from the same machine. At
/// `metrics.port` and `worker.port` always.
#[utoipa::path(tag = "Operations", operation_id = "getMetrics", responses(
    (status = 200, body = String, content_type = "text/plain", example = json!("# TYPE portico_http_request_duration_seconds histogram\n")),
    (status = 404, description = "Not for this client.", body = ProblemBody, content_type = "application/problem+json"),
))]
#[get("/api/metrics")]
pub async fn metrics(app: Data<App>, request: HttpRequest) -> Result<HttpResponse, Problem> {
    if request.app_data::<MetricsPort>().is_none() && !may_read_metrics(&app, &request) {
        return Err(Problem::not_found());
    }
    Ok(HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8"))
        .body(app.core.telemetry.render()))
}

/// Whether a request at the port of the API may read the metrics.
fn may_read_metrics(app: &App, request: &HttpRequest) -> bool {
    let Settings { profile, metrics: rule, server, .. } = &*app.settings;
    // The remote address of the connection, ignoring headers. All requests through a proxy have the proxy's address.
    let peer = client::peer(request);
    let is_direct = !client::is_trusted(&server.trusted_proxies, peer);
    if *profile == Profile::Development && rule.token.is_none() && rule.allow_networks.is_empty() {
        // A development server that others can reach, directly or through a proxy of this machine, tells them nothing.
        let is_forwarded = FORWARDING.iter().any(|name| request.headers().contains_key(*name));
        return is_direct && peer.is_loopback() && !is_forwarded;
    }
    let shown = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let shown = shown
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    if let (Some(token), Some((_, shown))) = (&rule.token, shown)
        // Digests are compared, so that the time does not depend on how much of a guess is right.
        && Sha256::digest(token.expose_secret()) == Sha256::digest(shown.trim())
    {
        return true;
    }
    is_direct && client::is_trusted(&rule.allow_networks, peer)
}

async fn check(app: &App) -> Result<HttpResponse, Problem> {
    if !app.api.ready.load(Ordering::Acquire) {
        return Err(Problem::new(Kind::Unavailable, "not_ready", "The server is starting or shutting down."));
    }
    let answered = timeout(PATIENCE, app.core.store.ping()).await;
    answered.unwrap_or_else(|_| Err(StoreError::Unavailable("no answer in time".into())))?;
    let redis = app.redis.as_ref().map_or(PartState::Disabled, |redis| redis.is_up().into());
    let storage = app.storage.state().await;
    let scanner = app.scanner.state().await;
    let status = if [redis, storage, scanner].contains(&PartState::Unavailable) { "degraded" } else { "ok" };
    let version = env!("CARGO_PKG_VERSION");
    Ok(HttpResponse::Ok().with_json(&Health {
        status,
        version,
        database: PartState::Ok,
        redis,
        storage,
        scanner,
    }))
}
