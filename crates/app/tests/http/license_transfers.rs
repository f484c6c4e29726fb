//! Licenses that are given to other tenants.

use portico_billing::purchase::PurchaseStatus;
use portico_feature_licensing::background;
use portico_kernel::{PlatformRole, RequestInfo, Scope, TenantRole};
use portico_licensing::{
    administration::{LicenseAdministration, NewLicenses},
    transfer::{LicenseTransfers, TransferOffer},
};
use portico_testkit::server::{Client, TestServer, at_once};
use serde_json::{Value, json};

use crate::{
    fixture::{Person, text},
    licenses::{LICENSES, ask, changed, issued, verdict},
    purchases::checkout,
    sites::events,
};

const ACCEPT: &str = "/api/v1/licenses/transfers/accept";

/// A new license of a tenant that is offered to the owner of an address: its id and the token.
pub async fn offered(server: &TestServer, tenant: &str, email: &str) -> (String, String) {
    let app = &server.app.licensing;
    let scope = Scope::system(tenant.parse().ok(), RequestInfo::default());
    let wanted = NewLicenses {
        customer_id: tenant.parse().ok(),
        product_type: "base_product".to_owned(),
        reason: "A test says so".to_owned(),
        ..NewLicenses::default()
    };
    let mut work = app.core.begin().await.unwrap();
    let mut administration = LicenseAdministration::new(&mut *work, &scope, &app.core.env, &app.vault);
    let id = administration.issue(&wanted).await.unwrap().remove(0).license.id;
    let mut transfers = LicenseTransfers::new(&mut *work, &scope, &app.core.env, &app.vault);
    let token = transfers.offer(id, email).await.unwrap().token;
    work.commit().await.unwrap();
    (id.to_string(), token)
}

async fn offer(client: &Client, id: &str, email: &str) -> Value {
    client.post(&format!("{LICENSES}/{id}/transfer"), json!({"email": email})).await.expect(201)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_license_goes_to_whoever_it_was_offered_to_and_to_nobody_else() {
    TestServer::on_each_database(async |server| {
        let ada = server.customer(server.email("ada")).await;
        let email = server.email("bob");
        let bob = Person::new(server, email, |_| {}).await.client;
        let eve = server.customer(server.email("eve")).await;
        let (id, key) = issued(server, &ada, Some(3)).await;
        ask(server, "activate", &key, "f1").await.expect(201);
        let made = offer(&ada, &id, &email.to_uppercase()).await;
        assert_eq!((&made["licenseId"], &made["email"]), (&json!(id), &json!(email)));
        let body = json!({"token": made["token"]});
        assert_eq!(verdict(server, &key, "f1").await, "valid", "until it is accepted");
        // Somebody who has the token, and a viewer of Bob's tenant.
        assert_eq!(eve.post(ACCEPT, body.clone()).await.expect(404)["code"], "not_found");
        let viewer = Person::new(server, server.email("viewer"), |_| {}).await;
        viewer.join(server, &bob.tenant, TenantRole::Viewer).await;
        let viewer = viewer.client.with("x-tenant-id", &bob.tenant);
        assert_eq!(viewer.post(ACCEPT, body.clone()).await.status.as_u16(), 403);
        // Bob, for a tenant of which he is no admin.
        assert_eq!(
            bob.with("x-tenant-id", &eve.tenant).post(ACCEPT, body.clone()).await.status.as_u16(),
            404
        );

        let got = bob.post(ACCEPT, body.clone()).await.expect(200);
        assert!(text(&got, "id") != id && text(&got, "key") != key);
        assert_eq!((&got["activationLimit"], &got["activations"]), (&json!(3), &json!(0)));
        assert_eq!(bob.get(LICENSES).await.expect(200)["total"], 1);
        assert_eq!(verdict(server, &text(&got, "key"), "f1").await, "not_activated");
        assert_eq!(verdict(server, &key, "f1").await, "revoked");
        let old = ada.get(&format!("{LICENSES}/{id}")).await.expect(200);
        assert_eq!((&old["status"], &old["activations"]), (&json!("revoked"), &json!(0)));
        // The owners are told that it was given away, and staff to whom.
        assert_eq!((&old["transferred"], &got["transferred"]), (&json!(true), &json!(false)));
        let listed = ada.get(LICENSES).await.expect(200);
        assert_eq!(listed["items"][0]["transferred"], true);
        assert!(!listed.to_string().contains(&bob.tenant) && !got.to_string().contains(&ada.tenant));
        let staff = Person::new(server, server.email("staff"), |user| user.role = PlatformRole::Staff).await;
        let (from, to) = (
            json!({"licenseId": id, "tenantId": ada.tenant}),
            json!({"licenseId": got["id"], "tenantId": bob.tenant}),
        );
        let given = staff.client.get(&format!("/api/v1/admin/licenses/{id}")).await.expect(200);
        assert_eq!((&given["transferredTo"], given.get("transferredFrom")), (&to, None));
        let heir =
            staff.client.get(&format!("/api/v1/admin/licenses/{}", text(&got, "id"))).await.expect(200);
        assert_eq!((&heir["transferredFrom"], heir.get("transferredTo")), (&from, None));
        let overview = format!("/api/v1/admin/customers/{}/overview", bob.tenant);
        assert_eq!(staff.client.get(&overview).await.expect(200)["licenses"][0]["transferredFrom"], from);
        assert_eq!(bob.post(ACCEPT, body).await.status.as_u16(), 404, "a token works once");
        let trail = ada.get(&ada.t("/audit?type=license.revoked")).await.expect(200);
        assert_eq!(trail["items"][0]["after"]["reason"], "Transferred");
        assert!(!trail.to_string().contains(email), "nothing of whoever has accepted");
        for (client, kind) in
            [(&ada, "license.transfer_offered"), (&ada, "license.revoked"), (&bob, "license.issued")]
        {
            assert_eq!(events(client, kind).await, 1, "{kind}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_offer_ends_with_the_next_one_and_when_it_is_taken_back() {
    TestServer::shared(async |server| {
        let ada = server.customer(server.email("ada")).await;
        let email = server.email("bob");
        let bob = Person::new(server, email, |_| {}).await.client;
        let eve = server.customer(server.email("eve")).await;
        let (id, _) = issued(server, &ada, None).await;
        let path = format!("{LICENSES}/{id}/transfer");
        let first = offer(&ada, &id, email).await;
        let second = offer(&ada, &id, email).await;
        assert_eq!(eve.delete(&path).await.status.as_u16(), 404);
        assert_eq!(eve.post(&path, json!({"email": email})).await.status.as_u16(), 404);
        ada.delete(&path).await.expect(204);
        ada.delete(&path).await.expect(204);
        for made in [first, second] {
            assert_eq!(bob.post(ACCEPT, json!({"token": made["token"]})).await.status.as_u16(), 404);
        }
        assert_eq!(events(&ada, "license.transfer_withdrawn").await, 1);
        for wrong in ["", "nobody", "a b@example.com"] {
            assert_eq!(ada.post(&path, json!({"email": wrong})).await.fields(), ["email"], "{wrong}");
        }
        // To oneself.
        let own = Person::new(server, server.email("own"), |_| {}).await;
        let (id, _) = issued(server, &own.client, None).await;
        let made = offer(&own.client, &id, &own.email).await;
        let refused = own.client.post(ACCEPT, json!({"token": made["token"]})).await.expect(422);
        assert_eq!(refused["errors"][0]["code"], "own_license");
        // A week later.
        let (tenant, license) = (own.client.tenant.parse().unwrap(), id.parse().unwrap());
        let mut work = server.app.core.begin().await.unwrap();
        let open = work.license_transfers().find(tenant, license).await.unwrap().unwrap();
        let over = TransferOffer { expires_at: server.app.core.env.now(), ..open };
        work.license_transfers().offer(&over).await.unwrap();
        work.commit().await.unwrap();
        let late = own.client.post(ACCEPT, json!({"token": made["token"]})).await;
        assert_eq!(late.status.as_u16(), 404);
        background::expire(&server.app.licensing).await.unwrap();
        let found = server.app.core.reader().license_transfers().find(tenant, license).await.unwrap();
        assert_eq!(found, None, "it is forgotten, and the address with it");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_16_that_accept_at_once_one_does() {
    TestServer::on_each_database(async |server| {
        let ada = server.customer(server.email("ada")).await;
        let email = server.email("bob");
        let bob = Person::new(server, email, |_| {}).await.client;
        let (_, token) = offered(server, &ada.tenant, email).await;
        let answers = at_once(16, |_| {
            let (bob, token) = (bob.clone(), token.clone());
            async move { bob.post(ACCEPT, json!({"token": token})).await }
        })
        .await;
        assert_eq!(answers.iter().filter(|answer| answer.status.as_u16() == 200).count(), 1);
        assert!(answers.iter().all(|answer| matches!(answer.status.as_u16(), 200 | 404 | 409)));
        assert_eq!(bob.get(LICENSES).await.expect(200)["total"], 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_takes_what_was_given_away() {
    TestServer::on_each_database(async |server| {
        let ada = server.customer(server.email("ada")).await;
        let email = server.email("bob");
        let bob = Person::new(server, email, |_| {}).await.client;
        let (session, purchase) = checkout(&ada).await;
        server.payments.pay(&session);
        let bought = ada.post("/api/v1/checkout/success", json!({"sessionId": session})).await.expect(200);
        let made = offer(&ada, &text(&bought["licenses"][0], "id"), email).await;
        let got = bob.post(ACCEPT, json!({"token": made["token"]})).await.expect(200);
        assert!(got.get("purchaseId").is_none());
        let key = text(&got, "key");
        ask(server, "activate", &key, "f1").await.expect(201);
        for (status, code) in [
            (PurchaseStatus::Disputed, "suspended"),
            (PurchaseStatus::Completed, "valid"),
            (PurchaseStatus::Refunded, "revoked"),
        ] {
            changed(server, &ada, &purchase, status).await;
            assert_eq!(verdict(server, &key, "f1").await, code, "{status:?}");
        }
        assert_eq!(ada.get(LICENSES).await.expect(200)["total"], 1, "none was issued again");
        assert_eq!(events(&bob, "license.revoked").await, 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_at_the_moment_of_accepting_leaves_no_license() {
    TestServer::on_each_database(async |server| {
        let ada = server.customer(server.email("ada")).await;
        let email = server.email("bob");
        let bob = Person::new(server, email, |_| {}).await.client;
        for _ in 0..6 {
            let (session, purchase) = checkout(&ada).await;
            server.payments.pay(&session);
            let bought =
                ada.post("/api/v1/checkout/success", json!({"sessionId": session})).await.expect(200);
            let made = offer(&ada, &text(&bought["licenses"][0], "id"), email).await;
            let (answer, ()) = tokio::join!(
                bob.post(ACCEPT, json!({"token": made["token"]})),
                changed(server, &ada, &purchase, PurchaseStatus::Refunded)
            );
            assert!(matches!(answer.status.as_u16(), 200 | 404 | 409), "{}", answer.text);
            for client in [&ada, &bob] {
                let licenses = client.get(LICENSES).await.expect(200);
                assert_eq!(
                    licenses["items"]
                        .as_array()
                        .unwrap()
                        .iter()
                        .filter(|one| one["status"] != "revoked")
                        .count(),
                    0
                );
            }
        }
    })
    .await;
}
