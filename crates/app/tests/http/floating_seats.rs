//! Floating seats: held as long as a machine is heard of.

use portico_feature_licensing::background;
use portico_licensing::{activation::Activation, license::License};
use portico_testkit::server::{Client, TestServer, at_once};
use serde_json::json;

use crate::{
    fixture::text,
    licenses::{LICENSES, ask, issued, verdict},
    sites::{column, events},
};

const COMPAT: &str = "/compat/lemonsqueezy/v1/licenses";

/// A license with so many floating seats and a lease of ten minutes, and its key.
async fn floating(server: &TestServer, client: &Client, limit: i64) -> (String, String) {
    let (model, _) = issued(server, client, Some(limit)).await;
    let (app, env) = (&server.app.licensing, &server.app.core.env);
    let mut work = app.core.begin().await.unwrap();
    let tenant = client.tenant.parse().unwrap();
    let stored = work.licenses().find(tenant, model.parse().unwrap()).await.unwrap().unwrap();
    let id = env.new_id();
    let mut terms = stored.terms.clone();
    terms.lease_seconds = Some(600);
    let license = License { id, key: app.vault.make(env, id).unwrap(), terms, ..stored };
    work.licenses().insert(&license).await.unwrap();
    work.commit().await.unwrap();
    let key = app.vault.open(id, &license.key).unwrap().as_str().to_owned();
    (id.to_string(), key)
}

/// As if the machine had not been heard of for its lease.
async fn silence(server: &TestServer, client: &Client, license: &str, fingerprint: &str) {
    let mut work = server.app.core.begin().await.unwrap();
    let (tenant, license) = (client.tenant.parse().unwrap(), license.parse().unwrap());
    let found = work.activations().of_fingerprint(tenant, license, fingerprint).await.unwrap().unwrap();
    let over = Activation { lease_ends_at: Some(server.app.core.env.now()), ..found };
    work.activations().update(&over).await.unwrap();
    work.commit().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_seat_is_lost_with_its_lease_and_taken_again_when_one_is_free() {
    TestServer::on_each_database(async |server| {
        let ada = server.customer(server.email("ada")).await;
        let (id, key) = floating(server, &ada, 2).await;
        let first = ask(server, "activate", &key, "f1").await.expect(201);
        assert!(first["leaseEndsAt"].as_str() > first["activatedAt"].as_str(), "{first}");
        ask(server, "activate", &key, "f2").await.expect(201);
        let refused = ask(server, "activate", &key, "f3").await.expect(409);
        assert_eq!((&refused["code"], &refused["limit"]), (&json!("too_many_activations"), &json!(2)));
        let heard = ask(server, "heartbeat", &key, "f1").await.expect(200);
        assert_ne!(heard["activation"]["leaseEndsAt"], first["leaseEndsAt"], "renewed");
        assert_eq!(heard["license"]["terms"]["leaseSeconds"], 600);

        silence(server, &ada, &id, "f1").await;
        assert_eq!(verdict(server, &key, "f1").await, "lease_expired");
        // Of 64 that ask for the seat at once one gets it, and no schedule has to free it before.
        let answers = at_once(64, |number| {
            let (client, key) = (server.client(), key.clone());
            async move {
                let body = json!({"key": key, "fingerprint": format!("racer-{number}")});
                client.post(&format!("{LICENSES}/activate"), body).await
            }
        })
        .await;
        assert_eq!(answers.iter().filter(|answer| answer.status.as_u16() == 201).count(), 1);
        assert_eq!(answers.iter().filter(|answer| answer.status.as_u16() == 409).count(), 63);
        let machines = ada.get(&format!("{LICENSES}/{id}/activations")).await.expect(200);
        let names = column(&machines, "fingerprint");
        assert!(names.len() == 2 && names[1] == "f2" && machines["items"][0]["leaseEndsAt"].is_string());
        assert_eq!(verdict(server, &key, "f1").await, "no_seat");
        let full = ask(server, "heartbeat", &key, "f1").await.expect(200);
        assert_eq!((&full["valid"], &full["code"]), (&json!(false), &json!("no_seat")));
        assert!(full.get("activation").is_none() && full["license"]["activations"] == 2, "{full}");

        for _ in 0..2 {
            background::note_leases(&server.app.licensing).await.unwrap();
        }
        assert_eq!(events(&ada, "license.lease_ended").await, 1);
        ask(server, "deactivate", &key, &names[0]).await.expect(204);
        let again = ask(server, "heartbeat", &key, "f1").await.expect(200);
        assert_eq!((&again["code"], &again["activation"]["id"]), (&json!("valid"), &first["id"]));
        assert_eq!(events(&ada, "license.activated").await, 4, "each seat that was taken");
        let owned = ada.get(&format!("{LICENSES}/{id}")).await.expect(200);
        assert_eq!(owned["activations"], 2);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_with_a_license_file_keeps_its_seat_until_the_file_ends() {
    TestServer::shared(async |server| {
        let ada = server.customer(server.email("ada")).await;
        let (_, key) = floating(server, &ada, 1).await;
        let made = ask(server, "file", &key, "f1").await.expect(200);
        let heard = ask(server, "heartbeat", &key, "f1").await.expect(200);
        assert_eq!(heard["activation"]["leaseEndsAt"], made["expiresAt"]);
        assert_eq!(heard["activation"]["offlineUntil"], made["expiresAt"]);
        assert_eq!(ask(server, "activate", &key, "f2").await.expect(409)["code"], "too_many_activations");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_product_that_only_validates_its_instance_goes_on_using_its_seat() {
    TestServer::on_each_database(async |server| {
        let ada = server.customer(server.email("ada")).await;
        let (id, key) = floating(server, &ada, 1).await;
        let product = server.client();
        let body = json!({"license_key": key, "instance_name": "Press 4"});
        let made = product.post(&format!("{COMPAT}/activate"), body).await.expect(200);
        let machines = ada.get(&format!("{LICENSES}/{id}/activations")).await.expect(200);
        let (fingerprint, first) =
            (text(&machines["items"][0], "fingerprint"), text(&machines["items"][0], "leaseEndsAt"));
        let named = json!({"license_key": key, "instance_id": made["instance"]["id"]});
        product.post(&format!("{COMPAT}/validate"), named.clone()).await.expect(200);
        let machines = ada.get(&format!("{LICENSES}/{id}/activations")).await.expect(200);
        assert_ne!(text(&machines["items"][0], "leaseEndsAt"), first, "renewed");

        silence(server, &ada, &id, &fingerprint).await;
        product.post(&format!("{COMPAT}/validate"), named.clone()).await.expect(200);
        silence(server, &ada, &id, &fingerprint).await;
        ask(server, "activate", &key, "f1").await.expect(201);
        let lost = product.post(&format!("{COMPAT}/validate"), named.clone()).await.expect(400);
        assert_eq!(
            (&lost["valid"], &lost["error"]),
            (&json!(false), &json!("This license key has reached the activation limit."))
        );
        ask(server, "deactivate", &key, "f1").await.expect(204);
        assert_eq!(product.post(&format!("{COMPAT}/validate"), named).await.expect(200)["valid"], true);
    })
    .await;
}
