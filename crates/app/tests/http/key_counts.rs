//! What is counted and kept of the use of API keys.

use std::time::Duration;

use portico::background;
use portico_identity::api_key::KeyText;
use portico_testkit::server::{Client, TestServer, at_once};
use serde_json::{Value, json};

use crate::{
    api_keys::{futures, key_path, keyed, make, refused, trail, usage, with_key},
    fixture::text,
};

/// Asks until the server has an answer; one that is overloaded, as the machine of a test may be, says when to come back. Answers the
/// status, and how often it was 503 before.
async fn until_answered(client: &Client, path: &str) -> (u16, u64) {
    for refusals in 0..30 {
        let answer = client.get(path).await;
        if answer.status.as_u16() != 503 {
            return (answer.status.as_u16(), refusals);
        }
        let pause = answer.header("retry-after").parse().expect("it says when to come back");
        tokio::time::sleep(Duration::from_secs(pause)).await;
    }
    panic!("{path} is never answered");
}

/// The counts of an endpoint by status, but for refusals of an overloaded server.
fn but_refusals(endpoint: &Value) -> Vec<Value> {
    let statuses = endpoint["statuses"].as_array().unwrap();
    statuses.iter().filter(|count| count["status"] != 503).cloned().collect()
}

/// The requests of a report, but for such refusals.
fn answered(report: &Value) -> u64 {
    let counts = report["endpoints"].as_array().unwrap().iter().flat_map(but_refusals);
    counts.map(|count| count["requests"].as_u64().unwrap()).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_requests_at_once_are_all_counted() {
    TestServer::on_each_database(async |server| {
        let (owner, key, client) = keyed(server).await;
        let paths = [owner.t("/pages"), owner.t(""), owner.t("/navigation"), "/api/v1/nowhere".to_owned()];
        let answers = at_once(200, |number| {
            let (client, path) = (client.clone(), paths[number % 4].clone());
            async move { until_answered(&client, &path).await }
        })
        .await;
        assert!(answers.iter().all(|(status, _)| [200, 403, 404, 409].contains(status)), "{answers:?}");
        let report = usage(&owner, &key, |report| answered(report) >= 200).await;
        assert_eq!(answered(&report), 200);
        // A refusal is counted where the key was known by then.
        let refused = report["total"].as_u64().unwrap() - 200;
        assert!(refused <= answers.iter().map(|(_, refusals)| refusals).sum::<u64>(), "{report}");
        let mut endpoints: Vec<_> = report["endpoints"]
            .as_array()
            .unwrap()
            .iter()
            .map(|e| (text(e, "method"), text(e, "path"), but_refusals(e)))
            .filter(|(_, _, statuses)| !statuses.is_empty())
            .collect();
        endpoints.sort_by(|a, b| a.1.cmp(&b.1));
        let expected = [
            ("/api/v1/tenants/{tenantId}", 200),
            ("/api/v1/tenants/{tenantId}/navigation", 403),
            ("/api/v1/tenants/{tenantId}/pages", 409),
            ("none", 404),
        ];
        let expected = expected.map(|(path, status)| {
            ("GET".to_owned(), path.to_owned(), vec![json!({"status": status, "requests": 50})])
        });
        assert_eq!(endpoints, expected);
        let days = report["days"].as_array().unwrap();
        assert_eq!(days.len(), 30);
        assert_eq!((&days[29]["requests"], &days[28]["requests"]), (&report["total"], &json!(0)));
        let read = owner.get(&key_path(&owner, &key, "")).await.expect(200);
        assert!(read["lastUsedAt"].is_string(), "{read}");
        assert_eq!(read["lastUsedAt"], report["lastUsedAt"]);
        // Fifty refusals: noticed once.
        let events = trail(&owner, "api_key.refusals").await;
        assert_eq!(events.len(), 1, "{events:?}");
        assert_eq!(events[0]["after"], json!({"name": "Shop import", "count": 50}));
        assert_eq!(events[0]["actor"]["kind"], "system");
        assert!(trail(&owner, "api_key.new_address").await.is_empty(), "the first address is no news");
    })
    .await;
}

/// Requests with a revoked key are recorded for its owner; wrong secrets for its prefix are not.
#[tokio::test(flavor = "multi_thread")]
async fn refusals_are_counted_for_the_right_secret_only() {
    TestServer::shared(async |server| {
        let (owner, key, client) = keyed(server).await;
        let prefix = text(&key, "prefix");
        futures(server, 30, |env| KeyText::renewed(prefix.clone(), env)).await;
        owner.put(&key_path(&owner, &key, ""), json!({"active": false})).await.expect(200);
        for _ in 0..25 {
            refused(&client.get("/api/v1/sites").await, 401, "unauthenticated");
        }
        let report = usage(&owner, &key, |report| report["total"] == 25).await;
        assert_eq!(report["endpoints"][0]["statuses"], json!([{"status": 401, "requests": 25}]));
        assert_eq!((&report["lastUsedAt"], &report["addresses"]), (&Value::Null, &json!([])));
        assert_eq!(trail(&owner, "api_key.refusals").await.len(), 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_key_does_is_written_down_under_its_id_and_no_secret_is() {
    TestServer::shared(async |server| {
        let owner = server.customer(server.email("owner")).await;
        let key = make(&owner, &["sites:write", "sites:read"], json!({})).await;
        let client = with_key(server, &owner, &text(&key, "key"));
        let site = client.post("/api/v1/sites", json!({"name": "Luz"})).await.expect(201);
        let rotated = owner.post_empty(&key_path(&owner, &key, "/rotate")).await.expect(200);
        owner.put(&key_path(&owner, &key, ""), json!({"name": "Other"})).await.expect(200);
        owner.delete(&key_path(&owner, &key, "")).await.expect(204);
        let all = owner.get(&owner.t("/audit?limit=100")).await;
        for secret in [&key["key"], &rotated["key"]] {
            let secret = KeyText::parse(secret.as_str().unwrap()).unwrap();
            assert!(!all.text.contains(secret.secret()), "{}", all.text);
            assert!(!all.text.contains(&secret.secret()[..12]), "{}", all.text);
        }
        let entries = all.expect(200)["items"].as_array().unwrap().clone();
        let made = entries.iter().find(|entry| entry["type"] == "site.created").unwrap();
        assert_eq!((&made["actor"]["kind"], &made["actor"]["id"]), (&json!("api_key"), &key["id"]));
        assert_eq!(made["resource"]["id"], site["id"]);
        let of_key: Vec<_> = entries
            .iter()
            .filter(|entry| entry["resource"]["id"] == key["id"])
            .map(|entry| (text(entry, "type"), entry["before"].is_null(), entry["after"].is_null()))
            .collect();
        let expected = [
            ("api_key.revoked", false, true),
            ("api_key.updated", false, false),
            ("api_key.rotated", false, false),
            ("api_key.created", true, false),
        ];
        assert_eq!(of_key, expected.map(|(kind, before, after)| (kind.to_owned(), before, after)));
    })
    .await;
}

/// Usage counted in memory is written when the background tasks stop.
#[tokio::test(flavor = "multi_thread")]
async fn stopping_loses_no_count() {
    TestServer::shared(async |server| {
        let (owner, key, client) = keyed(server).await;
        let workers = background::start_listening(&server.app);
        for _ in 0..5 {
            client.get("/api/v1/sites").await.expect(200);
        }
        workers.stop(Duration::from_secs(10)).await;
        let report = owner.get(&key_path(&owner, &key, "/usage")).await.expect(200);
        assert_eq!(report["total"], 5);
    })
    .await;
}
