//! What proxies say about the client.

use portico_testkit::server::{Database, TestServer};
use portico_web::client::ForwardedHeader;
use serde_json::json;

use crate::{fixture::text, wire::Wire};

const LOGIN: &str = "/api/v1/auth/login";

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
