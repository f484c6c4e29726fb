//! The edge: how paths are spelled, what proxies say, which hosts are asked for, who reads metrics.

use std::{collections::BTreeSet, net::TcpListener};

use portico::{
    server,
    settings::{Profile, Settings},
};
use portico_testkit::{
    collector::TestCollector,
    server::{Database, PASSWORD, TestServer},
};
use portico_web::alias;
use portico_web::client::ForwardedHeader;
use reqwest::Method;
use serde_json::json;

use crate::{
    fixture::{Fixture, text},
    wire::Wire,
};

const LOGIN: &str = "/api/v1/auth/login";

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

/// Sends what a proxy at this machine passes on: its own line after those of the client.
fn through_proxy(wire: &mut Wire, made_up: &[&str], added: &str) -> u16 {
    wire.ask("POST", LOGIN, &[made_up, &[added]].concat()).status
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_does_not_choose_its_address() {
    for (believed, real, other) in [
        (ForwardedHeader::XForwardedFor, "X-Forwarded-For: 192.0.2.7", "X-Forwarded-For: 192.0.2.8"),
        (ForwardedHeader::Forwarded, "Forwarded: for=192.0.2.7;proto=http", "Forwarded: for=192.0.2.8"),
        (ForwardedHeader::XRealIp, "X-Real-IP: 192.0.2.7", "X-Real-IP: 192.0.2.8"),
    ] {
        let server = TestServer::start_with(Database::Sqlite, |settings| {
            settings.server.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
            settings.server.forwarded_header = believed;
            settings.rate_limit.enabled = true;
            settings.rate_limit.sensitive = 2;
        })
        .await;
        let mut wire = Wire::to(&server);
        let mut statuses = Vec::new();
        for number in 1..=6 {
            let lines = [
                format!("X-Forwarded-For: 198.51.100.{number}, 127.0.0.1"),
                format!("Forwarded: for=198.51.100.{number}, for=\"127.0.0.1"),
                format!("X-Real-IP: 198.51.100.{number}"),
            ];
            let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
            statuses.push(through_proxy(&mut wire, &lines, real));
        }
        assert_eq!(statuses, [415, 415, 429, 429, 429, 429], "{believed:?}");
        assert_eq!(through_proxy(&mut wire, &[real], other), 415, "{believed:?}: nobody else is locked out");
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_and_the_trail_go_by_the_address_that_the_proxy_saw() {
    let server = TestServer::start_with(Database::Sqlite, |settings| {
        settings.server.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    })
    .await;
    let owner = server.customer("ada@example.com").await;
    let body = json!({"name": "Key", "permissions": ["sites:read", "audit:read"], "allowedAddresses": ["203.0.113.0/24"]});
    let made = owner.post(&owner.t("/api-keys"), body).await.expect(201);
    let key = format!("X-API-Key: {}", text(&made, "key"));
    let mut wire = Wire::to(&server);
    let (inside, outside) = ("X-Forwarded-For: 203.0.113.5", "X-Forwarded-For: 192.0.2.7");
    assert_eq!(wire.ask("GET", "/api/v1/sites", &[&key, outside, inside]).status, 200);
    let refused = wire.ask("GET", "/api/v1/sites", &[&key, inside, outside]);
    assert_eq!((refused.status, &refused.json["code"]), (403, &json!("address_not_allowed")));
    assert_eq!(wire.ask("GET", "/api/v1/events", &[&key, inside, outside]).status, 403);

    let token = format!("Authorization: {}", owner.headers["authorization"]);
    let switched = format!("/api/v1/auth/switch-tenant/{}", owner.tenant);
    wire.ask("POST", &switched, &[&token, inside, outside]);
    let login = json!({"email": "ada@example.com", "password": "Wrong-Horse-7"});
    let client = server.client().with("x-forwarded-for", "203.0.113.9, 192.0.2.44");
    client.post(LOGIN, login).await.expect(401);
    let trail = owner.get(&owner.t("/audit?limit=100")).await.expect(200).to_string();
    assert!(!trail.contains("203.0.113.9"), "{trail}");
    server.stop().await;
}

async fn in_production(adjust: impl FnOnce(&mut Settings)) -> TestServer {
    TestServer::start_with(Database::Sqlite, |settings| {
        settings.profile = Profile::Production;
        adjust(settings);
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn in_development_metrics_are_for_the_same_machine() {
    let server = TestServer::start_with(Database::Sqlite, |settings| {
        settings.server.trusted_proxies = vec!["192.0.2.0/24".parse().unwrap()];
    })
    .await;
    let text = server.client().get("/api/metrics").await.text;
    assert!(
        text.contains("portico_build_info{version=") || text.contains("portico_build_info{revision="),
        "{text}"
    );
    for header in ["x-forwarded-for", "forwarded", "x-real-ip"] {
        let through_a_proxy = server.client().with(header, "127.0.0.1").get("/api/metrics").await;
        assert_eq!(through_a_proxy.status.as_u16(), 404, "{header}");
    }
    server.stop().await;
    let server = TestServer::start_with(Database::Sqlite, |settings| {
        settings.server.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    })
    .await;
    assert_eq!(server.client().get("/api/metrics").await.status.as_u16(), 404, "a proxy asks for somebody");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_are_not_for_everybody_in_production() {
    const TOKEN: &str = "0123456789abcdef0123456789abcdef";
    let server = in_production(|_| {}).await;
    let mut wire = Wire::to(&server);
    for path in ["/api/metrics", "/api/metric%73", "/%61pi/metrics", "/api//metrics", "/api/metrics/"] {
        let reply = wire.ask("GET", path, &["X-Forwarded-For: 127.0.0.1", "Authorization: Bearer "]);
        assert!([404, 400].contains(&reply.status), "{path}: {reply:?}");
    }
    // On a port of its own they are open to every client that can reach it.
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let inside = format!("http://{}", listener.local_addr().unwrap());
    let running = server::start_health(server.app.clone(), listener).unwrap();
    let handle = running.handle();
    tokio::spawn(running);
    let answer = reqwest::get(format!("{inside}/api/metrics")).await.unwrap();
    assert_eq!(answer.status().as_u16(), 200);
    assert!(answer.text().await.unwrap().contains("process_start_time_seconds"));
    assert_eq!(reqwest::get(format!("{inside}/api/v1/sites")).await.unwrap().status().as_u16(), 404);
    handle.stop(false).await;
    server.stop().await;

    let server = in_production(|settings| settings.metrics.token = Some(TOKEN.to_owned().into())).await;
    for (shown, status) in [
        (format!("Bearer {TOKEN}"), 200),
        (format!("bearer {TOKEN}"), 200),
        (format!("Bearer {}", &TOKEN[1..]), 404),
        (format!("Basic {TOKEN}"), 404),
        (TOKEN.to_owned(), 404),
    ] {
        let answer = server.client().with("authorization", &shown).get("/api/metrics").await;
        assert_eq!(answer.status.as_u16(), status, "{shown}");
    }
    assert_eq!(server.client().get("/api/metrics").await.expect(404)["code"], "not_found");
    server.stop().await;

    // The network of the connection counts, not one that a header names; through a proxy all clients come from its address.
    for (allowed, trusted, status) in [
        ("127.0.0.0/8", "192.0.2.0/24", 200),
        ("127.0.0.0/8", "127.0.0.0/8", 404),
        ("192.0.2.0/24", "127.0.0.0/8", 404),
        ("192.0.2.0/24", "192.0.2.0/24", 404),
    ] {
        let server = in_production(|settings| {
            settings.metrics.allow_networks = vec![allowed.parse().unwrap()];
            settings.server.trusted_proxies = vec![trusted.parse().unwrap()];
        })
        .await;
        let client = server.client().with("x-forwarded-for", "192.0.2.1");
        assert_eq!(client.get("/api/metrics").await.status.as_u16(), status, "{allowed} {trusted}");
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mails_and_docs_are_not_for_another_host() {
    let server = TestServer::start_with(Database::Sqlite, |settings| {
        settings.server.public_url = Some("http://portal.example:7600".parse().unwrap());
    })
    .await;
    let port = server.url.rsplit_once(':').unwrap().1;
    server.unverified("ada@example.com").await;
    let mail = server.client().with("accept", "application/json");
    server.mail("ada@example.com", "verify-email").await;
    let listed = mail.get("/dev/mailbox").await.expect(200);
    let id = text(&listed["items"][0], "id");
    let paths = [
        "/dev/mailbox".to_owned(),
        format!("/dev/mailbox/{id}"),
        format!("/dev/mailbox/{id}/html"),
        "/api/docs/".to_owned(),
        "/api/docs/index.css".to_owned(),
        "/api/openapi.json".to_owned(),
    ];
    let ask = async |host: &str, path: &str| mail.with("host", host).get(path).await.status.as_u16();
    for path in &paths {
        for host in [
            format!("127.0.0.1:{port}"),
            format!("localhost:{port}"),
            "LOCALHOST.".to_owned(),
            format!("[::1]:{port}"),
            "portal.example".to_owned(),
            format!("portal.example.:{port}"),
        ] {
            assert_eq!(ask(&host, path).await, 200, "{host} {path}");
        }
        for host in [
            format!("evil.example:{port}"),
            "portal.example.evil.example".to_owned(),
            "localhost.evil.example".to_owned(),
            "192.0.2.1".to_owned(),
            "0.0.0.0".to_owned(),
            "2130706433".to_owned(),
        ] {
            assert_eq!(ask(&host, path).await, 404, "{host} {path}");
        }
    }
    let evil = mail.with("host", "evil.example");
    evil.send(Method::DELETE, "/dev/mailbox", None, "").await.expect(404);
    assert_ne!(mail.get("/dev/mailbox").await.expect(200)["items"], json!([]));
    let mut wire = Wire::to(&server);
    assert_eq!(
        wire.ask("GET", "http://evil.example/dev/mailbox", &[]).status,
        404,
        "the target names the host"
    );
    assert_eq!(wire.ask_host("GET", "/dev/mailbox", &["Host: localhost", "Host: evil.example"]).status, 400);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_root_of_the_dns_is_no_part_of_a_host() {
    let server = TestServer::start().await;
    let fixture = Fixture::new(&server, "harbour").await;
    let (host, port) = (&fixture.ids["siteHost"], server.url.rsplit_once(':').unwrap().1);
    for host in
        [format!("{host}:{port}"), format!("{host}."), format!("{host}.:{port}"), host.to_uppercase() + "."]
    {
        let page = server.client().with("host", &host).get("/").await;
        assert_eq!(page.status.as_u16(), 200, "{host}");
        assert!(page.header("content-type").starts_with("text/html"), "{host}");
    }
    assert_eq!(server.client().get(&format!("/api/tls/ask?domain={host}.")).await.status.as_u16(), 200);
    assert_eq!(server.client().get(&format!("/api/tls/ask?domain={host}..")).await.status.as_u16(), 404);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn browsers_are_kept_on_tls_where_there_is_tls() {
    for (url, expected) in [("https://portal.example", "max-age=31536000"), ("http://portal.example", "")] {
        let server = TestServer::start_with(Database::Sqlite, |settings| {
            settings.server.public_url = Some(url.parse().unwrap());
        })
        .await;
        for path in ["/api/health", "/api/v1/sites", "/verify-email", "/api/v1//sites"] {
            let answer = server.client().get(path).await;
            assert_eq!(answer.header("strict-transport-security"), expected, "{url} {path}");
        }
        let site = server.client().with("host", "nobody.localhost").get("/").await;
        assert_eq!((site.status.as_u16(), site.header("strict-transport-security")), (404, expected));
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_field_is_there_once() {
    let server = TestServer::start().await;
    let send = async |path: &str, body: &str| {
        server.client().send(Method::POST, path, Some(body.as_bytes().to_vec()), "application/json").await
    };
    let register = "/api/v1/auth/register";
    for body in [
        format!(
            r#"{{"email": "a@example.com", "email": "b@example.com", "password": "{PASSWORD}", "fullName": "A"}}"#
        ),
        format!(
            r#"{{"email": "a@example.com", "e\u006dail": "b@example.com", "password": "{PASSWORD}", "fullName": "A"}}"#
        ),
        r#"{"fullName": {"deep": [{"x": 1, "x": 2}]}}"#.to_owned(),
    ] {
        let refused = send(register, &body).await;
        assert_eq!(refused.expect(400)["code"], "malformed_body", "{body}");
    }
    let body = format!(
        r#"{{"email": "a@example.com", "password": "{PASSWORD}", "fullName": "A", "full_name": "B"}}"#
    );
    let refused = send(register, &body).await;
    assert_eq!(refused.status.as_u16(), 422, "{}", refused.text);
    server.stop().await;
}
