//! Sessions of browsers: the refresh token in a cookie that scripts cannot read.
//!
//! Sites of customers may be subdomains of the server's own host, so `SameSite` alone does not keep their pages from sending
//! the cookie. It is given and taken only where the browser says that the request comes from a page of the same origin.

use actix_web::{
    HttpRequest, HttpResponse,
    cookie::{Cookie, SameSite, time::Duration as CookieDuration},
    http::{StatusCode, header},
};
use portico_identity::session::{RefreshTokenIn, SignedIn, Tokens};
use portico_kernel::Kind;
use portico_web::{body, devices, problem::Problem, write::WithJson};

use crate::state::App;

/// The only paths that browsers send the cookie to.
const PATH: &str = "/api/v1/auth";

/// Refuses to give a cookie to a request that no page of the front end sent.
///
/// # Errors
/// 403 `origin_not_allowed`, 415.
pub fn check(app: &App, request: &HttpRequest, wished: RefreshTokenIn) -> Result<(), Problem> {
    match wished {
        RefreshTokenIn::Body => Ok(()),
        RefreshTokenIn::Cookie => require_own_page(app, request),
    }
}

/// The refresh token in the cookie of a request; none where it has no such cookie.
///
/// # Errors
/// 403 `origin_not_allowed` where there is one and no page of the front end sent it, 415.
pub fn read(app: &App, request: &HttpRequest) -> Result<Option<String>, Problem> {
    let Ok(cookies) = request.cookies() else { return Ok(None) };
    let name = name(app);
    let mut values = cookies.iter().filter(|cookie| cookie.name() == name).map(Cookie::value);
    // Of two, one may be set by another host of the domain, and which one is not known.
    let (Some(token), None) = (values.next(), values.next()) else { return Ok(None) };
    require_own_page(app, request)?;
    Ok(Some(token.to_owned()))
}

/// The answer of a sign-in or a refresh. It must not be cached (RFC 6749 section 5.1).
///
/// # Errors
/// When the access token cannot be signed.
pub fn answer(
    app: &App,
    status: StatusCode,
    signed_in: SignedIn,
    place: RefreshTokenIn,
) -> Result<HttpResponse, Problem> {
    let now = app.core.env.now();
    let lifetime = (signed_in.session.expires_at - now).whole_seconds();
    let mut tokens = Tokens::issue(&*app.tokens, signed_in, app.lifetimes, now)?;
    let mut response = HttpResponse::build(status);
    response.insert_header((header::CACHE_CONTROL, "no-store"));
    if place == RefreshTokenIn::Cookie
        && let Some(token) = tokens.refresh_token.take()
    {
        response.cookie(cookie(app, token, lifetime));
    }
    let mut response = response.with_json(&tokens);
    devices::give(response.headers_mut());
    Ok(response)
}

/// Makes the browser drop the cookie.
pub fn clear(app: &App, response: &mut HttpResponse) {
    // Fails only for a cookie that is no valid header.
    response.add_cookie(&cookie(app, String::new(), 0)).ok();
}

fn cookie(app: &App, token: String, seconds: i64) -> Cookie<'static> {
    Cookie::build(name(app), token)
        .path(PATH)
        .http_only(true)
        .secure(app.api.is_https())
        .same_site(SameSite::Strict)
        .max_age(CookieDuration::seconds(seconds))
        .finish()
}

/// The `__Secure-` prefix keeps pages without TLS from setting it (RFC 6265bis section 4.1.3.1); `__Host-` would need the path `/`.
fn name(app: &App) -> &'static str {
    if app.api.is_https() { "__Secure-portico-refresh" } else { "portico-refresh" }
}

/// Scripts cannot set `Origin` and `Sec-Fetch-Site` (forbidden request headers of the Fetch standard), and forms cannot send JSON.
fn require_own_page(app: &App, request: &HttpRequest) -> Result<(), Problem> {
    let header = |name| request.headers().get(name).and_then(|value| value.to_str().ok());
    let own = header("origin").is_some_and(|origin| app.own_origins.iter().any(|own| own == origin));
    if !own || header("sec-fetch-site") != Some("same-origin") {
        let detail = "A session in a cookie is for pages of the server's own origin.";
        return Err(Problem::new(Kind::Forbidden, "origin_not_allowed", detail));
    }
    body::require_json_type(request)
}
