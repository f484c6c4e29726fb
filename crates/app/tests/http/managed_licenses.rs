//! Licenses as staff issue, suspend and end them, and as the clock ends them.

use std::time::Duration;

use portico_feature_licensing::background;
use portico_kernel::PlatformRole;
use portico_tenancy::tenant::{Tenant, TenantStatus};
use portico_testkit::server::{Client, TestServer, eventually};
use serde_json::{Value, json};

use crate::{
    fixture::{Person, text},
    licenses::{LICENSES, ask, issued, verdict},
    sites::{column, events},
};

const MANAGED: &str = "/api/v1/admin/licenses";

async fn staff(server: &TestServer) -> Client {
    Person::new(server, server.email("staff"), |user| user.role = PlatformRole::Staff).await.client
}

#[tokio::test(flavor = "multi_thread")]
async fn a_term_that_is_over_ends_at_once_and_is_noted_later() {
    TestServer::on_each_database(async |server| {
        let ada = server.customer(server.email("ada")).await;
        let staff = staff(server).await;
        let now = server.app.core.env.now();
        let end = now + time::Duration::seconds(1);
        let wanted = json!({
            "customerId": ada.tenant, "productType": "base_product", "expiresAt": end, "reason": "A trial",
        });
        let made = staff.post(MANAGED, wanted).await.expect(201);
        let id = text(&made["items"][0], "id");
        let key = text(&ada.get(&format!("{LICENSES}/{id}")).await.expect(200), "key");
        let over = eventually(Duration::from_secs(20), async || {
            (verdict(server, &key, "f1").await == "expired").then_some(())
        });
        over.await.expect("the clock ends it");
        assert_eq!(ask(server, "activate", &key, "f1").await.expect(409)["code"], "license_expired");
        for _ in 0..2 {
            background::expire(&server.app.licensing).await.unwrap();
        }
        assert_eq!(events(&ada, "license.expired").await, 1);
        let found =
            staff.get(&format!("{MANAGED}?status=expired&customerId={}", ada.tenant)).await.expect(200);
        assert_eq!(column(&found, "id"), [id]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn staff_issue_find_suspend_resume_and_end() {
    TestServer::on_each_database(async |server| {
        let ada = server.customer(server.email("ada")).await;
        let staff = staff(server).await;
        let wanted = json!({
            "customerId": ada.tenant, "productType": "base_product", "quantity": 2, "activationLimit": 5,
            "reason": "Replaces a boxed copy",
        });
        let made = staff.post(MANAGED, wanted.clone()).await.expect(201);
        assert_eq!(made["items"].as_array().unwrap().len(), 2);
        let id = text(&made["items"][0], "id");
        let key = text(&ada.get(&format!("{LICENSES}/{id}")).await.expect(200), "key");
        assert!(!made.to_string().contains(&key) && key.ends_with(&text(&made["items"][0], "keyEnding")));
        let of_ada = format!("{MANAGED}?customerId={}", ada.tenant);
        assert_eq!(staff.get(&of_ada).await.expect(200)["total"], 2);
        let by_key = staff.get(&format!("{MANAGED}?key={}", key.to_lowercase())).await.expect(200);
        assert_eq!((&by_key["total"], column(&by_key, "id")), (&json!(1), vec![id.clone()]));
        assert_eq!(staff.get(&format!("{MANAGED}?key=0000")).await.expect(200)["total"], 0);
        assert_eq!(staff.get(&format!("{of_ada}&productType=mug")).await.expect(200)["total"], 0);

        ask(server, "activate", &key, "f1").await.expect(201);
        let why = json!({"reason": "The key was published"});
        for (what, status, code) in [
            ("suspend", "suspended", "suspended"),
            ("suspend", "suspended", "suspended"),
            ("resume", "active", "valid"),
            ("revoke", "revoked", "revoked"),
            ("revoke", "revoked", "revoked"),
        ] {
            let changed = staff.post(&format!("{MANAGED}/{id}/{what}"), why.clone()).await.expect(200);
            assert_eq!((&changed["status"], &changed["customerId"]), (&json!(status), &json!(ada.tenant)));
            assert_eq!(verdict(server, &key, "f1").await, code, "{what}");
        }
        let late = staff.post(&format!("{MANAGED}/{id}/resume"), why.clone()).await.expect(409);
        assert_eq!(late["code"], "license_revoked");
        assert_eq!(staff.get(&format!("{MANAGED}/{id}")).await.expect(200)["status"], "revoked");
        let revoked = staff.get(&format!("{of_ada}&status=revoked")).await.expect(200);
        assert_eq!(column(&revoked, "id"), std::slice::from_ref(&id));
        let trail = ada.get(&ada.t("/audit?type=license.revoked")).await.expect(200);
        assert_eq!(trail["items"][0]["after"]["reason"], "The key was published");

        // The people of the operator are no customers.
        let boss =
            Person::new(server, server.email("boss"), |user| user.role = PlatformRole::SuperAdmin).await;
        let (own, _) = issued(server, &boss.client, None).await;
        let of_boss = format!("{MANAGED}?customerId={}", boss.client.tenant);
        for (client, total) in [(&staff, 0), (&boss.client, 1)] {
            assert_eq!(client.get(&of_boss).await.expect(200)["total"], total, "{total}");
        }
        for answer in [
            staff.get(&format!("{MANAGED}/{own}")).await,
            staff.post(&format!("{MANAGED}/{own}/revoke"), why.clone()).await,
            staff
                .post(
                    MANAGED,
                    json!({"customerId": boss.client.tenant, "productType": "base_product", "reason": "x"}),
                )
                .await,
            staff.get(&format!("{MANAGED}/{}", server.app.core.env.random_uuid())).await,
        ] {
            assert_eq!(answer.status.as_u16(), 404, "{}", answer.text);
        }
        for (field, value, code) in [
            ("customerId", Value::Null, "required"),
            ("productType", json!("mug"), "unknown_product"),
            ("quantity", json!(101), "out_of_range"),
            ("activationLimit", json!(0), "out_of_range"),
            ("expiresAt", json!("2020-01-01T00:00:00Z"), "in_the_past"),
            ("reason", json!(""), "required"),
        ] {
            let mut wrong = wanted.clone();
            wrong[field] = value;
            let refused = staff.post(MANAGED, wrong).await.expect(422);
            assert_eq!(
                (&refused["errors"][0]["field"], &refused["errors"][0]["code"]),
                (&json!(field), &json!(code))
            );
        }
        assert_eq!(ada.get(MANAGED).await.status.as_u16(), 403);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_license_of_a_tenant_that_is_gone_is_ended_and_none_is_issued_to_it() {
    TestServer::on_each_database(async |server| {
        let ada = server.customer(server.email("ada")).await;
        let staff = staff(server).await;
        let (id, key) = issued(server, &ada, None).await;
        let now = server.app.core.env.now();
        let mut work = server.app.core.begin().await.unwrap();
        let tenant = work.tenants().find(ada.tenant.parse().unwrap()).await.unwrap().unwrap();
        let gone = Tenant { status: TenantStatus::Deleted, updated_at: now, ..tenant };
        work.tenants().update(&gone).await.unwrap();
        work.commit().await.unwrap();
        assert_eq!(verdict(server, &key, "f1").await, "not_activated", "what was paid goes on running");
        let read = staff.get(&format!("{MANAGED}/{id}")).await.expect(200);
        assert_eq!((&read["status"], &read["customerId"]), (&json!("active"), &json!(ada.tenant)));
        let why = json!({"reason": "The customer is gone"});
        let ended = staff.post(&format!("{MANAGED}/{id}/revoke"), why).await.expect(200);
        assert_eq!(ended["status"], "revoked");
        assert_eq!(verdict(server, &key, "f1").await, "revoked");
        let another = json!({"customerId": ada.tenant, "productType": "base_product", "reason": "x"});
        assert_eq!(staff.post(MANAGED, another).await.status.as_u16(), 404);
    })
    .await;
}
