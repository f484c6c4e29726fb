//! Licenses: issued with what was bought, used by products with a key and no account, ended with the money.

use base64::{Engine, engine::general_purpose::STANDARD};
use portico_billing::purchase::{Purchase, PurchaseStatus};
use portico_feature_billing::flows::licenses as follows;
use portico_kernel::{LicenseId, RequestInfo, Scope, TenantRole};
use portico_licensing::{
    activation::Activation,
    administration::{LicenseAdministration, NewLicenses},
    license::License,
};
use portico_testkit::server::{Answer, Client, Database, TestServer, at_once};
use serde_json::{Value, json};

use crate::{
    fixture::{Person, text},
    purchases::checkout,
    sites::{column, events},
};

/// The licenses of a tenant.
pub const LICENSES: &str = "/api/v1/licenses";

/// A license that staff have issued to the tenant of a client, for so many machines, and its key.
pub async fn issued(server: &TestServer, client: &Client, limit: Option<i64>) -> (String, String) {
    let (app, scope) = (&server.app.licensing, Scope::system(None, RequestInfo::default()));
    let wanted = NewLicenses {
        customer_id: client.tenant.parse().ok(),
        product_type: "base_product".to_owned(),
        activation_limit: limit.or(Some(1_000_000)),
        reason: "A test says so".to_owned(),
        ..NewLicenses::default()
    };
    let mut work = app.core.begin().await.unwrap();
    let mut administration = LicenseAdministration::new(&mut *work, &scope, &app.core.env, &app.vault);
    let license = administration.issue(&wanted).await.unwrap().remove(0).license;
    work.commit().await.unwrap();
    let key = app.vault.open(license.id, &license.key).unwrap();
    (license.id.to_string(), key.as_str().to_owned())
}

/// A machine of a license, as its id.
pub async fn machine(server: &TestServer, license: LicenseId) -> String {
    let env = &server.app.core.env;
    let mut work = server.app.core.begin().await.unwrap();
    let tenant = work.licenses().tenant_of(license).await.unwrap().unwrap();
    let activation = Activation {
        id: env.new_id(),
        tenant_id: tenant,
        license_id: license,
        fingerprint: env.random_uuid().to_string(),
        name: None,
        platform: None,
        ip: None,
        activated_at: env.now(),
        last_seen_at: env.now(),
        offline_until: None,
        lease_ends_at: None,
        lapsed: false,
    };
    work.activations().insert(&activation).await.unwrap();
    work.commit().await.unwrap();
    activation.id.to_string()
}

/// Buys and pays, and answers the purchase with its licenses.
pub async fn bought(server: &TestServer, client: &Client) -> Value {
    let (session, _) = checkout(client).await;
    server.payments.pay(&session);
    client.post("/api/v1/checkout/success", json!({"sessionId": session})).await.expect(200)
}

/// A product that asks with a key.
pub async fn ask(server: &TestServer, what: &str, key: &str, fingerprint: &str) -> Answer {
    let body = json!({"key": key, "fingerprint": fingerprint});
    server.client().post(&format!("{LICENSES}/{what}"), body).await
}

/// The reason that a product is told.
pub async fn verdict(server: &TestServer, key: &str, fingerprint: &str) -> String {
    text(&ask(server, "validate", key, fingerprint).await.expect(200), "code")
}

/// Changes a purchase as a refund or a dispute does: the purchase and its licenses in one transaction.
pub async fn changed(server: &TestServer, client: &Client, purchase: &str, status: PurchaseStatus) {
    let (app, scope) = (&server.app.billing, Scope::system(None, RequestInfo::default()));
    let mut work = app.core.begin().await.unwrap();
    let locked = work.purchases().lock(client.tenant.parse().unwrap(), purchase.parse().unwrap()).await;
    let purchase = Purchase { status, ..locked.unwrap().unwrap() };
    work.purchases().update(&purchase).await.unwrap();
    follows::follow(app, &mut *work, &scope, &purchase).await.unwrap();
    work.commit().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_bought_has_a_license_that_is_used_and_freed() {
    TestServer::on_each_database(async |server| {
        let ada = server.customer(server.email("ada")).await;
        let purchase = bought(server, &ada).await;
        assert_eq!(purchase["licenses"].as_array().unwrap().len(), 1, "{purchase}");
        let (id, key) = (text(&purchase["licenses"][0], "id"), text(&purchase["licenses"][0], "key"));
        let list = ada.get(LICENSES).await.expect(200);
        assert_eq!(list["total"], 1);
        let license = list["items"][0].clone();
        for (field, expected) in [
            ("id", json!(id)),
            ("key", json!(key)),
            ("productType", json!("base_product")),
            ("productName", json!("Base Software License")),
            ("status", json!("active")),
            ("expiresAt", Value::Null),
            ("purchaseId", purchase["id"].clone()),
            ("activationLimit", json!(3)),
            ("activations", json!(0)),
        ] {
            assert_eq!(license[field], expected, "{field}");
            assert!(license.as_object().unwrap().contains_key(field), "{field} is there");
        }
        let groups: Vec<&str> = key.split('-').collect();
        assert!(groups.len() == 4 && groups.iter().all(|group| group.len() == 4), "{key}");

        assert_eq!(verdict(server, &key, "f1").await, "not_activated");
        let made = ask(server, "activate", &key.to_lowercase().replace('-', " "), "f1").await.expect(201);
        assert_eq!((&made["fingerprint"], made["ip"].is_string()), (&json!("f1"), true));
        ask(server, "activate", &key, "f1").await.expect(200);
        assert_eq!(verdict(server, &key, "f1").await, "valid");
        ask(server, "activate", &key, "f2").await.expect(201);
        ask(server, "activate", &key, "f3").await.expect(201);
        let refused = ask(server, "activate", &key, "f4").await.expect(409);
        assert_eq!((&refused["code"], &refused["limit"]), (&json!("too_many_activations"), &json!(3)));

        let address = format!("{LICENSES}/{id}");
        let machines = ada.get(&format!("{address}/activations")).await.expect(200);
        assert_eq!(column(&machines, "fingerprint"), ["f3", "f2", "f1"]);
        ada.delete(&format!("{address}/activations/{}", text(&machines["items"][2], "id"))).await.expect(204);
        assert_eq!(verdict(server, &key, "f1").await, "not_activated");
        ask(server, "activate", &key, "f4").await.expect(201);
        ask(server, "deactivate", &key, "f4").await.expect(204);
        ask(server, "deactivate", &key, "f4").await.expect(204);
        let heard = ask(server, "heartbeat", &key, "f2").await.expect(200);
        assert_eq!((&heard["valid"], &heard["license"]["activations"]), (&json!(true), &json!(2)));
        assert!(heard["activation"]["lastSeenAt"].as_str() >= made["activatedAt"].as_str(), "{heard}");
        assert!(!heard.to_string().contains(&key) && heard["license"].get("purchaseId").is_none());
        let other = json!({"key": key, "productType": "other"});
        let answer = server.client().post(&format!("{LICENSES}/validate"), other.clone()).await.expect(200);
        assert_eq!((&answer["valid"], &answer["code"]), (&json!(false), &json!("product_mismatch")));
        for (kind, times) in [("license.issued", 1), ("license.activated", 4), ("license.deactivated", 2)] {
            assert_eq!(events(&ada, kind).await, times, "{kind}");
        }
        let trail = ada.get(&ada.t("/audit?limit=100")).await.expect(200);
        assert!(!trail.to_string().contains(&key), "keys never enter events");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_seat_goes_once() {
    TestServer::on_each_database(async |server| {
        let ada = server.customer(server.email("ada")).await;
        let (id, key) = issued(server, &ada, Some(3)).await;
        ask(server, "activate", &key, "f0").await.expect(201);
        ask(server, "activate", &key, "f1").await.expect(201);
        let answers = at_once(64, |number| {
            let (client, key) = (server.client(), key.clone());
            async move {
                let body = json!({"key": key, "fingerprint": format!("racer-{number}")});
                client.post(&format!("{LICENSES}/activate"), body).await
            }
        })
        .await;
        let taken = answers.iter().filter(|answer| answer.status.as_u16() == 201).count();
        assert_eq!(taken, 1);
        for answer in answers.iter().filter(|answer| answer.status.as_u16() != 201) {
            assert_eq!(answer.json["code"], "too_many_activations", "{}", answer.text);
        }
        assert_eq!(ada.get(&format!("{LICENSES}/{id}")).await.expect(200)["activations"], 3);
        // One machine that asks 16 times at once takes one seat.
        let (other, key) = issued(server, &ada, Some(3)).await;
        let answers = at_once(16, |_| {
            let (client, key) = (server.client(), key.clone());
            async move {
                client.post(&format!("{LICENSES}/activate"), json!({"key": key, "fingerprint": "same"})).await
            }
        })
        .await;
        assert!(answers.iter().all(|answer| answer.status.is_success()));
        assert_eq!(ada.get(&format!("{LICENSES}/{other}")).await.expect(200)["activations"], 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn licenses_follow_the_money() {
    TestServer::on_each_database(async |server| {
        let ada = server.customer(server.email("ada")).await;
        let purchase = bought(server, &ada).await;
        let (id, key) = (text(&purchase["licenses"][0], "id"), text(&purchase["licenses"][0], "key"));
        ask(server, "activate", &key, "f1").await.expect(201);
        let address = format!("{LICENSES}/{id}");
        for (status, code) in [
            (PurchaseStatus::PartiallyRefunded, "valid"),
            (PurchaseStatus::Disputed, "suspended"),
            (PurchaseStatus::Completed, "valid"),
            (PurchaseStatus::Refunded, "revoked"),
            (PurchaseStatus::Completed, "revoked"),
        ] {
            for _ in 0..2 {
                changed(server, &ada, &text(&purchase, "id"), status).await;
            }
            assert_eq!(verdict(server, &key, "f1").await, code, "{status:?}");
        }
        let ended = ada.get(&address).await.expect(200);
        assert_eq!((&ended["status"], &ended["activations"]), (&json!("revoked"), &json!(0)));
        for what in ["activate", "file"] {
            assert_eq!(ask(server, what, &key, "f1").await.expect(409)["code"], "license_revoked", "{what}");
        }
        for (path, body) in [("file", json!({"fingerprint": "f1"})), ("rotate-key", Value::Null)] {
            let refused = ada.post(&format!("{address}/{path}"), body).await.expect(409);
            assert_eq!(refused["code"], "license_revoked", "{path}");
        }
        for (kind, times) in [("license.suspended", 1), ("license.resumed", 1), ("license.revoked", 1)] {
            assert_eq!(events(&ada, kind).await, times, "{kind}");
        }
        assert_eq!(ada.get(LICENSES).await.expect(200)["total"], 1, "none was issued again");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_32_that_tell_of_a_payment_at_once_each_unit_has_one_license() {
    TestServer::on_each_database(async |server| {
        let ada = server.customer(server.email("ada")).await;
        let mut order = crate::purchases::order();
        order["items"][0]["quantity"] = json!(3);
        let session = ada.post("/api/v1/checkout/create-session", order).await.expect(201);
        let session = text(&session, "sessionId");
        server.payments.pay(&session);
        let answers = at_once(32, |_| {
            let (ada, session) = (ada.clone(), session.clone());
            async move { ada.post("/api/v1/checkout/success", json!({"sessionId": session})).await }
        })
        .await;
        for answer in answers {
            assert_eq!(answer.expect(200)["licenses"].as_array().unwrap().len(), 3);
        }
        assert_eq!(ada.get(LICENSES).await.expect(200)["total"], 3);
        assert_eq!(events(&ada, "license.issued").await, 3);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_nobodys_is_the_same_404_whatever_it_looks_like() {
    TestServer::shared(async |server| {
        let ada = server.customer(server.email("ada")).await;
        issued(server, &ada, None).await;
        let mut answers = Vec::new();
        for key in ["0000-0000-0000-0000", "7K2M-9QXD-4T0B-HZ5R", "x", "ñ😀", "' or 1=1 --", &"A".repeat(200)]
        {
            for what in ["validate", "activate", "deactivate", "heartbeat", "file"] {
                let mut answer = ask(server, what, key, "f1").await.expect(404);
                for own in ["instance", "requestId"] {
                    answer.as_object_mut().unwrap().remove(own);
                }
                answers.push(answer);
            }
        }
        answers.dedup();
        assert_eq!(answers.len(), 1, "{answers:?}");
        for (what, body, field, code) in [
            ("validate", json!({}), "key", "required"),
            ("validate", json!({"key": "a".repeat(201)}), "key", "too_long"),
            ("validate", json!({"key": "k", "fingerprint": ""}), "fingerprint", "required"),
            ("validate", json!({"key": 7}), "key", "invalid_type"),
            ("activate", json!({"key": "k"}), "fingerprint", "required"),
            ("activate", json!({"key": "k", "fingerprint": "f\u{0}"}), "fingerprint", "invalid_characters"),
            (
                "activate",
                json!({"key": "k", "fingerprint": "f", "name": "n".repeat(101)}),
                "name",
                "too_long",
            ),
            ("deactivate", json!({"key": "k", "fingerprint": "f".repeat(201)}), "fingerprint", "too_long"),
            ("heartbeat", json!({"key": "k", "fingerprint": "f", "seats": 9}), "seats", "unknown_field"),
        ] {
            let refused = server.client().post(&format!("{LICENSES}/{what}"), body.clone()).await.expect(422);
            let error = &refused["errors"][0];
            assert_eq!(
                (text(error, "field"), text(error, "code")),
                (field.into(), code.into()),
                "{what} {body}"
            );
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn products_are_counted_by_address() {
    let server = TestServer::start_with(Database::Sqlite, |settings| {
        settings.rate_limit.enabled = true;
        settings.rate_limit.per_address = 5;
    })
    .await;
    let mut statuses = Vec::new();
    for _ in 0..8 {
        statuses.push(ask(&server, "validate", "0000-0000-0000-0000", "f1").await.status.as_u16());
    }
    assert_eq!(statuses, [404, 404, 404, 404, 404, 429, 429, 429]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn licenses_of_others_are_not_there() {
    TestServer::shared(async |server| {
        let ada = server.customer(server.email("ada")).await;
        let eve = server.customer(server.email("eve")).await;
        let (id, key) = issued(server, &ada, None).await;
        let machine = machine(server, id.parse().unwrap()).await;
        let address = format!("{LICENSES}/{id}");
        for answer in [
            eve.get(&address).await,
            eve.get(&format!("{address}/activations")).await,
            eve.delete(&format!("{address}/activations/{machine}")).await,
            eve.post_empty(&format!("{address}/rotate-key")).await,
            eve.post(&format!("{address}/file"), json!({"fingerprint": "f1"})).await,
            eve.with("x-tenant-id", &ada.tenant).get(LICENSES).await,
        ] {
            assert_eq!(answer.expect(404)["code"], "not_found");
        }
        assert_eq!(eve.get(LICENSES).await.expect(200)["total"], 0);
        assert_eq!(ada.get(&address).await.expect(200)["key"], json!(key), "and nothing came of it");
        // A key for programs that may read purchases only does not see those of products.
        let purchase = text(&bought(server, &ada).await, "id");
        let made = json!({"name": "Books", "permissions": ["billing:read"]});
        let secret = text(&ada.post(&ada.t("/api-keys"), made).await.expect(201), "key");
        let program = server.client().with("x-api-key", &secret);
        let seen = program.get(&format!("/api/v1/purchases/{purchase}")).await.expect(200);
        assert!(seen.get("licenses").is_none(), "{seen}");
        assert_eq!(program.get(LICENSES).await.status.as_u16(), 403);
        // Viewers see licenses, and change nothing.
        let viewer = Person::new(server, server.email("viewer"), |_| {}).await;
        viewer.join(server, &ada.tenant, TenantRole::Viewer).await;
        let viewer = viewer.client.with("x-tenant-id", &ada.tenant);
        assert_eq!(viewer.get(LICENSES).await.expect(200)["total"], 2);
        assert_eq!(viewer.post_empty(&format!("{address}/rotate-key")).await.status.as_u16(), 403);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leaked_key_is_replaced_and_the_machines_stay() {
    TestServer::on_each_database(async |server| {
        let ada = server.customer(server.email("ada")).await;
        let (id, key) = issued(server, &ada, Some(3)).await;
        ask(server, "activate", &key, "f1").await.expect(201);
        let rotated = ada.post_empty(&format!("{LICENSES}/{id}/rotate-key")).await.expect(200);
        let anew = text(&rotated, "key");
        assert!(anew != key && rotated["activations"] == 1, "{rotated}");
        assert_eq!(verdict(server, &anew, "f1").await, "valid");
        for what in ["validate", "activate", "heartbeat", "file"] {
            ask(server, what, &key, "f1").await.expect(404);
        }
        let keyed = ada.with("idempotency-key", "rotate-1");
        let first = keyed.post_empty(&format!("{LICENSES}/{id}/rotate-key")).await.expect(200);
        assert_eq!(keyed.post_empty(&format!("{LICENSES}/{id}/rotate-key")).await.expect(200), first);
        assert_eq!(events(&ada, "license.key_rotated").await, 2);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_frees_five_seats_a_month() {
    TestServer::shared(async |server| {
        let ada = server.customer(server.email("ada")).await;
        let (id, _) = issued(server, &ada, None).await;
        for _ in 0..5 {
            let machine = machine(server, id.parse().unwrap()).await;
            ada.delete(&format!("{LICENSES}/{id}/activations/{machine}")).await.expect(204);
        }
        let machine = machine(server, id.parse().unwrap()).await;
        let address = format!("{LICENSES}/{id}/activations/{machine}");
        let refused = ada.delete(&address).await.expect(409);
        assert_eq!((&refused["code"], &refused["limit"]), (&json!("too_many_seat_releases"), &json!(5)));
        assert_eq!(ada.get(&format!("{LICENSES}/{id}")).await.expect(200)["activations"], 1, "it stays");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_product_that_goes_on_with_a_file_frees_five_seats_a_month() {
    TestServer::on_each_database(async |server| {
        let ada = server.customer(server.email("ada")).await;
        let (id, key) = issued(server, &ada, None).await;
        for number in 0..5 {
            let fingerprint = format!("f{number}");
            ask(server, "file", &key, &fingerprint).await.expect(200);
            ask(server, "deactivate", &key, &fingerprint).await.expect(204);
        }
        ask(server, "file", &key, "f5").await.expect(200);
        let refused = ask(server, "deactivate", &key, "f5").await.expect(409);
        assert_eq!((&refused["code"], &refused["limit"]), (&json!("too_many_seat_releases"), &json!(5)));
        assert_eq!(ada.get(&format!("{LICENSES}/{id}")).await.expect(200)["activations"], 1);
        // A machine without a file is not counted.
        for _ in 0..3 {
            ask(server, "activate", &key, "online").await.expect(201);
            ask(server, "deactivate", &key, "online").await.expect(204);
        }
        // Nor does the owner free more: it is one limit.
        let machine = machine(server, id.parse().unwrap()).await;
        let refused = ada.delete(&format!("{LICENSES}/{id}/activations/{machine}")).await.expect(409);
        assert_eq!(refused["code"], "too_many_seat_releases");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_license_file_is_signed_for_one_machine_and_takes_its_seat() {
    TestServer::on_each_database(async |server| {
        let ada = server.customer(server.email("ada")).await;
        let (id, key) = issued(server, &ada, Some(2)).await;
        let address = format!("{LICENSES}/{id}");
        let wanted = json!({"fingerprint": "f1", "name": "Press 4", "ttl": 7200});
        let made = ada.post(&format!("{address}/file"), wanted).await.expect(200);
        let file = text(&made, "file");
        let lines: Vec<&str> = file.lines().collect();
        assert_eq!(lines[0], "-----BEGIN LICENSE FILE-----");
        assert_eq!(lines[lines.len() - 1], "-----END LICENSE FILE-----");
        let body = STANDARD.decode(lines[1..lines.len() - 1].concat()).unwrap();
        let envelope: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!((&envelope["alg"], &envelope["kid"]), (&json!("base64+ed25519"), &made["keyId"]));
        let content: Value =
            serde_json::from_slice(&STANDARD.decode(text(&envelope, "enc")).unwrap()).unwrap();
        assert_eq!(content["activation"]["fingerprint"], "f1");
        assert_eq!((&content["license"]["id"], &content["meta"]["ttl"]), (&json!(id), &json!(7200)));
        assert!(!file.contains(&key) && !content.to_string().contains(&key));
        let keys = server.client().get(&format!("{LICENSES}/keys")).await.expect(200);
        assert_eq!((&keys["keys"][0]["kid"], &keys["keys"][0]["crv"]), (&made["keyId"], &json!("Ed25519")));

        let by_key = ask(server, "file", &key, "f2").await.expect(200);
        assert_eq!(by_key["keyId"], made["keyId"]);
        let refused = ask(server, "file", &key, "f3").await.expect(409);
        assert_eq!(refused["code"], "too_many_activations");
        let machines = ada.get(&format!("{address}/activations")).await.expect(200);
        assert_eq!(column(&machines, "fingerprint"), ["f2", "f1"]);
        assert_eq!(machines["items"][1]["offlineUntil"], made["expiresAt"]);
        let short = json!({"fingerprint": "", "ttl": 60});
        let refused = ada.post(&format!("{address}/file"), short).await;
        assert_eq!(refused.fields(), ["fingerprint", "ttl"]);
        assert_eq!(events(&ada, "license.file_issued").await, 2);

        // A license that allows none.
        let mut work = server.app.core.begin().await.unwrap();
        let stored =
            work.licenses().find(ada.tenant.parse().unwrap(), id.parse().unwrap()).await.unwrap().unwrap();
        let mut terms = stored.terms.clone();
        terms.offline = false;
        let id = server.app.core.env.new_id();
        let key = server.app.licensing.vault.make(&server.app.core.env, id).unwrap();
        let without = License { id, key, terms, ..stored };
        work.licenses().insert(&without).await.unwrap();
        work.commit().await.unwrap();
        let address = format!("{LICENSES}/{}/file", without.id);
        let refused = ada.post(&address, json!({"fingerprint": "f1"})).await.expect(409);
        assert_eq!(refused["code"], "license_offline_not_allowed");
    })
    .await;
}
