//! What a proxy in front asks before it has a certificate made.

use actix_web::{HttpResponse, get, web::Data};
use portico_web::{
    problem::{Problem, ProblemBody},
    query::Query,
};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::state::App;

/// Which name to ask about.
#[derive(Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub struct AskTls {
    /// The name that a visitor came to.
    #[param(example = "www.example.com", required = true)]
    domain: Option<String>,
}

/// Ask for a certificate
///
/// Whether a proxy may have a certificate made for a name: that of a site, or a verified domain of a customer. Made for
/// `on_demand_tls { ask … }` of Caddy. Says nothing else, and is not for people.
#[utoipa::path(
    tag = "Operations",
    operation_id = "askTls",
    params(AskTls),
    responses(
        (status = 200, description = "A site answers at this name.", body = String, content_type = "text/plain"),
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
