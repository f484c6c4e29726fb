//! Other spellings of a request: PATCH for a partial PUT, former names, and links between pages of a list.

use portico_testkit::server::{Client, TestServer};
use reqwest::Method;
use serde_json::{Value, json};

async fn patch(client: &Client, path: &str, body: &Value, kind: &str) -> portico_testkit::server::Answer {
    client.send(Method::PATCH, path, Some(serde_json::to_vec(body).unwrap()), kind).await
}

#[tokio::test(flavor = "multi_thread")]
async fn patch_is_the_update_that_put_is() {
    TestServer::shared(async |server| {
        let client = server.customer(server.email("patch")).await;
        let site = client.post("/api/v1/sites", json!({"name": "One"})).await;
        let path = site.header("location").to_owned();
        for (kind, name) in [("application/merge-patch+json", "Two"), ("application/json", "Three")] {
            let answer = patch(&client, &path, &json!({"name": name}), kind).await;
            let etag = answer.header("etag").to_owned();
            assert_eq!(answer.expect(200)["name"], name, "{kind}");
            assert!(etag.starts_with("\"v"), "{kind}: {etag}");
        }
        let cleared =
            patch(&client, &path, &json!({"industry": "bakery"}), "application/json").await.expect(200);
        assert_eq!((&cleared["industry"], &cleared["name"]), (&json!("bakery"), &json!("Three")));
        let cleared = patch(&client, &path, &json!({"industry": null}), "application/merge-patch+json").await;
        assert_eq!(cleared.expect(200).get("industry").unwrap_or(&Value::Null), &Value::Null);
        let put = client.put(&path, json!({"name": "Four"})).await.expect(200);
        assert_eq!(put["name"], "Four");

        let stale = client.with("if-match", "\"v1\"");
        assert_eq!(patch(&stale, &path, &json!({"name": "x"}), "application/json").await.status, 412);
        for (body, status, fields) in
            [(json!({"nam": "x"}), 422, vec!["nam"]), (json!({"name": ""}), 422, vec!["name"])]
        {
            let answer = patch(&client, &path, &body, "application/merge-patch+json").await;
            assert_eq!(
                (answer.status.as_u16(), answer.fields()),
                (status, fields.iter().map(|f| (*f).to_owned()).collect())
            );
        }
        assert_eq!(
            patch(&client, &path, &json!([{"op": "test"}]), "application/json-patch+json").await.status,
            422
        );
        assert_eq!(patch(&client, &path, &json!({"name": "x"}), "text/plain").await.status, 415);
        assert_eq!(
            patch(&server.client(), &path, &json!({"name": "x"}), "application/json").await.status,
            401
        );
        // A PUT that replaces a whole has no PATCH.
        let order = client.t("/navigation/reorder");
        let refused = patch(&client, &order, &json!({"items": []}), "application/json").await;
        assert_eq!((refused.status.as_u16(), refused.header("allow")), (405, "PUT"));
        let known = patch(&client, "/api/v1/sites", &json!({}), "application/json").await;
        assert_eq!((known.status.as_u16(), known.header("allow")), (405, "GET, POST"));
        let allowed = client.post(&path, json!({})).await;
        assert_eq!((allowed.status.as_u16(), allowed.header("allow")), (405, "GET, PUT, DELETE, PATCH"));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_link_to_their_other_pages() {
    TestServer::shared(async |server| {
        let client = server.customer(server.email("links")).await;
        for title in ["A", "B", "C"] {
            client
                .post("/api/v1/wizard/start", json!({"businessInfo": {"name": title, "industry": "bakery"}}))
                .await
                .expect(201);
        }
        let all = client.get("/api/v1/wizard").await;
        assert_eq!(all.header("link"), "");
        let mut seen = Vec::new();
        let mut next = Some("/api/v1/wizard?status=in_progress&limit=2".to_owned());
        while let Some(path) = next {
            let page = client.get(&path).await;
            next = target(page.header("link"), "next");
            let items = page.expect(200)["items"].as_array().unwrap().clone();
            seen.extend(items.iter().map(|item| item["id"].as_str().unwrap().to_owned()));
        }
        seen.dedup();
        assert_eq!(seen.len(), 3, "{seen:?}");
        let second = client.get("/api/v1/wizard?limit=2&page=2").await;
        assert_eq!(
            second.header("link"),
            "</api/v1/wizard?limit=2&page=1>; rel=\"first\", </api/v1/wizard?limit=2&page=1>; rel=\"prev\""
        );

        // A list from the cache has the same links as the one that filled it.
        let site = client.post("/api/v1/sites", json!({"name": "Links"})).await.expect(201);
        for title in ["A", "B"] {
            client.post(&client.t("/pages"), json!({"title": title})).await.expect(201);
        }
        let pages = client.t(&format!("/pages?siteId={}&limit=1", site["id"].as_str().unwrap()));
        for _ in 0..2 {
            let answer = client.get(&pages).await;
            assert_eq!(target(answer.header("link"), "next").unwrap(), format!("{pages}&page=2"));
            assert_eq!(answer.expect(200)["limit"], 1);
        }

        // By cursor, and at an alias: the link leads to the canonical path.
        let audit = client.t("/audit?limit=1");
        let first = client.get(&audit.replace("/api/v1/", "/api/")).await;
        let next = target(first.header("link"), "next").unwrap();
        assert!(next.starts_with(&format!("{audit}&cursor=")), "{next}");
        let second = client.get(&next).await;
        assert_eq!(target(second.header("link"), "first").unwrap(), audit);
        assert_ne!(second.expect(200)["items"][0]["id"], first.expect(200)["items"][0]["id"]);
    })
    .await;
}

/// The target of a relation in `Link`.
fn target(link: &str, relation: &str) -> Option<String> {
    let relation = format!("; rel=\"{relation}\"");
    let found = link.split(", ").find_map(|link| link.strip_suffix(&relation))?;
    Some(found.trim_start_matches('<').trim_end_matches('>').to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn former_names_mean_the_same() {
    TestServer::shared(async |server| {
        let client = server.customer(server.email("former")).await;
        let offers = client.get("/api/v1/offers?limit=1").await.expect(200);
        for path in [
            "/api/v1/sites/for-sale?limit=1",
            "/customer/sites/for-sale?limit=1",
            "/api/v1/customer/sites/for-sale?limit=1",
        ] {
            assert_eq!(client.get(path).await.expect(200)["limit"], offers["limit"], "{path}");
        }
        assert_eq!(client.get("/api/v1/offers/no-such-site").await.status, 404);
        assert_eq!(client.get("/api/v1/sites/for-sale/no-such-site").await.status, 404);
        let log = client.t("/deliveries");
        for query in [
            "from=2026-01-01T00:00:00Z&to=2026-01-02T00:00:00Z",
            "since=2026-01-01T00:00:00Z&until=2026-01-02T00:00:00Z",
        ] {
            client.get(&format!("{log}?{query}")).await.expect(200);
        }
        for (query, field) in [("since=now", "since"), ("from=now", "from")] {
            let answer = client.get(&format!("{log}?{query}")).await;
            assert_eq!((answer.status.as_u16(), answer.fields()), (422, vec![field.to_owned()]), "{query}");
        }
        let twice = client.get(&format!("{log}?from=2026-01-01T00:00:00Z&since=2026-01-01T00:00:00Z")).await;
        assert_eq!(twice.status, 422);
    })
    .await;
}
