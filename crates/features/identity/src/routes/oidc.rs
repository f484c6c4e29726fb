//! Sign-in with an account at an OpenID Connect provider, and links to such accounts.

use std::sync::Arc;

use actix_web::{
    HttpRequest, HttpResponse,
    cookie::{Cookie, SameSite, time::Duration as CookieDuration},
    delete, get, post,
    web::{Data, Path},
};
use portico_identity::{
    ExternalIdentities,
    external::{ATTEMPT_LIFETIME, Browser, Callback, ExternalIdentity},
    ports::OpenIdProvider,
    session::Tokens,
};
use portico_kernel::{ExternalIdentityId, List, PageRequest, Timestamp};
use portico_web::{
    admission::Class,
    body::Body,
    caller::{Caller, MaybeCaller},
    problem::Problem,
    query::Query,
    routing::{READ, Routes, WRITE},
    write::WithJson,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::auth::answer_step;
use crate::{flows::external_sign_in, refresh_cookie, state::App};

/// Length of the secret in the cookie.
const SECRET_LENGTH: usize = 43;

/// Adds the routes.
pub fn configure(config: &mut Routes<'_, '_>) {
    config
        .service(READ.for_anyone(), providers)
        .service(READ.for_anyone(), begin)
        .service(WRITE.for_anyone().waiting_in(Class::Outside), callback)
        .service(READ, list)
        .service(WRITE, unlink);
}

/// A provider to sign in with.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(example = json!({"name": "google", "displayName": "Google"}))]
pub struct Provider {
    /// Name in paths.
    name: String,
    /// Name on a button.
    display_name: String,
}

/// Query of the start of an attempt.
#[derive(Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
struct Begin {
    /// Whether to link the account to the caller's own, instead of signing in.
    link: Option<bool>,
}

/// Where to redirect the browser.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(example = json!({
    "authorizationUrl": "https://accounts.google.com/o/oauth2/v2/auth?response_type=code&client_id=portico",
    "state": "uTtLz2Q3yGq0b8nCq3R7oXo4xw1m5h2pVd9cJk6fYsE",
    "expiresAt": "2026-11-21T10:10:00Z"
}))]
struct Departure {
    /// Redirect the browser to it.
    #[schema(format = "uri")]
    authorization_url: String,
    /// Returned with the code. The page must keep it, and abort if the URL that the browser returns to holds another one
    /// (login CSRF).
    state: String,
    /// The attempt is invalid after this time.
    expires_at: Timestamp,
}

/// List the providers
///
/// The configured providers, ordered by name.
#[utoipa::path(
    tag = "SSO (OpenID Connect)",
    operation_id = "listProviders",
    responses((status = 200, body = List<Provider>)),
)]
#[get("/auth/oidc")]
async fn providers(app: Data<App>) -> HttpResponse {
    HttpResponse::Ok().with_json(&all(configured(&app)))
}

/// The configured providers, ordered by name.
pub fn configured(app: &App) -> Vec<Provider> {
    let provider = |provider: &Arc<dyn OpenIdProvider>| Provider {
        name: provider.name().to_owned(),
        display_name: provider.display_name().to_owned(),
    };
    app.openid.values().map(provider).collect()
}

/// Begin to sign in at a provider
///
/// Answers where to redirect the browser; the provider redirects it back to the configured page with `code` and `state`,
/// which that page sends to `POST /api/v1/auth/callback` within ten minutes. A cookie ties the attempt to the browser: call
/// this and the callback with credentials (`credentials: "include"`) where the page is on another origin of the same site.
///
/// With `link=true` the account there is linked to the account of the caller, who must have proven their identity within
/// the last ten minutes.
#[utoipa::path(
    tag = "SSO (OpenID Connect)",
    operation_id = "beginSignIn",
    params(("provider" = String, Path, description = "Name of the provider."), Begin),
    responses(
        (status = 200, body = Departure, headers(("Set-Cookie" = String))),
        (status = 401, description = "With `link`: not signed in."),
        (status = 403, description = "With `link`: the last proof of who the caller is was too long ago, their address is not verified \
            (`email_unverified`), or it is not the person themselves."),
        (status = 503, description = "The provider does not answer; `Retry-After` says when to come back."),
    ),
)]
#[get("/auth/oidc/{provider}")]
async fn begin(
    app: Data<App>,
    caller: MaybeCaller,
    request: HttpRequest,
    path: Path<String>,
    query: Query<Begin>,
) -> Result<HttpResponse, Problem> {
    let secret = cookie(&app, &request).unwrap_or_else(|| app.core.env.secret());
    let link = query.0.link.unwrap_or(false);
    let departure = external_sign_in::begin(&app, &caller.0, &path, link, &secret).await?;
    let secure = is_secure(&app);
    let cookie = Cookie::build(cookie_name(secure), secret)
        .path("/")
        .http_only(true)
        .secure(secure)
        .same_site(SameSite::Lax)
        .max_age(CookieDuration::seconds(ATTEMPT_LIFETIME.whole_seconds()))
        .finish();
    Ok(HttpResponse::Ok().cookie(cookie).with_json(&Departure {
        authorization_url: departure.authorization_url,
        state: departure.begun.state,
        expires_at: departure.begun.expires_at,
    }))
}

/// Complete a sign-in at a provider
///
/// Signs in with the identity that the provider reports: to the account that is linked; else to the one with that verified
/// address, if the provider calls it verified; else to a new one. An attempt that was begun with `link=true` links instead,
/// and answers the tokens of the caller's own session.
///
/// A state is valid once. After 503 it is valid again.
#[utoipa::path(
    tag = "SSO (OpenID Connect)",
    operation_id = "completeSignIn",
    request_body = Callback,
    responses(
        (status = 200, body = Tokens),
        (status = 401, description = "In the end of an attempt to link: not signed in. Else: the account is gone."),
        (
            status = 403,
            description = "The account is suspended; or it has a second factor (`second_factor_required`): go on as after \
                `POST /api/v1/auth/login`.",
        ),
        (status = 404, description = "The provider is not configured any more, or `X-Tenant-Id` names no tenant of the caller."),
        (status = 409, description = "`identity_taken`: linked to another account. Or another request changed the account at the same moment."),
        (status = 422, description = "`invalid_state`: unknown, used, expired, or begun elsewhere. `sign_in_rejected`: the provider does not \
            confirm it. `email_required`: a new account would have no address. `invalid`: see `errors`."),
        (status = 503, description = "The provider does not answer; `Retry-After` says when to come back."),
    ),
)]
#[post("/auth/callback")]
async fn callback(
    app: Data<App>,
    caller: MaybeCaller,
    request: HttpRequest,
    body: Body<Callback>,
) -> Result<HttpResponse, Problem> {
    let place = body.0.session.unwrap_or_default();
    refresh_cookie::check(&app, &request, place)?;
    let browser = Browser { secret: cookie(&app, &request), sends_cookies: sends_cookies(&app, &request) };
    let step = external_sign_in::complete(&app, &caller.0, body.0, &browser).await?;
    answer_step(&app, step, place)
}

/// List the own links
///
/// The external accounts that can sign in to the caller's own, oldest first.
#[utoipa::path(
    tag = "SSO (OpenID Connect)",
    operation_id = "listIdentities",
    responses((status = 200, body = List<ExternalIdentity>)),
    security(("bearer" = [])),
)]
#[get("/auth/identities")]
async fn list(app: Data<App>, caller: Caller) -> Result<HttpResponse, Problem> {
    let links = ExternalIdentities::new(&mut *app.core.reader(), &caller.0, &app.core.env).list().await?;
    Ok(HttpResponse::Ok().with_json(&all(links)))
}

/// Remove a link
///
/// The caller must have proven their identity within the last ten minutes, and have another way to sign in.
#[utoipa::path(
    tag = "SSO (OpenID Connect)",
    operation_id = "deleteIdentity",
    params(("identityId" = ExternalIdentityId, Path)),
    responses(
        (status = 204, description = "Taken away."),
        (status = 409, description = "`last_sign_in_method`: nothing else would be left to sign in with."),
    ),
    security(("bearer" = [])),
)]
#[delete("/auth/identities/{identityId}")]
async fn unlink(
    app: Data<App>,
    caller: Caller,
    path: Path<ExternalIdentityId>,
) -> Result<HttpResponse, Problem> {
    let issuers: Vec<String> = app.openid.values().map(|provider| provider.issuer().to_owned()).collect();
    caller
        .write(&app.core, async |work| {
            ExternalIdentities::new(&mut *work, &caller.0, &app.core.env)
                .unlink(path.into_inner(), &issuers)
                .await?;
            Ok(HttpResponse::NoContent().finish())
        })
        .await
}

/// A list that is always complete, without further pages.
fn all<T>(items: Vec<T>) -> List<T> {
    let total = items.len() as u64;
    List::new(items, PageRequest { page: 1, limit: PageRequest::MAX_LIMIT }, total)
}

fn is_secure(app: &App) -> bool {
    app.api.public_url.starts_with("https:")
}

/// The `__Host-` prefix keeps other hosts of the domain from setting it (RFC 6265bis section 4.1.3.2).
fn cookie_name(secure: bool) -> &'static str {
    if secure { "__Host-portico-sign-in" } else { "portico-sign-in" }
}

/// The browser's secret, if the cookie has the expected format.
fn cookie(app: &App, request: &HttpRequest) -> Option<String> {
    let cookie = request.cookie(cookie_name(is_secure(app)))?;
    (cookie.value().len() == SECRET_LENGTH).then(|| cookie.value().to_owned())
}

/// Whether a browser sent the request from a page of our site, so that it would have sent the cookie. Scripts cannot set
/// these headers.
fn sends_cookies(app: &App, request: &HttpRequest) -> bool {
    let header = |name| request.headers().get(name).and_then(|value| value.to_str().ok());
    match header("sec-fetch-site") {
        Some(site) => site != "cross-site",
        // Older browsers, and pages without TLS.
        None => header("origin").is_some_and(|origin| {
            let own: Option<url::Url> = app.api.public_url.parse().ok();
            own.is_some_and(|own| own.origin().ascii_serialization() == origin)
        }),
    }
}
