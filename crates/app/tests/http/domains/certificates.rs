//! Questions of a proxy about the domains that it is to have certificates for.

use portico_testkit::server::{Database, TestServer, at_once};
use serde_json::json;

use super::{Shop, alone, visit};

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_asks_before_it_has_a_certificate_made() {
    alone(Database::Postgres, async |server, dns| {
        let shop = Shop::new(server, server.email("tls")).await;
        shop.proven(dns, json!({"name": "tls.example"})).await;
        let pending = shop.add(json!({"name": "pending.example"})).await.expect(201);
        assert_eq!(pending["status"], "pending");
        let subdomain = shop.host.split(':').next().unwrap();
        for (domain, status) in [
            ("tls.example", 200),
            ("TLS.example", 200),
            (subdomain, 200),
            ("pending.example", 404),
            ("nobody.sites.example", 404),
            ("sites.example", 404),
            ("a.b.sites.example", 404),
            ("www.tls.example", 404),
            ("127.0.0.1", 404),
            ("", 404),
            ("..", 404),
        ] {
            let answer = server.client().get(&format!("/api/tls/ask?domain={domain}")).await;
            assert_eq!(answer.status.as_u16(), status, "{domain}: {answer:?}");
            assert!(!answer.text.contains("Luz"), "{answer:?}");
        }
        // At the name of a site nothing of the API answers.
        assert_eq!(visit(server, "tls.example", "/api/v1/plans").await.status, 404);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn questions_about_certificates_are_limited_for_all_together() {
    let server =
        TestServer::start_with(Database::Sqlite, |settings| settings.rate_limit.enabled = true).await;
    let client = server.client();
    let answers = at_once(400, |_| {
        let client = client.clone();
        async move { client.get("/api/tls/ask?domain=nobody.example").await }
    })
    .await;
    let refused = answers.iter().filter(|answer| answer.status == 429).count();
    assert!((1..=200).contains(&refused), "{refused}");
    assert!(answers.iter().all(|answer| matches!(answer.status.as_u16(), 404 | 429)));
    let limited = answers.iter().find(|answer| answer.status == 429).unwrap();
    assert_eq!(limited.header("retry-after"), "1");
    server.stop().await;
}
