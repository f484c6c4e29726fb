//! Settings, dealer, suspension, and the deletion of a tenant after a time of grace.

use std::time::Duration;

use portico_kernel::{PlatformRole, TenantRole};
use portico_testkit::server::{Answer, Client, Database, TestServer, at_once, eventually};
use serde_json::{Value, json};

use crate::{
    fixture::Person,
    tenancy::{member, operator},
};

/// Publishes a site with one page, and returns its host name once it is there.
async fn publish(server: &TestServer, client: &Client, subdomain: &str) -> String {
    let site =
        client.post("/api/v1/sites", json!({"name": "Acme", "subdomain": subdomain})).await.expect(201);
    let page = json!({"title": "Welcome", "slug": "home", "status": "published", "isHome": true});
    client.post(&client.t("/pages"), page).await.expect(201);
    client.post_empty(&format!("/api/v1/sites/{}/deploy", site["id"].as_str().unwrap())).await.expect(202);
    let host = site["url"].as_str().unwrap().strip_prefix("http://").unwrap().to_owned();
    answers(server, &host, 200).await;
    host
}

/// Waits until a site answers with a status.
async fn answers(server: &TestServer, host: &str, status: u16) -> Answer {
    let mut last = None;
    let found = eventually(Duration::from_secs(20), async || {
        let answer = server.client().with("host", host).get("/").await;
        let found = answer.status.as_u16() == status;
        last = Some(answer.clone());
        found.then_some(answer)
    })
    .await;
    found.unwrap_or_else(|| panic!("no {status}, but {last:?}"))
}

async fn events(client: &Client, tenant: &str, kind: &str) -> Vec<Value> {
    let trail = client.get(&format!("/api/v1/audit?type={kind}&resourceId={tenant}")).await.expect(200);
    trail["items"].as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_are_merged_and_checked() {
    TestServer::on_each_database(async |server| {
        let client = server.customer(server.email("ada")).await;
        let path = client.t("/settings");
        let read = client.get(&path).await;
        assert_eq!(read.header("etag"), "\"v1\"");
        let defaults = read.expect(200);
        assert_eq!(
            (&defaults["language"], &defaults["timeZone"], &defaults["supportEmail"], &defaults["auditRetentionDays"]),
            (&json!("en"), &json!("UTC"), &Value::Null, &Value::Null)
        );
        let body = json!({"timeZone": "america/guatemala", "supportEmail": " Hola@Example.com ", "auditRetentionDays": 365});
        let changed = client.with("if-match", "\"v1\"").put(&path, body).await;
        assert_eq!(changed.header("etag"), "\"v2\"");
        let changed = changed.expect(200);
        assert_eq!(
            (&changed["timeZone"], &changed["supportEmail"], &changed["language"]),
            (&json!("America/Guatemala"), &json!("hola@example.com"), &json!("en"))
        );
        assert_eq!(client.get(&path).await.expect(200), changed);
        assert_eq!(client.with("if-none-match", "\"v2\"").get(&path).await.status.as_u16(), 304);
        client.with("if-match", "\"v1\"").put(&path, json!({"language": "es"})).await.expect(412);
        let cleared = client.put(&path, json!({"language": "es", "supportEmail": null})).await.expect(200);
        assert_eq!((&cleared["language"], &cleared["supportEmail"]), (&json!("es"), &Value::Null));
        assert_eq!(cleared["auditRetentionDays"], 365);
        let wrong = json!({"language": "tlh", "timeZone": "Mars/Olympus", "supportEmail": "x", "auditRetentionDays": 1, "colour": 1});
        let shape = client.put(&path, wrong).await;
        assert_eq!((shape.status.as_u16(), shape.fields()), (422, vec!["colour".to_owned()]));
        let wrong = json!({"language": "tlh", "timeZone": "Mars/Olympus", "supportEmail": "x", "auditRetentionDays": 3651});
        let fields = ["auditRetentionDays", "language", "supportEmail", "timeZone"].map(str::to_owned);
        assert_eq!(client.put(&path, wrong).await.fields(), fields);
        let viewer = member(server, server.email("viewer"), &client.tenant, TenantRole::Viewer).await;
        viewer.get(&path).await.expect(200);
        viewer.put(&path, json!({"language": "en"})).await.expect(403);
        server.unverified(server.email("eve")).await.get(&path).await.expect(404);
        let trail = client.get(&client.t("/audit?type=tenant.settings_updated")).await.expect(200);
        assert_eq!(trail["items"].as_array().unwrap().len(), 2);
        assert_eq!(trail["items"][0]["before"]["language"], "en");

        // Of eight that store the first settings at once, one succeeds.
        let other = server.unverified(server.email("bob")).await.with("if-match", "\"v1\"");
        let statuses = at_once(8, |number| {
            let (client, path) = (other.clone(), other.t("/settings"));
            async move { client.put(&path, json!({"auditRetentionDays": 30 + number})).await.status.as_u16() }
        })
        .await;
        assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
        assert!(statuses.iter().all(|status| [200, 412].contains(status)), "{statuses:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operator_names_a_dealer_whom_the_members_see() {
    TestServer::shared(async |server| {
        let client = server.unverified(server.email("ada")).await;
        let root = operator(server, server.email("root"), PlatformRole::SuperAdmin).await;
        let staff = operator(server, server.email("staff"), PlatformRole::Staff).await;
        let path = client.t("/dealer");
        client.get(&path).await.expect(404);
        assert_eq!(client.get("/api/v1/profile").await.expect(200)["dealer"], Value::Null);
        let dealer =
            json!({"name": " Centro Digital ", "email": "Hola@Example.com", "phone": "+502 2345 6789"});
        client.put(&path, dealer.clone()).await.expect(403);
        staff.put(&path, dealer.clone()).await.expect(404);
        assert_eq!(root.put(&path, json!({"phone": "x"})).await.fields(), ["name", "phone"]);
        let named = root.put(&path, dealer).await;
        assert_eq!(named.header("etag"), "\"v1\"");
        let named = named.expect(200);
        let expected =
            json!({"name": "Centro Digital", "email": "hola@example.com", "phone": "+502 2345 6789"});
        assert_eq!(named, expected);
        assert_eq!(client.get(&path).await.expect(200), expected);
        assert_eq!(client.get("/api/v1/profile").await.expect(200)["dealer"], expected);
        root.with("if-match", "\"v7\"").put(&path, json!({"phone": null})).await.expect(412);
        let changed = root.with("if-match", "\"v1\"").put(&path, json!({"phone": null})).await.expect(200);
        assert_eq!((&changed["name"], &changed["phone"]), (&json!("Centro Digital"), &Value::Null));
        client.delete(&path).await.expect(403);
        root.with("if-match", "\"v1\"").delete(&path).await.expect(412);
        root.delete(&path).await.expect(204);
        root.delete(&path).await.expect(204);
        client.get(&path).await.expect(404);
        assert_eq!(events(&root, &client.tenant, "dealer.updated").await.len(), 2);
        let removed = &events(&root, &client.tenant, "dealer.deleted").await[0];
        assert_eq!(removed["before"]["name"], "Centro Digital");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_tenant_is_locked_and_its_site_paused_until_it_is_reinstated() {
    TestServer::shared(async |server| {
        let client = server.customer(server.email("ada")).await;
        let viewer = member(server, server.email("viewer"), &client.tenant, TenantRole::Viewer).await;
        let root = operator(server, server.email("root"), PlatformRole::SuperAdmin).await;
        let host = publish(server, &client, "acme-shop").await;
        client.get(&client.t("")).await.expect(200);
        let (suspend, reinstate) = (client.t("/suspend"), client.t("/reinstate"));
        client.post(&suspend, json!({"reason": "Myself"})).await.expect(403);
        assert_eq!(root.post(&suspend, json!({})).await.fields(), ["reason"]);
        let done = root.post(&suspend, json!({"reason": "Unpaid since March"})).await.expect(200);
        assert_eq!(
            (&done["status"], &done["suspensionReason"]),
            (&json!("suspended"), &json!("Unpaid since March"))
        );

        // At once on this instance; the others are notified by the commit.
        for caller in [&client, &viewer] {
            for path in ["", "/pages", "/members", "/settings"] {
                let refused = caller.get(&client.t(path)).await.expect(403);
                assert_eq!(refused["code"], "tenant_suspended", "{path}");
            }
        }
        let named = client.with("x-tenant-id", &client.tenant);
        assert_eq!(named.get("/api/v1/sites").await.expect(403)["code"], "tenant_suspended");
        client.get("/api/v1/sites").await.expect(403);
        server.unverified(server.email("eve")).await.get(&client.t("")).await.expect(404);
        let switch = client.post("/api/v1/auth/switch-tenant", json!({"tenantId": client.tenant})).await;
        assert_eq!(switch.expect(403)["code"], "tenant_suspended");
        // The account itself works, and says why.
        let profile = client.get("/api/v1/profile").await.expect(200);
        assert_eq!(
            (&profile["activeTenantId"], &profile["tenants"][0]["status"]),
            (&Value::Null, &json!("suspended"))
        );
        let list = client.get("/api/v1/tenants").await.expect(200);
        assert_eq!(list["items"][0]["suspensionReason"], "Unpaid since March");
        root.get(&client.t("")).await.expect(200);
        let paused = answers(server, &host, 503).await;
        assert_eq!(paused.header("retry-after"), "3600");
        assert!(paused.text.contains("paused") && !paused.text.contains("Unpaid"), "{}", paused.text);

        root.post(&suspend, json!({"reason": "Again"})).await.expect(200);
        root.post_empty(&reinstate).await.expect(200);
        let back = root.post_empty(&reinstate).await.expect(200);
        assert_eq!((&back["status"], &back["suspensionReason"]), (&json!("active"), &Value::Null));
        client.get(&client.t("/pages")).await.expect(200);
        answers(server, &host, 200).await;
        assert_eq!(events(&root, &client.tenant, "tenant.suspended").await.len(), 1);
        assert_eq!(events(&root, &client.tenant, "tenant.reinstated").await.len(), 1);
    })
    .await;
}

async fn each_with_grace(grace: Duration, test: impl AsyncFn(&TestServer)) {
    for database in [Database::Sqlite, Database::Postgres] {
        let server =
            TestServer::start_with(database, |settings| settings.tenancy.deletion_grace = grace).await;
        test(&server).await;
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn until_its_deletion_a_tenant_can_be_read_and_restored() {
    each_with_grace(Duration::from_secs(14 * 24 * 3600), async |server| {
        let owner = server.customer(server.email("ada")).await;
        let admin = member(server, server.email("admin"), &owner.tenant, TenantRole::Admin).await;
        let root = operator(server, server.email("root"), PlatformRole::SuperAdmin).await;
        let host = publish(server, &owner, "acme-shop").await;
        owner.with("if-match", "\"v9\"").delete(&owner.t("")).await.expect(412);
        let answer = owner.with("if-match", "\"v1\"").delete(&owner.t("")).await;
        assert_eq!((answer.header("location"), answer.header("etag")), (owner.t("").as_str(), "\"v2\""));
        let scheduled = answer.expect(202);
        assert_eq!(scheduled["status"], "deleting");
        assert!(scheduled["deleteAt"].as_str().unwrap() > scheduled["updatedAt"].as_str().unwrap());
        answers(server, &host, 404).await;
        // Members can read but not cancel the deletion; no role can change anything.
        for caller in [&owner, &admin] {
            for path in ["", "/pages", "/members", "/settings", "/branding"] {
                caller.get(&owner.t(path)).await.expect(200);
            }
            caller.put(&owner.t(""), json!({"name": "No"})).await.expect(403);
            caller.post(&owner.t("/pages"), json!({"title": "No"})).await.expect(403);
            caller
                .post(&owner.t("/invitations"), json!({"email": server.email("x"), "role": "viewer"}))
                .await
                .expect(403);
        }
        admin.post_empty(&owner.t("/restore")).await.expect(403);
        assert_eq!(owner.delete(&owner.t("")).await.expect(409)["code"], "tenant_deleting");
        let suspend = root.post(&owner.t("/suspend"), json!({"reason": "Late"})).await.expect(409);
        assert_eq!(suspend["code"], "tenant_deleting");

        let restored = owner.post_empty(&owner.t("/restore")).await.expect(200);
        assert_eq!((&restored["status"], &restored["deleteAt"]), (&json!("active"), &Value::Null));
        owner.put(&owner.t(""), json!({"name": "Back"})).await.expect(200);
        answers(server, &host, 200).await;
        assert_eq!(owner.post_empty(&owner.t("/restore")).await.expect(409)["code"], "tenant_not_deleting");
        for kind in ["tenant.deletion_scheduled", "tenant.deletion_cancelled"] {
            assert_eq!(events(&root, &owner.tenant, kind).await.len(), 1, "{kind}");
        }
        assert!(events(&root, &owner.tenant, "tenant.deleted").await.is_empty());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_is_finished_once_when_its_time_has_come() {
    each_with_grace(Duration::from_millis(1500), async |server| {
        let owner = Person::new(server, server.email("ada"), |_| {}).await.client;
        let root = operator(server, server.email("root"), PlatformRole::SuperAdmin).await;
        // Taken back and asked for again: the job of the first time finds that it is not due.
        owner.delete(&owner.t("")).await.expect(202);
        owner.post_empty(&owner.t("/restore")).await.expect(200);
        // The two times lie apart by this at least.
        tokio::time::sleep(Duration::from_millis(700)).await;
        let again = owner.delete(&owner.t("")).await.expect(202);
        owner.get(&owner.t("")).await.expect(200);
        let gone = eventually(Duration::from_secs(20), async || {
            (owner.get(&owner.t("")).await.status.as_u16() == 404).then(|| server.app.core.env.now())
        })
        .await
        .expect("it is deleted");
        assert!(
            serde_json::to_value(gone).unwrap().as_str() >= again["deleteAt"].as_str(),
            "not before its time"
        );
        owner.post_empty(&owner.t("/restore")).await.expect(404);
        root.get(&owner.t("")).await.expect(404);
        let deleted = events(&root, &owner.tenant, "tenant.deleted").await;
        assert_eq!(deleted.len(), 1);
        assert_eq!(deleted[0]["actor"]["kind"], "system");
    })
    .await;
}
