//! Plans that staff grant.

use portico_kernel::PlatformRole;
use portico_testkit::server::TestServer;
use serde_json::json;

use crate::fixture::Person;

#[tokio::test(flavor = "multi_thread")]
async fn staff_puts_a_tenant_on_a_plan_and_says_why() {
    TestServer::shared(async |server| {
        let staff =
            Person::new(server, server.email("staff"), |user| user.role = PlatformRole::Staff).await.client;
        let ada = server.customer(server.email("ada")).await;
        ada.post("/api/v1/sites", json!({"name": "One"})).await.expect(201);
        ada.post("/api/v1/sites", json!({"name": "Two"})).await.expect(402);
        let path = format!("/api/v1/admin/customers/{}/plan", ada.tenant);
        let grant = json!({"plan": "starter", "reason": "Paid by bank transfer"});

        assert_eq!(ada.put(&path, grant.clone()).await.status.as_u16(), 403);
        assert_eq!(server.client().put(&path, grant.clone()).await.status.as_u16(), 401);
        for (wrong, field) in [
            (json!({"plan": "starter"}), "reason"),
            (json!({"plan": "gold", "reason": "x"}), "plan"),
            (json!({"plan": "starter", "reason": " "}), "reason"),
        ] {
            assert_eq!(staff.put(&path, wrong).await.fields(), [field]);
        }
        let nobody = format!("/api/v1/admin/customers/{}/plan", server.app.core.env.random_uuid());
        assert_eq!(staff.put(&nobody, grant.clone()).await.status.as_u16(), 404);

        let subscription = staff.put(&path, grant.clone()).await.expect(200);
        assert_eq!((&subscription["plan"], &subscription["status"]), (&json!("starter"), &json!("active")));
        staff.put(&path, grant).await.expect(200);
        ada.post("/api/v1/sites", json!({"name": "Two"})).await.expect(201);
        assert_eq!(ada.get("/api/v1/profile").await.expect(200)["package"]["plan"], "starter");

        // Once, with who and why; and what is there stays when the plan includes less.
        let trail = ada.get(&ada.t("/audit?type=subscription.updated")).await.expect(200);
        let entries = trail["items"].as_array().unwrap();
        assert_eq!(entries.len(), 1, "{trail}");
        assert_eq!(entries[0]["after"]["reason"], "Paid by bank transfer");
        assert_eq!(entries[0]["before"]["plan"], "free");
        staff.put(&path, json!({"plan": "free", "reason": "Not paid"})).await.expect(200);
        assert_eq!(ada.get("/api/v1/sites").await.expect(200)["total"], 2);
        ada.post("/api/v1/sites", json!({"name": "Three"})).await.expect(402);
    })
    .await;
}
