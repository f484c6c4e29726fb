//! Previews of drafts: creation of links, and the pages behind them.

use actix_web::{
    HttpRequest, HttpResponse,
    http::{
        Method, StatusCode,
        header::{self, HeaderName, HeaderValue},
    },
    post,
    web::{self, Data, Path, ServiceConfig as PlainConfig},
};
use portico_kernel::{Permission, SiteId, Timestamp};
use portico_sites::preview::{NewPreview, Previews};
use portico_web::{
    body::OptionalBody,
    caller::Caller,
    problem::{Problem, ProblemBody},
    routing::{KEYED, Routes},
    write::WithJson,
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    flows::previews::{self, Refusal, Shown},
    state::App,
};

/// A preview may do the same as a published page, except send forms. `sandbox` gives it an opaque origin, so that even a
/// script in it could not access this one.
const POLICY: &str = "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'; style-src 'self'; \
    img-src 'self' https: data:; font-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'";

/// Path prefix of previews.
const ROOT: &str = "/preview/";

/// Adds the routes of the API.
pub fn configure(config: &mut Routes<'_, '_>) {
    config.service(KEYED, create);
}

/// Adds the routes of previews.
pub fn pages(config: &mut PlainConfig) {
    config
        .route("/preview/{token}", web::route().to(show))
        .route("/preview/{token}/{path:.*}", web::route().to(show));
}

/// A link to a draft.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Preview {
    /// URL of the draft, accessible without sign-in.
    #[schema(
        example = "http://127.0.0.1:7600/preview/0199f3c26d4e7c3a9d7c5a8e1f2b3c4d-0199f3c26d4e7c3a9d7c5a8e1f2b3c4e-1795000000-c2lnbmF0dXJl/"
    )]
    url: String,
    /// When the link expires.
    expires_at: Timestamp,
}

/// Preview a site
///
/// Creates a link that shows the site as if all drafts were published, until it expires, without sign-in. It shows the
/// stored state at the time of each request. It ends early when the site or the tenant is suspended or deleted.
#[utoipa::path(
    tag = "Deployments",
    operation_id = "previewSite",
    params(("siteId" = SiteId, Path)),
    request_body(content = Option<NewPreview>, example = json!({"expiresIn": 3600})),
    responses(
        (status = 201, body = Preview, headers(("Location" = String))),
        (status = 403, description = "Not allowed; `email_unverified` while the address of the account, or of the user who made the API key, is not verified."),
        (status = 409, description = "The site is suspended.", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["sites:write"])),
)]
#[post("/sites/{siteId}/preview")]
async fn create(
    app: Data<App>,
    caller: Caller,
    path: Path<SiteId>,
    body: OptionalBody<NewPreview>,
) -> Result<HttpResponse, Problem> {
    let tenant = caller.0.require(Permission::SitesWrite)?;
    caller
        .write(&app.core, async |work| {
            let grant = Previews::new(&mut *work, &caller.0, &app.core.env).grant(*path, body.0).await?;
            let url = format!("{}{ROOT}{}/", app.api.public_url, previews::token(&app, tenant, &grant));
            Ok(HttpResponse::Created()
                .insert_header((header::LOCATION, url.as_str()))
                .with_json(&Preview { url, expires_at: grant.expires_at }))
        })
        .await
}

/// Answers a request for a preview.
async fn show(app: Data<App>, request: HttpRequest) -> HttpResponse {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return HttpResponse::MethodNotAllowed().insert_header((header::ALLOW, "GET, HEAD")).finish();
    }
    let Some((token, path)) = request.path().strip_prefix(ROOT).map(|rest| match rest.split_once('/') {
        Some((token, path)) => (token, Some(path)),
        None => (rest, None),
    }) else {
        return page(StatusCode::NOT_FOUND, GONE);
    };
    let prefix = format!("{ROOT}{token}");
    let Some(path) = path else { return moved(&format!("{prefix}/")) };
    match previews::show(&app, token, path).await {
        Ok(Shown::File(bytes, content_type)) => match (content_type, std::str::from_utf8(&bytes)) {
            ("text/html; charset=utf-8", Ok(html)) => page(StatusCode::OK, previews::below(&prefix, html)),
            ("text/css; charset=utf-8", Ok(css)) => {
                answer(StatusCode::OK, content_type, previews::sheet_below(&prefix, css))
            }
            _ => answer(StatusCode::OK, content_type, bytes),
        },
        Ok(Shown::Moved(path)) => moved(&format!("{prefix}/{path}")),
        Ok(Shown::Missing(Some(bytes))) => {
            page(StatusCode::NOT_FOUND, previews::below(&prefix, &String::from_utf8_lossy(&bytes)))
        }
        Ok(Shown::Missing(None)) | Err(Refusal::Gone) => page(StatusCode::NOT_FOUND, GONE),
        Err(Refusal::Busy) => {
            let mut response = page(StatusCode::SERVICE_UNAVAILABLE, BUSY);
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
            response
        }
        Err(Refusal::Failed) => page(StatusCode::INTERNAL_SERVER_ERROR, BUSY),
    }
}

const GONE: &str = "<!doctype html><html lang=\"en\"><title>No preview here</title>\
    <h1>This preview does not exist, or not any more.</h1>";
const BUSY: &str = "<!doctype html><html lang=\"en\"><title>Try again</title>\
    <h1>This preview cannot be shown right now. Try again shortly.</h1>";

fn page(status: StatusCode, html: impl actix_web::body::MessageBody + 'static) -> HttpResponse {
    answer(status, "text/html; charset=utf-8", html)
}

fn moved(location: &str) -> HttpResponse {
    let mut response = answer(StatusCode::TEMPORARY_REDIRECT, "text/html; charset=utf-8", "");
    if let Ok(location) = HeaderValue::from_str(location) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

/// Previews are not cached, and their URLs are not sent as referrers.
fn answer(
    status: StatusCode,
    content_type: &'static str,
    body: impl actix_web::body::MessageBody + 'static,
) -> HttpResponse {
    HttpResponse::build(status)
        .insert_header((header::CONTENT_TYPE, HeaderValue::from_static(content_type)))
        .insert_header((header::CACHE_CONTROL, HeaderValue::from_static("private, no-store")))
        .insert_header((header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)))
        .insert_header((header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")))
        .insert_header((
            HeaderName::from_static("x-robots-tag"),
            HeaderValue::from_static("noindex, nofollow"),
        ))
        // Fonts are requested from the sandbox, whose origin is opaque. The URL alone grants access to them.
        .insert_header((header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*")))
        .body(body)
}
