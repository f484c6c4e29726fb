//! Security headers (OWASP secure headers; strict by default, a route may set its own), and what is read of headers.

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue, STRICT_TRANSPORT_SECURITY};

/// Made once: each response gets them.
static DEFAULTS: [(HeaderName, HeaderValue); 8] = [
    (HeaderName::from_static("x-content-type-options"), HeaderValue::from_static("nosniff")),
    (HeaderName::from_static("x-frame-options"), HeaderValue::from_static("DENY")),
    // Documented by a source system. Browsers of today have no such filter; the policy below is what protects.
    (HeaderName::from_static("x-xss-protection"), HeaderValue::from_static("1; mode=block")),
    (HeaderName::from_static("referrer-policy"), HeaderValue::from_static("strict-origin-when-cross-origin")),
    (
        HeaderName::from_static("permissions-policy"),
        HeaderValue::from_static("camera=(), geolocation=(), microphone=(), payment=()"),
    ),
    (
        HeaderName::from_static("content-security-policy"),
        HeaderValue::from_static(
            "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
        ),
    ),
    (HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin")),
    // Responses depend on the caller; a cacheable route overrides this.
    (HeaderName::from_static("cache-control"), HeaderValue::from_static("no-store")),
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
    for (name, value) in &DEFAULTS {
        if !headers.contains_key(name) {
            headers.insert(name.clone(), value.clone());
        }
    }
}

/// The first `most` characters of a text.
pub fn first(text: &str, most: usize) -> &str {
    // Nearly always; no character has less than a byte.
    if text.len() <= most {
        return text;
    }
    text.char_indices().nth(most).map_or(text, |(end, _)| text.get(..end).unwrap_or(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_between_characters() {
        for (text, most, cut) in [
            ("", 0, ""),
            ("abc", 0, ""),
            ("abc", 3, "abc"),
            ("abcd", 3, "abc"),
            ("äöü", 3, "äöü"),
            ("äöü", 2, "äö"),
        ] {
            assert_eq!(first(text, most), cut, "{text} {most}");
        }
    }
}
