//! Queries of a reverse proxy before it obtains a certificate.

use actix_web::{HttpResponse, get, web::Data};
use portico_web::{
    problem::{Problem, ProblemBody},
    query::Query,
};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::state::App;

/// Query of a proxy.
#[derive(Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub struct AskTls {
    /// The host name that a visitor requested.
    #[param(example = "www.example.com", required = true)]
    domain: Option<String>,
}

/// Check a name for a certificate
///
/// Whether a proxy may obtain a certificate for a name: that of a site, or a verified domain of a customer. Made for
/// `on_demand_tls { ask … }` of Caddy. Reveals nothing else, and is not for end users.
#[utoipa::path(
    tag = "Operations",
    operation_id = "askTls",
    params(AskTls),
    responses(
        (status = 200, description = "A site answers at this name.", body = String, content_type = "text/plain", example = json!("yes")),
        (status = 404, description = "No site answers at this name.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 429, description = "Too many questions from all proxies together.", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
#[get("/api/tls/ask")]
pub async fn ask(app: Data<App>, query: Query<AskTls>) -> Result<HttpResponse, Problem> {
    let domain = query.0.domain.unwrap_or_default();
    if !app.hosting.live.admits_ask(&app.hosting) {
        return Err(Problem::rate_limited(1));
    }
    match app.hosting.live.is_at(&app.hosting, &domain).await? {
        true => Ok(HttpResponse::Ok().content_type("text/plain; charset=utf-8").body("yes")),
        false => Err(Problem::not_found()),
    }
}
