//! The License API of Lemon Squeezy: what products get that were written for it.

use portico_testkit::server::{Answer, Client, Database, TestServer, at_once};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    fixture::text,
    licenses::{LICENSES, ask, issued, verdict},
    sites::{column, events},
};

const API: &str = "/compat/lemonsqueezy/v1/licenses";
const FORM: &str = "application/x-www-form-urlencoded";

/// Sends a form.
async fn form(client: &Client, what: &str, body: &str) -> Answer {
    client.send(Method::POST, &format!("{API}/{what}"), Some(body.as_bytes().to_vec()), FORM).await
}

/// The members of an object.
fn members(value: &Value) -> Vec<&str> {
    let mut members: Vec<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
    members.sort_unstable();
    members
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_activated_validated_and_deactivated() {
    TestServer::on_each_database(async |server| {
        let ada = server.customer(server.email("ada")).await;
        let (id, key) = issued(server, &ada, Some(2)).await;
        let product = server.client();
        let unused = form(&product, "validate", &format!("license_key={key}")).await.expect(200);
        assert_eq!(
            (&unused["valid"], &unused["license_key"]["status"], &unused["instance"]),
            (&json!(true), &json!("inactive"), &Value::Null)
        );
        let body = format!("license_key={}&instance_name=Ada%27s+Mac&theme=dark", key.to_lowercase());
        let made = form(&product, "activate", &body).await.expect(200);
        assert_eq!(members(&made), ["activated", "error", "instance", "license_key", "meta"]);
        assert_eq!((&made["activated"], &made["error"]), (&json!(true), &Value::Null));
        let license = &made["license_key"];
        let expected =
            ["activation_limit", "activation_usage", "created_at", "expires_at", "id", "key", "status"];
        assert_eq!(members(license), expected);
        for (field, expected) in [
            ("status", json!("active")),
            ("key", json!(key)),
            ("activation_limit", json!(2)),
            ("activation_usage", json!(1)),
            ("expires_at", Value::Null),
        ] {
            assert_eq!(license[field], expected, "{field}");
        }
        assert!(
            license["id"].is_u64()
                && text(license, "created_at").len() == "2021-01-24T14:15:07.000000Z".len()
        );
        assert_eq!(made["instance"]["name"], "Ada's Mac");
        assert_eq!(made["meta"]["product_name"], "Base Software License");
        assert!(made["meta"]["product_id"].is_u64() && made["meta"]["customer_email"].is_null());
        assert_eq!(made["license_key"]["id"], unused["license_key"]["id"], "always the same");

        // An instance is a machine, and a machine an instance.
        let instance = text(&made["instance"], "id");
        let machines = ada.get(&format!("{LICENSES}/{id}/activations")).await.expect(200);
        assert_eq!(column(&machines, "id"), std::slice::from_ref(&instance));
        let own = text(&ask(server, "activate", &key, "f1").await.expect(201), "id");
        for (instance, name) in [(&instance, "Ada's Mac"), (&own, "")] {
            let body = json!({"license_key": key, "instance_id": instance});
            let found = product.post(&format!("{API}/validate"), body).await.expect(200);
            assert_eq!((&found["valid"], &found["instance"]["name"]), (&json!(true), &json!(name)));
        }
        let full = form(&product, "activate", &body).await.expect(400);
        assert_eq!(members(&full), ["activated", "error", "license_key", "meta"]);
        assert_eq!(
            (&full["activated"], &full["error"]),
            (&json!(false), &json!("This license key has reached the activation limit."))
        );
        assert_eq!(full["license_key"]["activation_usage"], 2);

        let body = format!("license_key={key}&instance_id={instance}");
        let ended = form(&product, "deactivate", &body).await.expect(200);
        assert_eq!(members(&ended), ["deactivated", "error", "license_key", "meta"]);
        assert_eq!(
            (&ended["deactivated"], &ended["license_key"]["activation_usage"]),
            (&json!(true), &json!(1))
        );
        for what in ["deactivate", "validate"] {
            let gone = form(&product, what, &body).await.expect(404);
            assert_eq!(gone["error"], "instance_id not found.", "{what}");
        }
        for (kind, times) in [("license.activated", 2), ("license.deactivated", 1)] {
            assert_eq!(events(&ada, kind).await, times, "{kind}");
        }
        assert_eq!(verdict(server, &key, "f1").await, "valid");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_is_told_as_there() {
    TestServer::shared(async |server| {
        let ada = server.customer(server.email("ada")).await;
        let (_, key) = issued(server, &ada, None).await;
        let (_, other) = issued(server, &ada, None).await;
        let product = server.client();
        for (what, done) in [("activate", "activated"), ("validate", "valid"), ("deactivate", "deactivated")]
        {
            let body =
                "license_key=0000-0000&instance_name=x&instance_id=0199d2a4-5c1e-7a51-8f3b-0d6c2f9b4e11";
            let refused = form(&product, what, body).await.expect(404);
            assert_eq!(refused, json!({done: false, "error": "license_key not found."}), "{what}");
            let empty = form(&product, what, "").await.expect(422);
            assert_eq!(
                empty["errors"]["license_key"],
                json!(["The license_key field is required."]),
                "{what}"
            );
            assert_eq!(empty["message"], "The license_key field is required.");
            assert_eq!(product.get(&format!("{API}/{what}")).await.status.as_u16(), 405, "{what}");
        }
        let made =
            form(&product, "activate", &format!("license_key={key}&instance_name=x")).await.expect(200);
        let instance = text(&made["instance"], "id");
        let elsewhere = format!("license_key={other}&instance_id={instance}");
        for what in ["validate", "deactivate"] {
            assert_eq!(form(&product, what, &elsewhere).await.expect(404)["error"], "instance_id not found.");
            let odd = format!("license_key={key}&instance_id=%00");
            assert_eq!(form(&product, what, &odd).await.expect(404)["error"], "instance_id not found.");
        }
        let long = format!("license_key={key}&instance_name={}", "n".repeat(101));
        assert!(form(&product, "activate", &long).await.expect(422)["errors"]["instance_name"].is_array());
        assert_eq!(form(&product, "activate", &"x".repeat(20_000)).await.status.as_u16(), 413);
        assert_eq!(
            product
                .send(Method::POST, &format!("{API}/validate"), Some(b"[{".to_vec()), "application/json")
                .await
                .status,
            422
        );
        assert_eq!(product.post(&format!("{API}/renew"), json!({})).await.status.as_u16(), 404);

        let mut work = server.app.core.begin().await.unwrap();
        let digests = server.app.licensing.vault.digests_of(&key);
        let (tenant, id) = work.licenses().owner_of(&digests).await.unwrap().unwrap();
        let stored = work.licenses().lock(tenant, id).await.unwrap().unwrap();
        work.licenses().update(&stored.after(portico_licensing::license::Move::Suspend)).await.unwrap();
        work.commit().await.unwrap();
        let held = form(&product, "validate", &format!("license_key={key}&instance_id={instance}"))
            .await
            .expect(400);
        assert_eq!((&held["valid"], &held["license_key"]["status"]), (&json!(false), &json!("disabled")));
        assert_eq!(held["error"], "This license key is disabled.");
        let refused =
            form(&product, "activate", &format!("license_key={key}&instance_name=y")).await.expect(400);
        assert_eq!((&refused["activated"], &refused["error"]), (&json!(false), &held["error"]));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_seat_goes_once_here_as_well() {
    TestServer::on_each_database(async |server| {
        let ada = server.customer(server.email("ada")).await;
        let (id, key) = issued(server, &ada, Some(1)).await;
        let answers = at_once(16, |number| {
            let (client, key) = (server.client(), key.clone());
            async move {
                form(&client, "activate", &format!("license_key={key}&instance_name=racer-{number}")).await
            }
        })
        .await;
        assert_eq!(answers.iter().filter(|answer| answer.status.as_u16() == 200).count(), 1);
        assert_eq!(answers.iter().filter(|answer| answer.status.as_u16() == 400).count(), 15);
        assert_eq!(ada.get(&format!("{LICENSES}/{id}")).await.expect(200)["activations"], 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn they_are_counted_by_address_with_our_own() {
    let server = TestServer::start_with(Database::Sqlite, |settings| {
        settings.rate_limit.enabled = true;
        settings.rate_limit.per_address = 5;
    })
    .await;
    let mut statuses = Vec::new();
    for number in 0..8 {
        let answer = match number % 2 {
            0 => form(&server.client(), "validate", "license_key=0000").await,
            _ => ask(&server, "validate", "0000-0000-0000-0000", "f1").await,
        };
        statuses.push(answer.status.as_u16());
    }
    assert_eq!(statuses, [404, 404, 404, 404, 404, 429, 429, 429]);
    server.stop().await;
}
