//! The edge: how paths are spelled, what proxies say, which hosts are asked for, who reads metrics.

mod paths;
mod proxies;

use std::net::TcpListener;

use portico::{
    server,
    settings::{Profile, Settings},
};
use portico_testkit::server::{Database, PASSWORD, TestServer};
use reqwest::Method;
use serde_json::json;

use crate::{
    fixture::{Fixture, text},
    wire::Wire,
};

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
        "/api/docs/docs.css".to_owned(),
        "/api/docs/swagger-ui.css".to_owned(),
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
