//! Background jobs: a job of an unknown kind waits for staff.

use std::time::Duration;

use portico_kernel::{NewJob, PlatformRole, TenantId};
use portico_testkit::server::{Client, TestServer, eventually};
use serde_json::json;

/// Gives the client's account a platform-wide role.
async fn appoint(server: &TestServer, client: &Client, role: PlatformRole) {
    let profile = client.get("/api/v1/profile").await.expect(200);
    let mut work = server.app.core.begin().await.unwrap();
    let id = profile["id"].as_str().unwrap().parse().unwrap();
    let mut user = work.users().find(id).await.unwrap().unwrap();
    user.role = role;
    work.users().update(&user).await.unwrap();
    work.commit().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_cannot_be_done_is_listed_and_can_be_replayed() {
    TestServer::on_each_database(async |server| {
        let staff = server.customer("staff@example.com").await;
        appoint(server, &staff, PlatformRole::Staff).await;
        let job = NewJob {
            id: server.app.core.env.new_id(),
            kind: "nobody.knows",
            payload: json!({"a": 1}),
            tenant: TenantId::PLATFORM,
            run_at: server.app.core.env.now(),
            max_attempts: 3,
            request_id: "r1".into(),
        };
        let id = job.id.to_string();
        let mut work = server.app.core.begin().await.unwrap();
        work.jobs().enqueue(job).await.unwrap();
        work.commit().await.unwrap();

        let dead = async || {
            let answer = staff.get("/api/v1/admin/jobs?state=dead").await;
            let items = answer.json["items"].as_array()?.clone();
            items.into_iter().find(|job| job["id"] == id.as_str())
        };
        let listed = eventually(Duration::from_secs(10), dead).await.expect("the job is dead");
        assert_eq!((&listed["kind"], &listed["requestId"]), (&json!("nobody.knows"), &json!("r1")));
        assert!(listed["lastError"].as_str().unwrap().contains("no handler"), "{listed}");

        let path = format!("/api/v1/admin/jobs/{id}/replay");
        assert_eq!(staff.post_empty(&path).await.expect(202)["state"], "queued");
        let again = eventually(Duration::from_secs(10), dead).await.expect("the job is dead again");
        assert_eq!(again["attempts"], 1, "attempts start again");
        let unknown = format!("/api/v1/admin/jobs/{}/replay", TenantId::PLATFORM);
        assert_eq!(staff.post_empty(&unknown).await.expect(404)["code"], "not_found");
        let customer = server.customer("customer@example.com").await;
        assert_eq!(customer.get("/api/v1/admin/jobs").await.status.as_u16(), 403);
    })
    .await;
}
