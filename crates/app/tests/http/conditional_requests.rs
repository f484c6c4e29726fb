//! What a client knows of a thing already: `If-Match`, `If-None-Match`, and who comes first.

use portico_testkit::server::{Client, TestServer, at_once};
use serde_json::{Value, json};

use crate::{
    authorization::{body, call},
    bad_input::{Failures, fixture, fixture_on, operations},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_if_match_changes_nothing() {
    TestServer::on_each_database(async |server| {
        let fixture = fixture_on(server).await;
        let before = fixture.snapshot().await;
        let (mut failures, mut seen) = (Failures::default(), 0);
        for operation in operations().iter().filter(|operation| operation.takes("header", "If-Match")) {
            seen += 1;
            let kind = (operation.method.as_str(), operation.path.as_str());
            let body = body(server, &fixture, &fixture.owner, kind, seen).await;
            for tag in ["\"v999\"", "\"v0\"", "\"v-1\"", "W/\"v1\"", "v1", "\"", "x".repeat(5000).as_str()] {
                // SEO metadata has the version 0 while nothing is set.
                if tag == "\"v0\"" && kind.1.ends_with("/seo") {
                    continue;
                }
                let client = fixture.owner.client.with("if-match", tag);
                let answer = call(&client, kind.0, &fixture.path(kind.1), body.as_ref()).await;
                failures.check(format!("{} {} with {tag}", kind.0, kind.1), &answer, 412);
            }
        }
        failures.none();
        assert!(seen >= 10, "only {seen} operations take If-Match");
        assert_eq!(fixture.snapshot().await, before);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_client_has_is_not_sent_again() {
    let (_server, fixture) = fixture().await;
    let (mut failures, mut seen) = (Failures::default(), 0);
    for operation in operations().iter().filter(|operation| operation.answers("304")) {
        seen += 1;
        let (client, path) = (&fixture.owner.client, fixture.path(&operation.path));
        let first = client.get(&path).await;
        let tag = first.header("etag");
        assert!(!tag.is_empty(), "{path} has no ETag");
        for (tags, status) in [
            (tag.to_owned(), 304),
            (format!("W/{tag}"), 304),
            (format!("\"other\", {tag}"), 304),
            ("*".to_owned(), 304),
            ("\"other\"".to_owned(), 200),
        ] {
            let answer = client.with("if-none-match", &tags).get(&path).await;
            failures.check(format!("{path} with {tags}"), &answer, status);
            if status == 304 && (!answer.text.is_empty() || answer.header("etag") != tag) {
                failures.note(format!("{path} with {tags}"), &answer);
            }
        }
    }
    failures.none();
    assert!(seen >= 5, "only {seen} operations answer 304");
}

/// Sends one request 16 times at once: one creates the resource, the others get 409 with this code.
async fn exactly_one(client: &Client, requests: [(String, Value); 2], code: &str) {
    let answers = at_once(16, |number| {
        let (client, (path, body)) = (client.clone(), requests[number % 2].clone());
        async move { client.post(&path, body).await }
    })
    .await;
    let made = answers.iter().filter(|answer| answer.status.as_u16() == 201).count();
    assert_eq!(made, 1, "{answers:?}");
    for answer in answers.iter().filter(|answer| answer.status.as_u16() != 201) {
        assert_eq!((answer.status.as_u16(), &answer.json["code"]), (409, &json!(code)), "{}", answer.text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_sixteen_that_want_one_name_at_once_one_gets_it() {
    TestServer::on_each_database(async |server| {
        let fixture = fixture_on(server).await;
        let client = &fixture.owner.client;
        let page = (client.t("/pages"), json!({"title": "Prices", "slug": "prices"}));
        exactly_one(client, [page.clone(), page], "slug_taken").await;
        let site = ("/api/v1/sites".to_owned(), json!({"name": "Shop", "subdomain": "the-shop"}));
        exactly_one(client, [site.clone(), site], "subdomain_taken").await;
        let tenant = ("/api/v1/tenants".to_owned(), json!({"name": "Firm", "subdomain": "the-firm"}));
        exactly_one(client, [tenant.clone(), tenant], "subdomain_taken").await;
        let site = ("/api/v1/sites".to_owned(), json!({"name": "Either", "subdomain": "either"}));
        let tenant = ("/api/v1/tenants".to_owned(), json!({"name": "Or", "subdomain": "either"}));
        exactly_one(client, [site, tenant], "subdomain_taken").await;
    })
    .await;
}
