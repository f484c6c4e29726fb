//! The address of a client.
//!
//! Any client can send any header, so a header is trusted only if the connection comes from a trusted proxy, only the one
//! header that this proxy sets, and in it only what trusted proxies added: its right end. Everything left of the first
//! address that is not a trusted proxy may be forged by the client.

use std::net::{IpAddr, SocketAddr};

use actix_web::{
    HttpMessage, HttpRequest,
    dev::RequestHead,
    http::header::{HeaderMap, HeaderName},
};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// The header in which trusted proxies report the address of the client. Any other one is ignored: a header that the proxy
/// does not set is passed through from the client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ForwardedHeader {
    /// `X-Forwarded-For`: a list of addresses.
    #[default]
    XForwardedFor,
    /// `Forwarded` (RFC 7239): a list of elements with `for=`.
    Forwarded,
    /// `X-Real-IP`: one address.
    XRealIp,
}

impl ForwardedHeader {
    /// Its name, in lower case.
    pub const fn name(self) -> &'static str {
        match self {
            Self::XForwardedFor => "x-forwarded-for",
            Self::Forwarded => "forwarded",
            Self::XRealIp => "x-real-ip",
        }
    }
}

/// The address of the client of a request; determined once, by the middleware around every route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientAddress(pub IpAddr);

/// The address of the client of a request that came through the middleware.
pub fn address(request: &HttpRequest) -> IpAddr {
    let found = request.extensions().get::<ClientAddress>().copied();
    found.map_or_else(|| peer(request), |ClientAddress(address)| address)
}

/// The remote address of the connection: that of a proxy, if there is one.
pub fn peer(request: &HttpRequest) -> IpAddr {
    peer_of(request.head())
}

/// The same by the head of a request.
pub fn peer_of(head: &RequestHead) -> IpAddr {
    head.peer_addr.map_or(IpAddr::from([0, 0, 0, 0]), |peer| peer.ip()).to_canonical()
}

/// Whether an address is that of a trusted proxy.
pub fn is_trusted(trusted: &[IpNet], address: IpAddr) -> bool {
    trusted.iter().any(|network| network.contains(&address))
}

/// The address of the client: that of the peer, or the one that trusted proxies report in the `believed` header.
///
/// All lines of the header count as one list (RFC 9110 section 5.3), which is read from its right end until an address that
/// is not trusted. An element that cannot be parsed ends it, too: then the last proxy counts as the client.
pub fn find(peer: IpAddr, trusted: &[IpNet], believed: ForwardedHeader, headers: &HeaderMap) -> IpAddr {
    let mut client = peer.to_canonical();
    if !is_trusted(trusted, client) {
        return client;
    }
    let name = HeaderName::from_static(believed.name());
    let lines: Vec<&[u8]> = headers.get_all(name).map(|line| line.as_bytes()).collect();
    for line in lines.into_iter().rev() {
        // A value that is not text is not an address either.
        let mut rest = Some(std::str::from_utf8(line).unwrap_or("?"));
        while let Some(list) = rest {
            let (before, hop) = match believed {
                ForwardedHeader::Forwarded => last_element(list),
                ForwardedHeader::XForwardedFor | ForwardedHeader::XRealIp => match list.rsplit_once(',') {
                    Some((before, hop)) => (Some(before), hop),
                    None => (None, list),
                },
            };
            rest = before;
            let hop = hop.trim_matches([' ', '\t']);
            // A list may have empty elements (RFC 9110 section 5.6.1.2).
            if hop.is_empty() {
                continue;
            }
            let address = match believed {
                ForwardedHeader::Forwarded => forwarded_for(hop),
                ForwardedHeader::XForwardedFor | ForwardedHeader::XRealIp => node(hop),
            };
            let Some(address) = address else { return client };
            client = address;
            if !is_trusted(trusted, client) {
                return client;
            }
        }
    }
    client
}

/// The address in a node: with or without a port, IPv6 with or without brackets.
fn node(text: &str) -> Option<IpAddr> {
    let address = text.parse::<IpAddr>().ok();
    let address = address.or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()));
    let bare = || text.strip_prefix('[')?.strip_suffix(']')?.parse::<std::net::Ipv6Addr>().ok();
    address.or_else(|| bare().map(IpAddr::V6)).map(|address| address.to_canonical())
}

/// Divides a `Forwarded` list (RFC 7239 section 4) at its last comma outside of a quoted string. It is read backwards: what
/// a client sent at the left, such as an unclosed quote, must not affect what the proxy added at the right.
fn last_element(list: &str) -> (Option<&str>, &str) {
    let bytes = list.as_bytes();
    let mut quoted = false;
    for (at, byte) in bytes.iter().enumerate().rev() {
        match byte {
            b'"' => {
                let escapes = bytes[..at].iter().rev().take_while(|byte| **byte == b'\\').count();
                // In a quoted string, a quote after an odd number of backslashes is escaped.
                if !quoted || escapes % 2 == 0 {
                    quoted = !quoted;
                }
            }
            b',' if !quoted => return (list.get(..at), list.get(at + 1..).unwrap_or_default()),
            _ => {}
        }
    }
    (None, list)
}

/// The address of `for=` in an element of `Forwarded`. `None` for `unknown`, for an obfuscated name, without a `for`, with two of
/// them, and for an element that is malformed.
fn forwarded_for(element: &str) -> Option<IpAddr> {
    let mut found = None;
    let mut rest = element;
    loop {
        let (name, after) = rest.split_once('=')?;
        let (value, after) = match after.strip_prefix('"') {
            Some(quoted) => quoted_string(quoted)?,
            None => {
                let end = after.find(';').unwrap_or(after.len());
                let (value, after) = after.split_at(end);
                // A port, or an IPv6 address, must be quoted. Not every proxy does so.
                let is_word = |byte: u8| byte.is_ascii_graphic() && !b"\"(),/;<=>?@\\{}".contains(&byte);
                value.trim_end_matches([' ', '\t']).bytes().all(is_word).then_some(())?;
                (value.trim_end_matches([' ', '\t']).to_owned(), after)
            }
        };
        if name.trim_matches([' ', '\t']).eq_ignore_ascii_case("for") && found.replace(value).is_some() {
            return None;
        }
        let after = after.trim_start_matches([' ', '\t']);
        if after.is_empty() {
            return node(&found?);
        }
        rest = after.strip_prefix(';')?;
    }
}

/// A quoted string without its first quote (RFC 9110 section 5.6.4): its content, and what comes after it.
fn quoted_string(text: &str) -> Option<(String, &str)> {
    let mut content = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((content, text.get(at + 1..)?)),
            '\\' => content.push(characters.next()?.1),
            other => content.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use ForwardedHeader::{Forwarded, XForwardedFor, XRealIp};
    use actix_web::http::header::HeaderValue;

    use super::*;

    const PROXY: &str = "10.0.0.5";

    fn found(peer: &str, believed: ForwardedHeader, lines: &[(&'static str, &str)]) -> String {
        let trusted = ["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()];
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(HeaderName::from_static(name), HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        find(peer.parse().unwrap(), &trusted, believed, &headers).to_string()
    }

    #[test]
    fn only_a_proxy_of_ours_is_believed() {
        let line =
            [("x-forwarded-for", "192.0.2.1"), ("forwarded", "for=192.0.2.1"), ("x-real-ip", "192.0.2.1")];
        for believed in [XForwardedFor, Forwarded, XRealIp] {
            assert_eq!(found("203.0.113.9", believed, &line), "203.0.113.9", "{believed:?}");
            assert_eq!(found(PROXY, believed, &line), "192.0.2.1", "{believed:?}");
            assert_eq!(found("::ffff:10.0.0.5", believed, &line), "192.0.2.1", "{believed:?}");
            assert_eq!(found(PROXY, believed, &[]), PROXY, "{believed:?}");
        }
    }

    #[test]
    fn only_one_header_is_believed() {
        let lines =
            [("x-forwarded-for", "192.0.2.1"), ("forwarded", "for=192.0.2.2"), ("x-real-ip", "192.0.2.3")];
        for (believed, client) in
            [(XForwardedFor, "192.0.2.1"), (Forwarded, "192.0.2.2"), (XRealIp, "192.0.2.3")]
        {
            assert_eq!(found(PROXY, believed, &lines), client);
        }
    }

    #[test]
    fn lists_are_read_from_the_right_over_all_lines() {
        for (lines, client) in [
            (&["192.0.2.1"][..], "192.0.2.1"),
            (&["198.51.100.7, 192.0.2.1"], "192.0.2.1"),
            (&["198.51.100.7", "192.0.2.1"], "192.0.2.1"),
            (&["198.51.100.7", "192.0.2.1, 10.0.0.9"], "192.0.2.1"),
            (&["192.0.2.1,10.0.0.8", "10.0.0.9"], "192.0.2.1"),
            (&["10.0.0.8", "10.0.0.9"], "10.0.0.8"),
            (&["198.51.100.7", "192.0.2.1:4711"], "192.0.2.1"),
            (&["2001:db8::1"], "2001:db8::1"),
            (&["[2001:db8::1]"], "2001:db8::1"),
            (&["[2001:db8::1]:443"], "2001:db8::1"),
            (&["::ffff:192.0.2.1"], "192.0.2.1"),
            (&["192.0.2.1, ,, fd00::1 ,"], "192.0.2.1"),
            (&["192.0.2.1, unknown"], PROXY),
            (&["192.0.2.1, unknown, 10.0.0.9"], "10.0.0.9"),
            (&["192.0.2.1, 10.0.0.300"], PROXY),
            (&["192.0.2.1, 010.0.0.9"], PROXY),
            (&["192.0.2.1, \u{e9}"], PROXY),
            (&["192.0.2.1", ""], "192.0.2.1"),
        ] {
            let lines: Vec<_> = lines.iter().map(|line| ("x-forwarded-for", *line)).collect();
            assert_eq!(found(PROXY, XForwardedFor, &lines), client, "{lines:?}");
        }
        assert_eq!(
            found(PROXY, XRealIp, &[("x-real-ip", "198.51.100.7"), ("x-real-ip", "192.0.2.1")]),
            "192.0.2.1"
        );
    }

    #[test]
    fn forwarded_is_that_of_rfc_7239() {
        for (lines, client) in [
            (&["for=192.0.2.1"][..], "192.0.2.1"),
            (&["For=\"[2001:db8:cafe::17]:4711\""], "2001:db8:cafe::17"),
            (&["for=192.0.2.60;proto=http;by=203.0.113.43"], "192.0.2.60"),
            (&["proto=http ; FOR = \"192.0.2.1:80\""], PROXY),
            (&["proto=http; for=\"192.0.2.1:80\""], "192.0.2.1"),
            (&["for=192.0.2.43, for=198.51.100.17"], "198.51.100.17"),
            (&["for=198.51.100.17", "for=192.0.2.1;by=\"10.0.0.5\", for=10.0.0.9"], "192.0.2.1"),
            (&["for=192.0.2.1:4711"], "192.0.2.1"),
            (&["for=[2001:db8::1]"], "2001:db8::1"),
            (&["for=\"1\\92.0.2.1\""], "192.0.2.1"),
            (&["for=192.0.2.1, for=unknown"], PROXY),
            (&["for=192.0.2.1, for=_hidden"], PROXY),
            (&["for=192.0.2.1, for=\"_hidden:80\", for=10.0.0.9"], "10.0.0.9"),
            (&["for=192.0.2.1, proto=https"], PROXY),
            (&["for=192.0.2.1;for=192.0.2.2"], PROXY),
            (&["for=192.0.2.1;"], PROXY),
            (&["192.0.2.1"], PROXY),
            // Text that a client sent before it does not affect what the proxy added.
            (&["for=6.6.6.6, x=\"", "for=192.0.2.1"], "192.0.2.1"),
            (&["for=6.6.6.6, x=\", for=192.0.2.1"], "192.0.2.1"),
            (&["for=6.6.6.6, x=\"\\, for=\"[2001:db8::1]\""], "2001:db8::1"),
            (&["x=\", for=192.0.2.1;host=\",for=6.6.6.6,x=\""], "192.0.2.1"),
            (&["for=6.6.6.6, for=192.0.2.1;host=\"a\\\"b\\\\\""], "192.0.2.1"),
        ] {
            let lines: Vec<_> = lines.iter().map(|line| ("forwarded", *line)).collect();
            assert_eq!(found(PROXY, Forwarded, &lines), client, "{lines:?}");
        }
    }
}
