//! Tickets: one GET of a download or of the event stream without a header.

use portico_testkit::server::{Client, TestServer, at_once};
use reqwest::StatusCode;
use serde_json::{Value, json};
use time::Duration;

use crate::fixture::text;

const TICKETS: &str = "/api/v1/auth/tickets";

/// The link for a path, without the server's public address.
async fn link(client: &Client, path: &str) -> String {
    let made = client.post(TICKETS, json!({"path": path})).await;
    assert_eq!(made.header("cache-control"), "no-store");
    let url = text(&made.expect(201), "url");
    url[url.find("/api/").unwrap()..].to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_opens_one_download_once() {
    TestServer::on_each_database(async |server| {
        let owner = server.customer(server.email("owner")).await;
        let path = owner.t("/audit/export?format=csv");
        let opened = link(&owner, &path).await;
        let anyone = server.client();
        // Another path, another query, another method; none of them uses it up.
        let (_, ticket) = opened.rsplit_once("ticket=").unwrap();
        let other = owner.t("/audit/export");
        for wrong in [
            format!("{other}?format=csv&type=user.registered&ticket={ticket}"),
            format!("{other}?ticket={ticket}"),
            format!("{}?ticket={ticket}", owner.t("/audit")),
            format!("{path}&ticket={ticket}&ticket={ticket}"),
            format!("{path}&ticket={}x", &ticket[..ticket.len() - 1]),
            format!("{path}&ticket="),
            format!("/api/v1/profile?ticket={ticket}"),
        ] {
            assert_eq!(anyone.get(&wrong).await.status, StatusCode::UNAUTHORIZED, "{wrong}");
        }
        assert_eq!(owner.get(&opened).await.status, 401, "with two credentials");
        let answers = at_once(16, |_| {
            let (client, path) = (server.client(), opened.clone());
            async move {
                let answer = client.get(&path).await;
                (answer.status.as_u16(), answer.header("content-type").to_owned())
            }
        })
        .await;
        let good: Vec<_> = answers.iter().filter(|answer| answer.0 == 200).collect();
        assert!(good.len() == 1 && good[0].1.starts_with("text/csv"), "{answers:?}");
        assert!(answers.iter().all(|answer| matches!(answer.0, 200 | 401)), "{answers:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_has_the_rights_of_its_caller_at_the_time_of_its_use() {
    TestServer::shared(async |server| {
        let owner = server.customer(server.email("owner")).await;
        let stranger = server.customer(server.email("stranger")).await;
        let path = owner.t("/audit/export?format=csv");
        // It can be asked for, and opens nothing.
        let opened = link(&stranger, &path).await;
        assert_eq!(server.client().get(&opened).await.status, 404);
        let opened = link(&owner, &path).await;
        owner.post_empty("/api/v1/auth/logout").await.expect(204);
        assert_eq!(server.client().get(&opened).await.status, 401, "the session is over");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_stream_opens_by_ticket_in_the_tenant_of_the_request() {
    TestServer::shared(async |server| {
        let owner = server.customer(server.email("owner")).await;
        let opened = link(&owner, "/api/v1/events?types=page.*").await;
        let response = reqwest::get(format!("{}{opened}", server.url)).await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        let again = reqwest::get(format!("{}{opened}", server.url)).await.unwrap();
        assert_eq!(again.status(), 401);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_downloads_and_streams_and_only_for_users() {
    TestServer::shared(async |server| {
        let owner = server.customer(server.email("owner")).await;
        let export = owner.t("/audit/export");
        for path in [
            "",
            "/",
            "/api/v1/profile",
            "https://evil.example/api/v1/events",
            "//evil.example/api/v1/events",
            "/api/v1/events#x",
            "/api/v1/events?ticket=x",
            "/api/v1/events?a=1&ticket=x",
            "/api/v1/../v1/events",
            "/api/v1/events?x=a b",
            &format!("/api/v1/events?{}", "x".repeat(2000)),
        ] {
            let answer = owner.post(TICKETS, json!({"path": path})).await;
            assert_eq!((answer.status.as_u16(), answer.fields()), (422, vec!["path".to_owned()]), "{path}");
        }
        let answer = server.client().post(TICKETS, json!({"path": export})).await;
        assert_eq!(answer.status, 401);
        let key: Value = owner
            .post(&owner.t("/api-keys"), json!({"name": "Program", "permissions": ["sites:read"]}))
            .await
            .expect(201);
        let mut program = server.client().with("x-api-key", &text(&key, "key"));
        program.tenant = owner.tenant.clone();
        assert_eq!(program.post(TICKETS, json!({"path": export})).await.status, 403);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_expires_after_a_minute() {
    TestServer::shared(async |server| {
        let owner = server.customer(server.email("owner")).await;
        let made = owner.post(TICKETS, json!({"path": owner.t("/audit/export")})).await.expect(201);
        let expires: portico_kernel::Timestamp = serde_json::from_value(made["expiresAt"].clone()).unwrap();
        let left = expires - server.app.core.env.now();
        assert!(left > Duration::seconds(50) && left <= Duration::minutes(1), "{left}");
    })
    .await;
}
