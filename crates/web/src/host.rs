//! The host in a request.

use std::net::IpAddr;

use actix_web::{
    guard::GuardContext,
    http::header::{self, HeaderMap},
    web::Data,
};

use crate::api::Api;

/// The host of a `Host` header: without its port (RFC 9110 section 7.2), and without the trailing dot of the DNS root (RFC
/// 1034 section 3.1).
pub fn name(header: &str) -> &str {
    let host = match header.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => header,
    };
    without_root(host)
}

/// A domain name without the trailing dot of the DNS root.
pub fn without_root(name: &str) -> &str {
    name.strip_suffix('.').unwrap_or(name)
}

/// Marks a request that is for a published site, and not for the API.
pub struct SiteRequest;

/// Guards routes without credentials: they answer only at loopback names and the public address. Otherwise a page of an
/// attacker could point its own name here, and read the responses (DNS rebinding).
pub fn is_own(context: &GuardContext<'_>) -> bool {
    context.app_data::<Data<Api>>().is_some_and(|api| names_own_host(api, context.head().headers()))
}

/// Whether a request is to the public address or to this machine, and not to a site.
pub fn names_own_host(api: &Api, headers: &HeaderMap) -> bool {
    let header = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    header.is_some_and(|header| is_loopback(name(header)) || name(header).eq_ignore_ascii_case(&api.host))
}

/// Whether a host is the loopback interface by definition (RFC 6761 section 6.3).
fn is_loopback(host: &str) -> bool {
    let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    host.eq_ignore_ascii_case("localhost")
        || address.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_has_neither_port_nor_root() {
        for (header, host) in [
            ("harbour.localhost", "harbour.localhost"),
            ("harbour.localhost.", "harbour.localhost"),
            ("harbour.localhost.:7600", "harbour.localhost"),
            ("harbour.localhost:", "harbour.localhost"),
            ("[::1]:7600", "[::1]"),
            ("[::1]", "[::1]"),
            ("a..", "a."),
            ("", ""),
        ] {
            assert_eq!(name(header), host, "{header}");
        }
    }

    #[test]
    fn this_machine_has_few_names() {
        for host in ["localhost", "LOCALHOST", "127.0.0.1", "127.8.8.8", "[::1]", "[::ffff:127.0.0.1]"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in
            ["evil.example", "localhost.evil.example", "a.localhost", "0.0.0.0", "192.0.2.1", "127.1", ""]
        {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
