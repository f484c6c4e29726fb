//! What handles a request before any route does: the spelling of its path, and forwarding headers of proxies.

use std::{collections::BTreeSet, net::IpAddr, sync::LazyLock};

use actix_web::{
    dev::{ResourceDef, Url},
    http::{
        Uri,
        header::{HeaderMap, HeaderName, HeaderValue},
    },
};
use ipnet::IpNet;
use portico::server;
use portico_web::{
    alias,
    client::{self, ForwardedHeader},
    openapi::Document,
    path::normalize,
};

use super::inputs::Numbers;

/// The paths of all operations, as the router matches them.
static OPERATIONS: LazyLock<Vec<(String, ResourceDef)>> = LazyLock::new(|| {
    let paths: BTreeSet<String> = server::operations().into_iter().map(|row| row.path).collect();
    paths.into_iter().map(|path| (path.clone(), ResourceDef::new(path))).collect()
});

/// The paths of strict operations.
static STRICT_PATHS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let rows = server::operations();
    rows.into_iter().filter(|row| row.operation.strict).map(|row| row.path).collect()
});

/// The document, or why the routes do not make one.
static DOCUMENT: LazyLock<Result<Document, String>> =
    LazyLock::new(|| Document::new(&server::operations()).map_err(|error| error.to_string()));

/// Every path under which a strict operation is documented, and the canonical one.
static STRICT: LazyLock<Vec<(String, &str)>> = LazyLock::new(|| {
    let mut names: Vec<(String, &str)> =
        STRICT_PATHS.iter().map(|path| (path.clone(), path.as_str())).collect();
    for canonical in STRICT_PATHS.iter() {
        for (alias, target) in alias::ALIASES {
            let rest = canonical.strip_prefix(target);
            if let Some(rest) = rest.filter(|rest| rest.is_empty() || rest.starts_with('/')) {
                let name = format!("{alias}{rest}");
                if alias::canonical(&name).as_deref() == Some(canonical) {
                    names.push((name, canonical));
                }
            }
        }
    }
    names
});

/// Paths: the input itself, and a strict operation that is spelled and broken as the input says.
pub fn path(input: &str) -> Result<bool, String> {
    let mut numbers = numbers_of(input);
    let accepted = dispatch(input)?.is_some();
    let Some((name, canonical)) = numbers.pick(&STRICT).cloned() else { return Ok(accepted) };
    // In another spelling, it is the same operation.
    let spelled: String = name.chars().map(|letter| spell(letter, &mut numbers)).collect();
    match dispatch(&spelled)? {
        Some(Some(found)) if found == canonical => {}
        found => return Err(format!("{spelled} is {found:?}, and not {canonical}")),
    }
    // With a piece of the input in it, it may be anything; `dispatch` checks which limit applies.
    let pieces: Vec<&str> = input.split_inclusive(['/', '%', '?']).collect();
    let piece = numbers.pick(&pieces).copied().unwrap_or_default();
    let at = numbers.below(spelled.len() + 1);
    if let (Some(before), Some(after)) = (spelled.get(..at), spelled.get(at..)) {
        dispatch(&format!("{before}{piece}{after}"))?;
    }
    Ok(accepted)
}

/// The operation that a target reaches, if any; `None` when it is refused. `Err` when that operation has another limit than is
/// counted for it.
fn dispatch(target: &str) -> Result<Option<Option<&'static str>>, String> {
    // The server refuses what is no URI before we see it.
    let Ok(uri) = target.parse::<Uri>() else { return Ok(None) };
    let Ok(normal) = normalize(uri.path()) else { return Ok(None) };
    match normalize(&normal) {
        Ok(again) if again == normal => {}
        again => return Err(format!("{normal} is not its own normal form: {again:?}")),
    }
    let canonical = alias::canonical(&normal).unwrap_or_else(|| normal.clone().into_owned());
    // The aliases make it longer by some letters.
    let Ok(uri) = canonical.parse::<Uri>() else { return Ok(None) };
    // What the router matches: it decodes once more, in part.
    let routed = Url::new(uri);
    let routed = routed.path();
    if routed.contains("//") || routed.contains('\\') || routed.contains(char::is_control) {
        return Err(format!("{target:?} is routed as {routed:?}"));
    }
    if routed.split('/').any(|segment| matches!(segment, "." | "..")) {
        return Err(format!("{target:?} is routed as {routed:?}"));
    }
    let is_preview = |path: &str| path.starts_with("/preview/");
    if is_preview(routed) != is_preview(&normal) {
        return Err(format!("{target:?} leads to a preview and does not look so"));
    }
    let reached =
        OPERATIONS.iter().find(|(_, pattern)| pattern.is_match(routed)).map(|(path, _)| path.as_str());
    let strict = reached.filter(|path| STRICT_PATHS.iter().any(|strict| strict == path));
    let counted = DOCUMENT.as_ref()?.path(&canonical).and_then(|path| path.strict());
    if strict != counted {
        return Err(format!("{target:?} reaches {reached:?} and is counted as {counted:?}"));
    }
    Ok(Some(reached))
}

/// A letter of a path as one may write it.
fn spell(letter: char, numbers: &mut Numbers) -> String {
    match numbers.below(4) {
        0 if letter != '/' => format!("%{:02x}", u32::from(letter)),
        1 if letter != '/' => format!("%{:02X}", u32::from(letter)),
        _ => letter.to_string(),
    }
}

/// Forwarding headers: whatever a client sent in them, the client address is the one that the proxy added.
pub fn forwarded(input: &str) -> Result<bool, String> {
    let (Ok(proxy), Ok(real)) = ("10.0.0.5".parse::<IpAddr>(), "192.0.2.7".parse::<IpAddr>()) else {
        return Err("the addresses of the test are none".to_owned());
    };
    let trusted: Vec<IpNet> = vec![proxy.into()];
    let quoted = input.replace('\\', "\\\\").replace('"', "\\\"");
    let mut found = false;
    for (header, added) in [
        (
            ForwardedHeader::XForwardedFor,
            vec![real.to_string(), format!("{real}:4711"), format!("{real}, {proxy}")],
        ),
        (ForwardedHeader::XRealIp, vec![real.to_string()]),
        (
            ForwardedHeader::Forwarded,
            vec![
                format!("for={real}"),
                format!("for={real};proto=https, for={proxy}"),
                format!("host=\"{quoted}\";for=\"{real}:4711\""),
                format!("for={real};host=\"{quoted}\""),
            ],
        ),
    ] {
        for added in added {
            // On a line of its own, and behind what the client wrote.
            for lines in [vec![input.to_owned(), added.clone()], vec![format!("{input}, {added}")]] {
                let Some(headers) = headers(header, &lines) else { continue };
                found = true;
                let client = client::find(proxy, &trusted, header, &headers);
                if client != real {
                    return Err(format!("{lines:?} makes {client} of {real}"));
                }
                let stranger = client::find(real, &trusted, header, &headers);
                if stranger != real {
                    return Err(format!("{lines:?} of a stranger makes {stranger} of {real}"));
                }
            }
        }
        // Alone, it may name any address; it must not panic.
        if let Some(headers) = headers(header, &[input.to_owned()]) {
            client::find(proxy, &trusted, header, &headers);
        }
    }
    Ok(found)
}

/// A header with these lines; `None` when one of them could not come over HTTP.
fn headers(header: ForwardedHeader, lines: &[String]) -> Option<HeaderMap> {
    let mut headers = HeaderMap::new();
    for line in lines {
        let value = HeaderValue::from_bytes(line.as_bytes()).ok()?;
        headers.append(HeaderName::from_static(header.name()), value);
    }
    Some(headers)
}

/// Random numbers seeded by the input.
fn numbers_of(input: &str) -> Numbers {
    let seed = input
        .bytes()
        .fold(input.len() as u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(byte)));
    Numbers::from_seed(seed)
}

/// Paths that some parser took for another one.
pub const PATHS: &[&str] = &[
    "/api/v1/auth/login",
    "/api/v1/auth/l%6fgin",
    "/api/v%31/auth/login",
    "/customer/auth/login",
    "/api/v1/customer/login",
    "/api/auth/register",
    "/api/v1/auth/mfa/verify",
    "/api/v1/ai/generate-page",
    "/api/metric%73",
    "/previe%77/token/",
    "/preview/token/page",
    "/api/v1/tenants/0199f3c2-6d4e-7c3a-9d7c-5a8e1f2b3c4d/pages",
    "/api/docs/",
    "/",
    "//",
    "/./",
    "/../",
    "/%2e%2e/",
    "/.%2e",
    "/%2f",
    "%2F",
    "%5c",
    "\\",
    "%",
    "%2",
    "%zz",
    "%25",
    "%252f",
    "%2570",
    "%00",
    "%0a",
    "%7f",
    "%c3%a9",
    "%c0%af",
    "%ff",
    "%ef%bc%8f",
    "%e2%80%ae",
    "%c2%85",
    "%u006f",
    "%6F",
    "%6f",
    "%70",
    "%41",
    "+",
    "%2b",
    "%20",
    ";",
    ";a=b",
    "%3b",
    "?",
    "?a=%2f",
    "%3f",
    "#",
    "%23",
    "*",
    "@",
    "%40",
    ":",
    "http://evil.example",
    "//evil.example",
    "https://user@host:80/api/v1/auth/login",
    "{",
    "}",
    "|",
    "^",
    "[",
    "]",
    "\"",
    "~",
    "%7e",
    ".json",
    "LOGIN",
];

/// What clients and proxies write about where a request came from.
pub const FORWARDED: &[&str] = &[
    "192.0.2.1",
    "198.51.100.7, 10.0.0.5",
    "10.0.0.5",
    "unknown",
    "_hidden",
    "2001:db8::1",
    "[2001:db8::1]",
    "[2001:db8::1]:443",
    "\"[2001:db8::1]:443\"",
    "::ffff:10.0.0.5",
    "127.0.0.1",
    "010.0.0.5",
    "10.0.0.5:99999",
    "for=192.0.2.1",
    "for=\"",
    "for=\"_gazonk\"",
    "For=\"[2001:db8:cafe::17]:4711\"",
    "for=192.0.2.60;proto=http;by=203.0.113.43",
    "for=unknown",
    ", for=6.6.6.6, x=\"",
    ",for=6.6.6.6,x=\"\\",
    "\\\"",
    "\\\\\"",
    "\"",
    "\\",
    ",",
    ", ,",
    ";",
    "=",
    "host=\"a,b;c\"",
    "proto=https",
    "by=_x",
    " ",
    "\t",
    "(",
    "{",
];
