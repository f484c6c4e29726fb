//! One path in many spellings is one path, and a page has one address.

use std::collections::BTreeSet;

use portico::server;
use portico_testkit::{
    collector::TestCollector,
    server::{Database, TestServer},
};
use portico_web::alias;
use serde_json::json;

use crate::{fixture::Fixture, wire::Wire};

/// Every documented path of an operation.
fn names(canonical: &str) -> BTreeSet<String> {
    let aliases = alias::ALIASES.iter().filter_map(|(alias, target)| {
        let rest = canonical.strip_prefix(target).filter(|rest| rest.is_empty() || rest.starts_with('/'))?;
        Some(format!("{alias}{rest}"))
    });
    let names: BTreeSet<String> =
        aliases.filter(|name| alias::canonical(name).as_deref() == Some(canonical)).collect();
    names.into_iter().chain([canonical.to_owned()]).collect()
}

/// A path in many ways that some parser could take for the same.
fn spellings(path: &str, host: &str) -> Vec<String> {
    let mut spellings = Vec::new();
    let encoded = |byte: u8, upper: bool| if upper { format!("%{byte:02X}") } else { format!("%{byte:02x}") };
    for (at, byte) in path.bytes().enumerate().skip(1) {
        let (before, after) = (&path[..at], &path[at + 1..]);
        let mut put = |between: &str| spellings.push(format!("{before}{between}{after}"));
        if byte == b'/' {
            for between in [
                "%2f",
                "%2F",
                "%252f",
                "//",
                "///",
                "/./",
                "/%2e/",
                "/x/../",
                "/x/%2e%2e/",
                "\\",
                "/\\",
                "%5c",
                "/;/",
                ";/",
                ";a=b/",
                "/%20/",
                "%c0%af",
                "/%00",
                "%0a/",
                "/%09/",
                "%ef%bc%8f",
            ] {
                put(between);
            }
        } else {
            put(&encoded(byte, false));
            put(&encoded(byte, true));
            put(&format!("%25{byte:02x}"));
            put(&format!("%u00{byte:02x}"));
            put(&char::from(byte).to_uppercase().to_string());
            put(&encoded(byte.to_ascii_uppercase(), false));
            // The letter in full width, which some compatibility forms of Unicode make the letter again.
            put(&format!("%ef%bd%{:02x}", byte.wrapping_add(0x20) & 0xbf | 0x80));
            put(&format!("{}%00", char::from(byte)));
        }
    }
    for upper in [false, true] {
        let all = |byte: u8| if byte == b'/' { "/".to_owned() } else { encoded(byte, upper) };
        spellings.push(path.bytes().map(all).collect());
    }
    spellings.push(path.bytes().map(|byte| encoded(byte, false)).collect());
    for end in [
        "/",
        "//",
        "/.",
        "/..",
        "?",
        "?a=b",
        "?%00",
        "#",
        "#a",
        ";",
        ";a=b",
        "%20",
        "%00",
        "%0a",
        "%0d%0a",
        ".",
        "%",
        "%2",
        "%zz",
        "%ff",
        "%2f",
        "%c3%a9",
        "\\",
        ".json",
        "%3f",
        "%3fa=b",
        "%23",
        "%2e",
        "/%2e",
        "/%2e%2e/login",
        "+",
    ] {
        spellings.push(format!("{path}{end}"));
    }
    for beginning in ["/", "//", "/.", "/..", "/./", "/x/..", "/%2e", "/%2f", "/\\", "//evil.example", "/;"] {
        spellings.push(format!("{beginning}{path}"));
    }
    for scheme in ["http", "HTTP", "https"] {
        for host in [host, "evil.example", "user@evil.example"] {
            spellings.push(format!("{scheme}://{host}{path}"));
        }
    }
    spellings.push(path.trim_start_matches('/').to_owned());
    spellings
}

#[tokio::test(flavor = "multi_thread")]
async fn a_strict_operation_has_one_limit_however_it_is_spelled() {
    let server = TestServer::start_with(Database::Sqlite, |settings| {
        settings.rate_limit.enabled = true;
        settings.rate_limit.sensitive = 1;
        settings.rate_limit.per_address = 1_000_000;
    })
    .await;
    let mut wire = Wire::to(&server);
    let host = wire.host.clone();
    let mut failures = Vec::new();
    let (mut limited, mut refused) = (0, 0);
    let rows = server::operations();
    let strict = rows.iter().filter(|row| row.operation.strict).map(|row| row.path.as_str());
    for canonical in strict {
        let found = server.app.api.document.path(canonical).map(|path| path.methods.as_str());
        assert_eq!(found, Some("POST"), "{canonical}");
        let first = wire.ask("POST", canonical, &[]);
        assert_eq!((first.header("x-ratelimit-limit"), first.header("x-ratelimit-remaining")), ("1", "0"));
        for name in names(canonical) {
            assert_eq!(wire.ask("POST", &name, &[]).status, 429, "{name}");
            for spelling in spellings(&name, &host) {
                let reply = wire.ask("POST", &spelling, &[]);
                match reply.status {
                    429 if reply.header("x-ratelimit-limit") == "1" => limited += 1,
                    400 | 404 | 405 => refused += 1,
                    status => failures.push(format!("{spelling}: {status}")),
                }
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert!(limited > 1000 && refused > 1000, "{limited} spellings were limited, {refused} refused");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_without_a_normal_form_is_refused() {
    let server = TestServer::start().await;
    let mut wire = Wire::to(&server);
    for path in [
        "/api/v1//sites",
        "//api/v1/sites",
        "/api/v1/./sites",
        "/api/v1/x/../sites",
        "/api/v1/%2e%2e/sites",
        "/api%2fv1/sites",
        "/api\\v1/sites",
        "/api/v1/sites%00",
        "/api/v1/sites%0d%0aX:%20y",
        "/api/v1/sites/%zz",
        "/api/v1/sites/%",
        "*",
        "/api/v1/sites/%c3",
        "/preview//secret",
        "/preview%2Fsecret",
        "/./preview/secret",
    ] {
        let reply = wire.ask("GET", path, &[]);
        assert_eq!((reply.status, &reply.json["code"]), (400, &json!("invalid_path")), "{path}");
        assert_eq!(reply.json["instance"], "/…", "{path}: it may hold what opens a preview");
        assert_eq!(reply.header("x-content-type-options"), "nosniff", "{path}");
    }
    // Equivalent ones are the same for routes, methods, problems and aliases.
    for path in ["/api/v1/s%69tes", "/%61pi/v1/sites", "/customer/sit%65s"] {
        assert_eq!(wire.ask("GET", path, &[]).status, 401, "{path}");
        let reply = wire.ask("DELETE", path, &[]);
        assert_eq!((reply.status, reply.header("allow")), (405, "GET, POST"), "{path}");
    }
    assert_eq!(
        wire.ask("GET", "/api/v1/n%6fwhere/%c3%a9?a=%2f", &[]).json["instance"],
        "/api/v1/nowhere/%C3%A9"
    );
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_opens_a_preview_is_in_no_trace_and_no_metric() {
    let collector = TestCollector::start().await;
    let server = TestServer::start_with(Database::Sqlite, |settings| {
        settings.telemetry.otlp_endpoint = Some(collector.url().parse().unwrap());
    })
    .await;
    let mut wire = Wire::to(&server);
    for path in [
        "/preview/hush/",
        "/previe%77/hush/",
        "/%70review/h%75sh",
        "//preview/hush",
        "/preview%2fhush",
        "/x/../preview/hush",
        "/preview/hush%00",
        "/PREVIEW/../preview/hush",
    ] {
        assert!([400, 404, 307].contains(&wire.ask("GET", path, &[]).status), "{path}");
    }
    server.app.core.tracer.flush().await;
    let spans = collector.spans();
    let requests: Vec<_> = spans.iter().filter(|span| span.kind == "Server").collect();
    assert_eq!(requests.len(), 8, "{requests:#?}");
    for span in &requests {
        assert!(["/preview/…", "/…"].contains(&&*span.attributes["url.path"]), "{span:#?}");
    }
    assert!(!format!("{spans:?}").contains("hush"), "{spans:#?}");
    assert!(!server.client().get("/api/metrics").await.text.contains("hush"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_published_page_has_one_address() {
    let server = TestServer::start().await;
    let fixture = Fixture::new(&server, "harbour").await;
    let host = format!("Host: {}", fixture.ids["siteHost"]);
    let page = server.client().with("host", &fixture.ids["siteHost"]).get("/").await;
    let sheet =
        page.text.split("href=\"/assets/").nth(1).and_then(|rest| rest.split('"').next()).unwrap().to_owned();
    let mut wire = Wire::to(&server);
    let mut get = |path: &str| wire.ask_host("GET", path, &[&host]);
    assert_eq!(get(&format!("/assets/{sheet}")).status, 200);
    for (odd, location) in [
        (format!("/%61ssets/{sheet}"), format!("/assets/{sheet}")),
        (format!("/%61ssets/{sheet}?a=%62"), format!("/assets/{sheet}?a=%62")),
        ("/%65vil.example/%c3%a9".to_owned(), "/evil.example/%C3%A9".to_owned()),
        ("/a|b".to_owned(), "/a%7Cb".to_owned()),
    ] {
        let reply = get(&odd);
        assert_eq!((reply.status, reply.header("location")), (308, location.as_str()), "{odd}");
    }
    // No redirect that a browser could take for another host.
    for odd in [
        "//evil.example".to_owned(),
        "//evil.example/%61".to_owned(),
        "/\\evil.example/%61".to_owned(),
        "/%5cevil.example".to_owned(),
        "/%2fevil.example/%61".to_owned(),
        "/.//evil.example".to_owned(),
        format!("//assets/{sheet}"),
        format!("/x/../assets/{sheet}"),
        format!("/assets%2f{sheet}"),
        format!("/assets/{sheet}%00"),
        "*".to_owned(),
    ] {
        let reply = get(&odd);
        assert_eq!((reply.status, reply.header("location")), (404, ""), "{odd}");
    }
    server.stop().await;
}
