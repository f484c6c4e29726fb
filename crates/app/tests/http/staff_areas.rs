//! Areas in which members of staff work: what they leave of the rights of staff.

use std::time::Duration;

use portico_kernel::PlatformRole;
use portico_testkit::server::{TestServer, eventually};
use serde_json::json;

use crate::{
    fixture::Person,
    profile_and_sessions::ends_within,
    users::{path, refused},
};

const CUSTOMERS: &str = "/api/v1/admin/customers";
const FINANCE: &str = "/api/v1/admin/reports/finance";
const TICKETS: &str = "/api/v1/admin/support/tickets";

async fn person(server: &TestServer, name: &str, role: PlatformRole) -> Person {
    Person::new(server, server.email(name), |user| user.role = role).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_super_admin_narrows_what_staff_may_do() {
    TestServer::on_each_database(async |server| {
        let root = person(server, "root", PlatformRole::SuperAdmin).await;
        let staff = person(server, "staff", PlatformRole::Staff).await;
        for allowed in [CUSTOMERS, FINANCE, TICKETS] {
            staff.client.get(allowed).await.expect(200);
        }
        let change = json!({"staffAreas": ["support", "support"]});
        let changed = root.client.put(&path(&staff, ""), change).await.expect(200);
        assert_eq!(changed["staffAreas"], json!(["support"]));
        // Without signing in again, within a second.
        let narrowed = async || (staff.client.get(FINANCE).await.status.as_u16() == 403).then_some(());
        eventually(Duration::from_secs(1), narrowed).await.expect("the areas hold");
        staff.client.get(TICKETS).await.expect(200);
        staff.client.get(CUSTOMERS).await.expect(200);
        let profile = staff.client.get("/api/v1/profile").await.expect(200);
        let permissions = profile["permissions"].as_array().unwrap();
        assert!(
            permissions.contains(&json!("platform:support"))
                && !permissions.contains(&json!("platform:refunds"))
        );

        // No area at all, and then every one again.
        root.client.put(&path(&staff, ""), json!({"staffAreas": []})).await.expect(200);
        let locked = async || (staff.client.get(CUSTOMERS).await.status.as_u16() == 403).then_some(());
        eventually(Duration::from_secs(1), locked).await.expect("nothing is left");
        let changed = root.client.put(&path(&staff, ""), json!({"staffAreas": null})).await.expect(200);
        assert_eq!(changed.get("staffAreas"), None);
        let widened = async || (staff.client.get(FINANCE).await.status.as_u16() == 200).then_some(());
        eventually(Duration::from_secs(1), widened).await.expect("all of it is back");

        // Another role ends them.
        root.client.put(&path(&staff, ""), json!({"staffAreas": ["content"]})).await.expect(200);
        let demoted = root.client.put(&path(&staff, ""), json!({"role": "customer"})).await.expect(200);
        assert_eq!(demoted.get("staffAreas"), None);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn areas_are_for_staff_and_set_by_super_admins() {
    TestServer::shared(async |server| {
        let root = person(server, "root", PlatformRole::SuperAdmin).await;
        let staff = person(server, "staff", PlatformRole::Staff).await;
        let ada = person(server, "ada", PlatformRole::Customer).await;
        let areas = json!({"staffAreas": ["billing"]});
        let answer = root.client.put(&path(&ada, ""), areas.clone()).await;
        assert_eq!((answer.status.as_u16(), answer.fields()), (422, vec!["staffAreas".to_owned()]));
        refused(&staff.client.put(&path(&staff, ""), areas.clone()).await, 403, "forbidden");
        refused(&ada.client.put(&path(&ada, ""), areas.clone()).await, 403, "forbidden");
        refused(&staff.client.put(&path(&ada, ""), areas).await, 404, "not_found");
        let unknown = root.client.put(&path(&staff, ""), json!({"staffAreas": ["kitchen"]})).await;
        assert!([400, 422].contains(&unknown.status.as_u16()), "{}", unknown.text);
        // Whoever may not help customers any more does not go on acting as one.
        let tokens = staff
            .client
            .post(&path(&ada, "/impersonate"), json!({"reason": "Ticket 4711"}))
            .await
            .expect(200);
        let mut acting = server.client();
        acting.sign(&tokens);
        acting.get("/api/v1/profile").await.expect(200);
        root.client.put(&path(&staff, ""), json!({"staffAreas": ["billing"]})).await.expect(200);
        ends_within(Duration::from_secs(1), &acting).await;
    })
    .await;
}
