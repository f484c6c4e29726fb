//! Security headers (OWASP secure headers; strict by default, a route may set its own).

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue, STRICT_TRANSPORT_SECURITY};

const DEFAULTS: [(&str, &str); 8] = [
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    // Documented by a source system. Browsers of today have no such filter; the policy below is what protects.
    ("x-xss-protection", "1; mode=block"),
    ("referrer-policy", "strict-origin-when-cross-origin"),
    ("permissions-policy", "camera=(), geolocation=(), microphone=(), payment=()"),
    (
        "content-security-policy",
        "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    ),
    ("cross-origin-opener-policy", "same-origin"),
    // Responses depend on the caller; a cacheable route overrides this.
    ("cache-control", "no-store"),
];

/// Content security policy of our own HTML pages: scripts and styles from files of this server only.
pub const PAGE_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
    connect-src 'self'; form-action 'self'; frame-src 'self'; frame-ancestors 'none'; base-uri 'none'";

/// Restricts browsers to TLS for a year (RFC 6797). Not for subdomains, which may belong to others.
const TLS_ONLY: &str = "max-age=31536000";

/// Adds the security headers that the response does not have yet. `tls`: whether clients reach the server over TLS.
pub fn secure(headers: &mut HeaderMap, tls: bool) {
    if tls {
        headers.insert(STRICT_TRANSPORT_SECURITY, HeaderValue::from_static(TLS_ONLY));
    }
    for (name, value) in DEFAULTS {
        let name = HeaderName::from_static(name);
        if !headers.contains_key(&name) {
            headers.insert(name, HeaderValue::from_static(value));
        }
    }
}
