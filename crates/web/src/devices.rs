//! The mark by which a device is recognised at sign-in: a cookie, or a header for clients without cookies.
//!
//! Every response with tokens carries the mark. It grants no access, see `portico_identity::device`.

use actix_web::{
    cookie::{Cookie, SameSite, time::Duration},
    dev::ServiceRequest,
    http::{
        Method,
        header::{HeaderMap, HeaderName, HeaderValue, SET_COOKIE},
    },
};
use portico_kernel::{Device, RequestInfo};
use portico_runtime::context;

use crate::{alias, api::Api};

/// Name of the cookie. The `__Host-` prefix makes browsers accept it from this very host only, over TLS (RFC 6265bis
/// section 4.1.3), so that no subdomain can set it.
fn cookie_name(secure: bool) -> &'static str {
    if secure { "__Host-portico_device" } else { "portico_device" }
}

/// Name of the header with the mark, in requests and responses.
pub const HEADER: HeaderName = HeaderName::from_static("x-device-id");

/// Browsers keep no cookie for longer than 400 days.
const KEPT: Duration = Duration::days(365);

/// Recognises the device that sends a request, and returns the mark that the client is to store. A client without a mark
/// gets one on routes for signing in.
pub fn recognize(api: &Api, request: &ServiceRequest, info: &mut RequestInfo) -> Option<String> {
    if *request.method() != Method::POST {
        return None;
    }
    // Some aliases of sign-in routes have other paths.
    let canonical = alias::canonical(request.path());
    let path = canonical.as_deref().unwrap_or_else(|| request.path());
    if !path.contains("/auth/") {
        return None;
    }
    let cookie = request.cookie(cookie_name(api.is_https()));
    let header = request.headers().get(HEADER).and_then(|value| value.to_str().ok());
    let shown = [header, cookie.as_ref().map(Cookie::value)];
    let known = shown.into_iter().flatten().find_map(|mark| api.core.access.read_device_mark(mark));
    let (id, shown) = (known.unwrap_or_else(|| api.core.env.random_uuid()), known.is_some());
    info.device = Some(Device { id, shown });
    // A refresh is not a sign-in: a mark issued now would not help to recognise the device next time.
    (shown || !path.ends_with("/refresh")).then(|| api.core.access.device_mark(id))
}

/// Adds the mark to a response with tokens.
pub fn give(headers: &mut HeaderMap) {
    let mark = context::current().device_mark.and_then(|mark| HeaderValue::from_str(&mark).ok());
    if let Some(mark) = mark {
        headers.insert(HEADER, mark);
    }
}

/// Sets the mark of a response as a cookie.
pub fn keep(api: &Api, headers: &mut HeaderMap) {
    let Some(mark) = headers.get(HEADER).and_then(|value| value.to_str().ok()) else { return };
    let secure = api.is_https();
    let cookie = Cookie::build(cookie_name(secure), mark)
        .path("/")
        .http_only(true)
        .same_site(SameSite::Lax)
        .secure(secure)
        .max_age(KEPT)
        .finish();
    if let Ok(value) = HeaderValue::from_str(&cookie.to_string()) {
        headers.append(SET_COOKIE, value);
    }
}
