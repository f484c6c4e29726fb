//! Webhooks as members look after them: making, changing, pausing and testing them, and sending again. How deliveries are made
//! is tested in `dispatch`.

use std::time::Duration;

use portico::settings::Settings;
use portico_kernel::{
    Event, EventDeclaration, Permission, RequestInfo, Scope, TenantId,
    event::{Audience, AuditClass},
};
use portico_security::webhook_signature;
use portico_testkit::{
    receiver::Receiver,
    server::{Answer, Client, Database, TestServer, at_once, eventually},
};
use serde_json::{Value, json};

use crate::{fixture::text, listener::Listener};

/// An address that is not called: the name resolves to this machine, which is not public.
const URL: &str = "https://localhost/hooks/portico";

/// One attempt for each delivery, and receivers on this machine.
fn local(settings: &mut Settings) {
    settings.webhooks.allow_networks = vec!["127.0.0.0/8".parse().unwrap()];
    settings.webhooks.retries = Vec::new();
    settings.webhooks.timeout = Duration::from_secs(5);
}

/// Runs a test on each database, with receivers on this machine.
pub async fn with_receivers(test: impl AsyncFn(&TestServer)) {
    for database in [Database::Sqlite, Database::Postgres] {
        let server = TestServer::start_with(database, local).await;
        test(&server).await;
        server.stop().await;
    }
}

pub async fn make(owner: &Client, url: &str, events: &[&str]) -> Value {
    let body = json!({"url": url, "events": events, "description": " Order desk "});
    owner.post(&owner.t("/webhooks"), body).await.expect(201)
}

pub fn webhook_path(owner: &Client, webhook: &Value, rest: &str) -> String {
    owner.t(&format!("/webhooks/{}{rest}", text(webhook, "id")))
}

pub async fn rename(owner: &Client, name: &str) {
    owner.put(&owner.t(""), json!({ "name": name })).await.expect(200);
}

#[track_caller]
pub fn refused(answer: &Answer, status: u16, code: &str) {
    assert_eq!(
        (answer.status.as_u16(), answer.json["code"].as_str()),
        (status, Some(code)),
        "{}",
        answer.text
    );
}

/// The deliveries that a query finds, newest first, once they satisfy `until`.
pub async fn listed(owner: &Client, path: &str, until: impl Fn(&[Value]) -> bool) -> Vec<Value> {
    let mut last = Value::Null;
    let found = eventually(Duration::from_secs(20), async || {
        last = owner.get(path).await.expect(200);
        let items = last["items"].as_array()?.clone();
        until(&items).then_some(items)
    });
    match found.await {
        Some(items) => items,
        None => panic!("{last}"),
    }
}

pub fn are_over(count: usize) -> impl Fn(&[Value]) -> bool {
    move |items| items.len() == count && items.iter().all(|item| item["status"] != "pending")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_is_made_read_changed_and_deleted() {
    TestServer::shared(async |server| {
        let owner = server.customer(server.email("owner")).await;
        let body = json!({"url": format!(" {URL}?token=hidden "), "events": ["page.published", "submission.received"],
                          "description": " Order desk ", "ratePerSecond": 5});
        let answer = owner.post(&owner.t("/webhooks"), body).await;
        assert_eq!((answer.header("cache-control"), answer.header("etag")), ("no-store", "\"v1\""));
        let location = answer.header("location").to_owned();
        let made = answer.expect(201);
        let secret = text(&made, "secret");
        assert!(secret.starts_with("whsec_") && secret.len() == 38, "{secret}");
        assert_eq!(location, webhook_path(&owner, &made, ""));

        let answer = owner.get(&location).await;
        assert_eq!(answer.header("etag"), "\"v1\"");
        let read = answer.expect(200);
        let mut expected = made.clone();
        expected.as_object_mut().unwrap().remove("secret");
        assert_eq!(read, expected);
        assert_eq!(
            json!([read["url"], read["description"], read["active"], read["status"], read["failures"], read["ratePerSecond"]]),
            json!([format!("{URL}?token=hidden"), "Order desk", true, "enabled", 0, 5])
        );
        let list = owner.get(&owner.t("/webhooks")).await.expect(200);
        assert_eq!((&list["items"], &list["total"]), (&json!([expected]), &json!(1)));

        let change = json!({"events": ["*"], "description": null, "ratePerSecond": null, "active": false});
        let changed = owner.with("if-match", "\"v1\"").put(&location, change).await.expect(200);
        assert_eq!(
            json!([changed["events"], changed["description"], changed["ratePerSecond"], changed["active"], changed["status"]]),
            json!([["*"], null, null, false, "paused"])
        );
        assert_eq!(changed["url"], read["url"]);
        refused(&owner.with("if-match", "\"v1\"").put(&location, json!({})).await, 412, "precondition_failed");
        refused(&owner.with("if-match", "\"v1\"").delete(&location).await, 412, "precondition_failed");
        let on = owner.put(&location, json!({"active": true})).await.expect(200);
        assert_eq!((&on["active"], &on["status"]), (&json!(true), &json!("enabled")));

        let rotate = format!("{location}/rotate-secret");
        let answer = owner.with("if-match", "\"v1\"").post_empty(&rotate).await;
        refused(&answer, 412, "precondition_failed");
        let answer = owner.post_empty(&rotate).await;
        assert_eq!(answer.header("cache-control"), "no-store");
        let rotated = answer.expect(200);
        assert_ne!(text(&rotated, "secret"), secret);
        assert!(rotated["secretRotatedAt"].is_string() && rotated["previousSecretExpiresAt"].is_string());
        let once = owner.post(&rotate, json!({"overlapHours": 0})).await.expect(200);
        assert_eq!(once["previousSecretExpiresAt"], Value::Null);

        owner.delete(&location).await.expect(204);
        for answer in [
            owner.get(&location).await,
            owner.put(&location, json!({"active": true})).await,
            owner.post_empty(&rotate).await,
            owner.post_empty(&format!("{location}/pause")).await,
            owner.post_empty(&format!("{location}/resume")).await,
            owner.post_empty(&format!("{location}/test")).await,
            owner.get(&format!("{location}/deliveries")).await,
            owner.post(&format!("{location}/resend"), json!({"since": "2026-01-01T00:00:00Z"})).await,
            owner.delete(&location).await,
        ] {
            refused(&answer, 404, "not_found");
        }
        let trail = owner.get(&owner.t("/audit?resourceType=webhook&limit=100")).await;
        let kinds: Vec<_> = trail.json["items"].as_array().unwrap().iter().map(|e| text(e, "type")).collect();
        let expected = [
            "webhook.deleted", "webhook.rotated", "webhook.rotated", "webhook.updated", "webhook.updated",
            "webhook.created",
        ];
        assert_eq!(kinds, expected);
        for secret in [&made, &rotated, &once] {
            assert!(!trail.text.contains(&text(secret, "secret")[6..]), "secrets never enter events");
        }
        assert!(!trail.text.contains("hidden"), "nor do tokens of receivers");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_is_told_of_field_by_field() {
    TestServer::shared(async |server| {
        let owner = server.customer(server.email("owner")).await;
        let path = owner.t("/webhooks");
        let body = json!({"url": "http://example.com/", "events": ["page.flown", "page.updated", "page.updated"],
                          "ratePerSecond": 1001, "description": "x".repeat(501)});
        let fields = ["description", "events[0]", "events[2]", "ratePerSecond", "url"];
        assert_eq!(owner.post(&path, body).await.fields(), fields);
        assert_eq!(owner.post(&path, json!({})).await.fields(), ["events", "url"]);
        let answer = owner.post(&path, json!({"url": 5, "events": "*", "colour": 1})).await;
        assert_eq!(answer.fields(), ["colour", "events", "url"]);
        // In any spelling, and whichever private network it leads to.
        for url in [
            "https://127.0.0.1/", "https://2130706433/", "https://0x7f.1/", "https://0177.0.0.1/", "https://127.1/",
            "https://10.0.0.1/", "https://169.254.169.254/latest/meta-data", "https://[::1]/", "https://[::ffff:10.0.0.1]/",
            "https://[fd00::1]/", "https://0.0.0.0/", "https://100.64.0.1/", "http://93.184.216.34/", "file:///etc/passwd",
            "gopher://example.com/", "https://user:word@example.com/", "https://example.com/#x", "//example.com", "x",
        ] {
            let answer = owner.post(&path, json!({"url": url, "events": ["*"]})).await;
            assert_eq!((answer.status.as_u16(), answer.fields()), (422, vec!["url".to_owned()]), "{url}");
        }
        assert_eq!(owner.get(&path).await.expect(200)["total"], 0);

        let webhook = make(&owner, URL, &["page.updated"]).await;
        let at = webhook_path(&owner, &webhook, "");
        let answer = owner.put(&at, json!({"url": "https://10.0.0.1/", "events": [], "ratePerSecond": 0})).await;
        assert_eq!(answer.fields(), ["events", "ratePerSecond", "url"]);
        let answer = owner.post(&format!("{at}/rotate-secret"), json!({"overlapHours": 169})).await;
        assert_eq!(answer.fields(), ["overlapHours"]);
        assert_eq!(owner.post(&format!("{at}/rotate-secret"), json!({"overlapHours": -1})).await.fields(), ["overlapHours"]);
        for (body, field) in [
            (json!({}), "from"),
            (json!({"from": "2999-01-01T00:00:00Z"}), "from"),
            (json!({"from": "yesterday"}), "from"),
            (json!({"from": "2026-01-02T00:00:00Z", "to": "2026-01-01T00:00:00Z"}), "to"),
        ] {
            assert_eq!(owner.post(&format!("{at}/resend"), body.clone()).await.fields(), [field], "{body}");
        }
        for list in [owner.t("/deliveries"), format!("{at}/deliveries")] {
            for (query, field) in [
                ("status=lost", "status"),
                ("eventType=page.flown", "eventType"),
                ("eventId=evt_7", "eventId"),
                ("from=now", "from"),
                ("from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z", "to"),
                ("cursor=x", "cursor"),
                ("limit=101", "limit"),
                ("colour=red", "colour"),
            ] {
                let answer = owner.get(&format!("{list}?{query}")).await;
                assert_eq!((answer.status.as_u16(), answer.fields()), (422, vec![field.to_owned()]), "{query}");
            }
        }
        assert_eq!(owner.get(&owner.t("/deliveries?webhookId=7")).await.fields(), ["webhookId"]);
        assert_eq!(owner.get(&at).await.header("etag"), "\"v1\"", "nothing was changed");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn listed_networks_may_be_called_without_encryption_and_no_others() {
    let server = TestServer::start_with(Database::Sqlite, local).await;
    let owner = server.customer(server.email("owner")).await;
    for (url, status) in [
        ("http://127.0.0.1:9/hook", 201),
        ("https://127.0.0.1:9/hook", 201),
        ("http://10.0.0.1/hook", 422),
        ("https://10.0.0.1/hook", 422),
        ("http://93.184.216.34/hook", 422),
    ] {
        let answer = owner.post(&owner.t("/webhooks"), json!({"url": url, "events": ["*"]})).await;
        assert_eq!(answer.status.as_u16(), status, "{url}: {}", answer.text);
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_tenant_gets_more_than_the_operator_allows() {
    for database in [Database::Sqlite, Database::Postgres] {
        let server = TestServer::start_with(database, |settings| settings.webhooks.max_per_tenant = 2).await;
        let owner = server.customer(server.email("owner")).await;
        let made = at_once(4, |_| {
            let owner = owner.clone();
            async move { owner.post(&owner.t("/webhooks"), json!({"url": URL, "events": ["*"]})).await }
        })
        .await;
        assert_eq!(made.iter().filter(|answer| answer.status.as_u16() == 201).count(), 2);
        for answer in made.iter().filter(|answer| answer.status.as_u16() != 201) {
            refused(answer, 409, "too_many_webhooks");
        }
        let list = owner.get(&owner.t("/webhooks")).await.expect(200);
        owner.delete(&webhook_path(&owner, &list["items"][0], "")).await.expect(204);
        make(&owner, URL, &["*"]).await;
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_simultaneous_rotations_each_answer_with_a_secret_is_true() {
    with_receivers(async |server| {
        let owner = server.customer(server.email("owner")).await;
        let receiver = Receiver::start().await;
        let webhook = make(&owner, &receiver.url, &["tenant.updated"]).await;
        let rotated = at_once(4, |_| {
            let (owner, path) = (owner.clone(), webhook_path(&owner, &webhook, "/rotate-secret"));
            async move { owner.post(&path, json!({"overlapHours": 1})).await }
        })
        .await;
        for answer in rotated.iter().filter(|answer| answer.status.as_u16() != 200) {
            refused(answer, 409, "modified_concurrently");
        }
        let mut versions: Vec<_> = rotated
            .iter()
            .filter(|answer| answer.status.as_u16() == 200)
            .map(|answer| answer.header("etag"))
            .collect();
        let count = versions.len();
        versions.sort_unstable();
        versions.dedup();
        assert!(count > 0 && versions.len() == count, "each is a version of its own");
        let last = rotated.iter().max_by_key(|answer| answer.header("etag").to_owned()).unwrap();
        owner.post_empty(&webhook_path(&owner, &webhook, "/test")).await.expect(202);
        let received = receiver.wait_for(1).await;
        let secret = text(&last.json, "secret");
        let key = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, &secret[6..]).unwrap();
        let at: i64 = received[0].header("webhook-timestamp").parse().unwrap();
        let signature = webhook_signature(&[key], received[0].header("webhook-id"), at, &received[0].body);
        let sent = received[0].header("webhook-signature");
        assert_eq!(sent.split(' ').count(), 2, "the secret before signs, too");
        assert!(sent.split(' ').any(|one| one == signature), "{sent} has no {signature}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn anybody_can_see_what_webhooks_can_tell_of() {
    let server = TestServer::start().await;
    let answer = server.client().get("/api/v1/event-types").await;
    assert_eq!(answer.header("cache-control"), "public, max-age=300");
    let types = answer.expect(200);
    let items = types["items"].as_array().unwrap();
    assert_eq!(types["total"], items.len());
    let page = items.iter().find(|kind| kind["name"] == "page.published").unwrap();
    assert_eq!((&page["permission"], page["description"].is_string()), (&json!("pages:read"), true));
    // Each can be chosen.
    let owner = server.customer(server.email("owner")).await;
    let names: Vec<_> = items.iter().map(|kind| kind["name"].as_str().unwrap()).collect();
    let made = make(&owner, URL, &names).await;
    assert_eq!(made["events"].as_array().unwrap().len(), names.len());
    server.stop().await;
}

/// A network that the operator allows for a model or a provider is not open to the webhooks of customers.
#[tokio::test(flavor = "multi_thread")]
async fn networks_of_other_purposes_and_odd_ports_are_closed_to_webhooks() {
    let server = TestServer::start_with(Database::Sqlite, |settings| {
        settings.outbound.allow_networks = vec!["127.0.0.0/8".parse().unwrap()];
        settings.ai.allow_networks = vec!["10.0.0.0/8".parse().unwrap()];
    })
    .await;
    let owner = server.customer(server.email("owner")).await;
    let inside = Receiver::start().await;
    for url in [
        inside.url.as_str(),
        "https://127.0.0.1/",
        "https://10.1.2.3/",
        "https://93.184.215.14:22/",
        "https://93.184.215.14:5432/",
        "https://93.184.215.14:8080/",
        "http://93.184.215.14/",
    ] {
        let body = json!({"url": url, "events": ["*"]});
        let answer = owner.post(&owner.t("/webhooks"), body).await;
        assert_eq!((answer.status.as_u16(), answer.fields()), (422, vec!["url".to_owned()]), "{url}");
    }
    // A name is resolved only when it is called.
    let webhook = make(&owner, URL, &["tenant.updated"]).await;
    let delivery = owner.post_empty(&webhook_path(&owner, &webhook, "/test")).await;
    let location = delivery.header("location").to_owned();
    let over = eventually(Duration::from_secs(20), async || {
        let read = owner.get(&location).await.expect(200);
        (read["status"] != "pending").then_some(read)
    });
    let over = over.await.unwrap();
    assert_eq!((&over["status"], &over["responseStatus"]), (&json!("failed"), &Value::Null), "{over}");
    assert!(inside.received().is_empty(), "nobody inside was called");
    server.stop().await;
}

/// What a page says when it changes, with less of a trail.
const fn page_updated(audit: AuditClass) -> EventDeclaration {
    EventDeclaration {
        name: "page.updated",
        when: "A test says so.",
        audience: Audience::Holders(Permission::PagesRead),
        invalidates: &[],
        audit,
    }
}

static RECORDED: EventDeclaration = page_updated(AuditClass::Recorded);
static NOT_KEPT: EventDeclaration = page_updated(AuditClass::NotKept);

#[tokio::test(flavor = "multi_thread")]
async fn what_the_trail_does_not_keep_is_told_all_the_same() {
    with_receivers(async |server| {
        let owner = server.customer("owner@example.com").await;
        let receiver = Receiver::start().await;
        make(&owner, &receiver.url, &["page.updated"]).await;
        let mut listener = Listener::open(server, &owner, "?types=page.updated").await;
        let tenant: TenantId = owner.tenant.parse().unwrap();
        let scope = Scope::system(Some(tenant), RequestInfo::default());
        let mut work = server.app.core.begin().await.unwrap();
        let mut ids = Vec::new();
        for declared in [&RECORDED, &NOT_KEPT] {
            let env = &server.app.core.env;
            let event = Event::new(env, &scope, declared, env.random_uuid()).after(&json!({"title": "One"}));
            ids.push(event.id.to_string());
            work.events().append(event).await.unwrap();
        }
        work.commit().await.unwrap();

        for id in &ids {
            assert_eq!(listener.expect("page.updated").await.id, *id);
        }
        let mut received: Vec<_> =
            receiver.wait_for(2).await.iter().map(|call| text(&call.json(), "id")).collect();
        received.sort_unstable();
        assert_eq!(received, ids);
        let trail = owner.get(&owner.t("/audit?type=page.updated")).await.expect(200);
        let kept: Vec<_> = trail["items"].as_array().unwrap().iter().map(|entry| text(entry, "id")).collect();
        assert_eq!(kept, ids[..1]);
        let found = eventually(Duration::from_secs(20), async || {
            let found = owner.get(&owner.t("/audit/verify")).await.expect(200);
            (found["unsealed"] == 0).then_some(found)
        })
        .await
        .unwrap();
        assert_eq!(found["intact"], true, "{found}");
        let sealed =
            owner.get(&owner.t("/audit?limit=100")).await.expect(200)["items"].as_array().unwrap().len();
        assert_eq!(found["entries"], json!(sealed - 1), "all but the one that is only recorded");
    })
    .await;
}
