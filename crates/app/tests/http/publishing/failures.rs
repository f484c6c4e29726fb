//! Deployments that are refused or fail, and what is served meanwhile.

use portico_runtime::worker::jobs::JobError;
use portico_testkit::{
    database::tamper,
    jobs,
    server::{Database, TestServer, at_once, eventually},
};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use super::{PATIENCE, Shop, work};
use crate::sites::events;

#[tokio::test(flavor = "multi_thread")]
async fn deployments_that_cannot_be_are_refused() {
    TestServer::on_each_database(async |server| {
        let mut shop = Shop::open(server, server.email("refused")).await;
        shop.client.put(&shop.home, json!({"status": "draft"})).await.expect(200);
        assert_eq!(shop.request().await.expect(409)["code"], "nothing_to_deploy");
        shop.client.put(&shop.home, json!({"status": "published"})).await.expect(200);

        let answers = at_once(2, |_| {
            let (client, path) = (shop.client.clone(), format!("{}/deploy", shop.path));
            async move { client.post_empty(&path).await }
        })
        .await;
        let mut answered: Vec<String> = answers
            .iter()
            .map(|answer| format!("{} {}", answer.status.as_u16(), answer.json["code"]))
            .collect();
        answered.sort();
        // The first one may have ended before the second one was asked for; without a worker it cannot, see below.
        assert!(
            answered[0] == "202 null"
                && ["202 null", "409 \"deployment_in_progress\""].contains(&&*answered[1]),
            "{answered:?}"
        );
        let accepted = answered.iter().filter(|answered| *answered == "202 null").count();
        let first = eventually(PATIENCE, async || {
            let status = shop.status().await;
            (status["status"] == "live").then_some(status)
        })
        .await
        .unwrap();
        assert_eq!(events(&shop.client, "deployment.created").await, accepted);

        let unverified = Shop::open_for(server, server.unverified(server.email("unverified")).await).await;
        assert_eq!(unverified.request().await.expect(403)["code"], "email_unverified");
        assert_eq!(unverified.rollback(&first).await.expect(403)["code"], "email_unverified");
        // To another tenant the site does not exist.
        let stranger = server.customer(server.email("stranger")).await;
        let owner = std::mem::replace(&mut shop.client, stranger);
        shop.request().await.expect(404);
        shop.rollback(&first).await.expect(404);
        for path in ["status", "deployments"] {
            shop.client.get(&format!("{}/{path}", shop.path)).await.expect(404);
        }
        owner.get(&shop.path).await.expect(200);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_outlives_a_broken_file_store() {
    let server = TestServer::start().await;
    let shop = Shop::open(&server, server.email("broken")).await;
    let (files, aside) =
        (server.app.settings.data_dir.join("files"), server.app.settings.data_dir.join("aside"));
    std::fs::rename(&files, &aside).unwrap();
    std::fs::write(&files, "not a folder").unwrap();
    shop.request().await.expect(202);
    let building =
        eventually(PATIENCE, async || (shop.status().await["status"] == "building").then_some(())).await;
    assert!(building.is_some());
    let has_failed = "update jobs set attempts = attempts \
         where kind = 'deployment.build' and last_error is not null";
    let url = server.app.settings.database_url();
    let failed = async || (tamper(url.expose_secret(), has_failed, &[]).await > 0).then_some(());
    assert!(eventually(PATIENCE, failed).await.is_some(), "the build fails");
    let status = shop.status().await;
    assert_eq!(
        (&status["status"], &status["error"]),
        (&json!("building"), &Value::Null),
        "it is tried again"
    );
    assert_eq!(shop.visitor.get("/").await.status.as_u16(), 404);
    std::fs::remove_file(&files).unwrap();
    std::fs::rename(&aside, &files).unwrap();
    let live = eventually(PATIENCE, async || (shop.status().await["status"] == "live").then_some(())).await;
    assert!(live.is_some(), "{}", shop.status().await);
    assert!(shop.visitor.get("/").await.status.is_success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_that_will_not_come_says_so_and_the_site_stays() {
    let database = Database::Postgres;
    // No worker: the test runs the jobs itself.
    let server = TestServer::start_with(database, |settings| settings.worker.concurrency = 0).await;
    let client = server.unverified(server.email("fails")).await;
    work(&server, "email.verification").await;
    let token = server.mail_token(server.email("fails"), "verify-email").await;
    client.post("/api/v1/auth/verify-email", json!({ "token": token })).await;
    let shop = Shop::open_for(&server, client).await;
    shop.request().await.expect(202);
    let answers = at_once(4, |_| {
        let (client, path) = (shop.client.clone(), format!("{}/deploy", shop.path));
        async move { client.post_empty(&path).await }
    });
    for answer in answers.await {
        assert_eq!(answer.expect(409)["code"], "deployment_in_progress");
    }
    work(&server, "deployment.build").await;
    let live = shop.status().await;
    assert_eq!(live["status"], "live");

    // Nothing is left to publish when the worker runs the job.
    shop.request().await.expect(202);
    shop.client.put(&shop.home, json!({"status": "draft"})).await.expect(200);
    work(&server, "deployment.build").await;
    let failed = shop.status().await;
    assert_eq!(
        (&failed["status"], failed["error"].as_str().is_some_and(|text| text.contains("Publish a page"))),
        (&json!("failed"), true),
        "{failed}"
    );
    shop.client.put(&shop.home, json!({"status": "published"})).await.expect(200);

    // The store of files is broken for good.
    let queued = shop.request().await.expect(202);
    let app = &server.app;
    let files = app.settings.data_dir.join("files");
    std::fs::rename(&files, app.settings.data_dir.join("aside")).unwrap();
    std::fs::write(&files, "not a folder").unwrap();
    let jobs = app.core.jobs.claim("test", 100, time::Duration::MINUTE, app.core.env.now()).await.unwrap();
    let job = jobs.iter().find(|job| job.kind == "deployment.build").unwrap();
    assert!(matches!(jobs::handle(app, job).await, Err(JobError::Retry(_))));
    jobs::give_up(app, job).await.unwrap();
    let failed = shop.status().await;
    assert_eq!((&failed["id"], &failed["status"]), (&queued["id"], &json!("failed")));
    let reason = failed["error"].as_str().unwrap();
    assert!(
        reason.contains("could not be built") && !reason.contains('/'),
        "nothing of our insides: {reason}"
    );
    std::fs::remove_file(&files).unwrap();
    std::fs::rename(app.settings.data_dir.join("aside"), &files).unwrap();
    assert_eq!(shop.client.get(&shop.path).await.expect(200)["liveDeploymentId"], live["id"]);
    assert!(shop.visitor.get("/").await.status.is_success());
    assert_eq!(shop.rollback(&failed).await.expect(409)["code"], "not_deployed");
    // And the next one may begin.
    shop.request().await.expect(202);
    work(&server, "deployment.build").await;
    assert_eq!(shop.status().await["status"], "live");
    assert_eq!(events(&shop.client, "deployment.failed").await, 2);
    server.stop().await;
}
