//! The API document, and the page on which people read it and try things: Swagger UI. Both only at our own host.

use actix_web::{
    HttpRequest, HttpResponse, Route,
    guard::{self, fn_guard},
    http::header,
    web::{self, ServiceConfig},
};
use portico_embedded::{Packed, packed};
use portico_web::{headers::PAGE_POLICY, host, packed::respond};

use crate::routes::pages_static::redirect;

/// The API document of this version. A file of the repository, because building it takes 19 MB of heap (ADR 68), and what builds it
/// is a twelfth of the program (ADR 96); a test compares it with what the routes say.
pub static DOCUMENT: Packed = packed!("openapi.json");

static SWAGGER_UI: Packed = packed!("swagger-ui-bundle.js");
static SWAGGER_UI_STYLE: Packed = packed!("swagger-ui.css");

const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";

/// Adds the document, the page, and the files of the page.
pub fn configure(config: &mut ServiceConfig) {
    config
        .route("/api/openapi.json", file(DOCUMENT, "application/json").guard(fn_guard(host::is_own)))
        .route("/api/docs", read().guard(fn_guard(host::is_own)).to(|| async { redirect("/api/docs/") }))
        .service(
            web::scope("/api/docs")
                .guard(fn_guard(host::is_own))
                .route("/", read().to(page))
                .route("/docs.css", text(STYLE, include_str!("../assets/docs.css")))
                .route("/docs.js", text(SCRIPT, include_str!("../assets/docs.js")))
                .route("/swagger-ui.css", file(SWAGGER_UI_STYLE, STYLE))
                .route("/swagger-ui-bundle.js", file(SWAGGER_UI, SCRIPT)),
        );
}

/// Swagger UI writes style attributes, so they are allowed in addition to the policy of our other pages.
async fn page() -> HttpResponse {
    let policy = PAGE_POLICY.replace("style-src 'self'", "style-src 'self' 'unsafe-inline'");
    HttpResponse::Ok()
        .content_type("text/html; charset=utf-8")
        .insert_header((header::CONTENT_SECURITY_POLICY, policy))
        .body(include_str!("../assets/docs.html"))
}

fn text(content_type: &'static str, content: &'static str) -> Route {
    read().to(move || async move { HttpResponse::Ok().content_type(content_type).body(content) })
}

fn file(file: Packed, content_type: &'static str) -> Route {
    read().to(move |request: HttpRequest| async move { respond(&request, file, content_type) })
}

/// A route for GET and HEAD.
fn read() -> Route {
    web::route().guard(guard::Any(guard::Get()).or(guard::Head()))
}
