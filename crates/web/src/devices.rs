//! The mark by which a device is recognised when somebody signs in: a cookie, or a header for clients without cookies.
//!
//! Every answer with tokens carries the mark. It gives no access to anything, see `portico_identity::device`.

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

/// Name of the cookie. With the prefix a browser takes it from this very host only, over encrypted connections (RFC 6265bis
/// section 4.1.3), so that no page on a subdomain can set one.
fn cookie_name(secure: bool) -> &'static str {
    if secure { "__Host-portico_device" } else { "portico_device" }
}

/// Name of the header that carries the mark, in and out.
pub const HEADER: HeaderName = HeaderName::from_static("x-device-id");

/// Browsers keep no cookie for longer than 400 days.
const KEPT: Duration = Duration::days(365);

/// Finds out which device sends a request, and answers the mark for it to keep. A client that shows none gets one, where it
/// may sign in.
pub fn recognize(api: &Api, request: &ServiceRequest, info: &mut RequestInfo) -> Option<String> {
    if *request.method() != Method::POST {
        return None;
    }
    // Some aliases of signing in do not look like it.
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
    // A refresh is no sign-in: there is nothing to recognise the next time by what is new now.
    (shown || !path.ends_with("/refresh")).then(|| api.core.access.device_mark(id))
}

/// Adds the mark to an answer with tokens.
pub fn give(headers: &mut HeaderMap) {
    let mark = context::current().device_mark.and_then(|mark| HeaderValue::from_str(&mark).ok());
    if let Some(mark) = mark {
        headers.insert(HEADER, mark);
    }
}

/// Has a browser keep the mark that an answer carries.
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
