//! Files of releases and a scanner for malware; files of releases that were withdrawn.

use std::time::Duration;

use portico_feature_licensing::background;
use portico_testkit::{
    clamd::{Clamd, EICAR},
    server::{Client, Database, TestServer, eventually},
};
use serde_json::{Value, json};

use crate::{
    downloads::{RELEASES, program, sha256, staff, upload, wanted},
    fixture::text,
};

/// How long a verdict may take that comes from a background job.
const PATIENCE: Duration = Duration::from_secs(20);

/// A server with a scanner that takes a mebibyte.
async fn scanning(clamd: &Clamd, publish_too_large: bool) -> TestServer {
    TestServer::start_with(Database::Sqlite, |settings| {
        settings.clamav.address = Some(clamd.address.clone());
        settings.clamav.publish_too_large = publish_too_large;
    })
    .await
}

/// Uploads a file of a new draft, and answers the path of the release.
async fn uploaded(server: &TestServer, staff: &Client, bytes: &[u8]) -> String {
    let id = text(&staff.post(RELEASES, wanted(server, "2.0.0")).await.expect(201), "id");
    let filled = upload(staff, &id, bytes, &sha256(bytes)).await.expect(200);
    assert_eq!(filled["file"]["scan"], "scanning");
    format!("{RELEASES}/{id}")
}

/// The file of a release, once this is said of it.
async fn said(staff: &Client, release: &str, scan: &str) -> Value {
    let file = eventually(PATIENCE, async || {
        let file = staff.get(release).await.expect(200)["file"].clone();
        (file["scan"] == scan).then_some(file)
    });
    file.await.unwrap_or_else(|| panic!("{scan}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_infected_is_deleted_and_what_is_clean_is_published() {
    let clamd = Clamd::start(1 << 20).await;
    let server = scanning(&clamd, false).await;
    let staff = staff(&server).await;
    let infected = [program(300_000).as_slice(), EICAR, program(300_000).as_slice()].concat();
    let release = uploaded(&server, &staff, &infected).await;
    let file = said(&staff, &release, "infected").await;
    assert_eq!(file["signature"], "Eicar-Test-Signature");
    assert!(file["deletedAt"].is_string(), "{file}");
    let refused = staff.post_empty(&format!("{release}/publish")).await.expect(409);
    assert_eq!((&refused["code"], &refused["scan"]), (&json!("release_file_scan"), &json!("infected")));
    let folder = release.replace("/api/v1/admin/", "");
    let gone = eventually(PATIENCE, async || {
        server.app.licensing.files.list(&folder).await.unwrap().is_empty().then_some(())
    });
    gone.await.expect("its bytes are deleted");

    // Another file takes its place.
    let id = release.rsplit('/').next().unwrap();
    upload(&staff, id, &program(1000), &sha256(&program(1000))).await.expect(200);
    said(&staff, &release, "clean").await;
    staff.post_empty(&format!("{release}/publish")).await.expect(200);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_scanner_does_not_take_is_up_to_the_operator() {
    let clamd = Clamd::start(1 << 20).await;
    for publish_too_large in [false, true] {
        let server = scanning(&clamd, publish_too_large).await;
        let staff = staff(&server).await;
        let release = uploaded(&server, &staff, &program(9_000_000)).await;
        said(&staff, &release, "too_large_to_scan").await;
        let published = staff.post_empty(&format!("{release}/publish")).await;
        assert_eq!(published.status.as_u16(), if publish_too_large { 200 } else { 409 });
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scanner_that_is_away_is_asked_again() {
    let clamd = Clamd::start(1 << 20).await;
    clamd.break_off(true);
    let server = scanning(&clamd, true).await;
    let health = server.client().get("/api/health").await.expect(200);
    assert_eq!((&health["status"], &health["scanner"]), (&json!("degraded"), &json!("unavailable")));
    let staff = staff(&server).await;
    let release = uploaded(&server, &staff, &program(1000)).await;
    said(&staff, &release, "failed").await;
    let refused = staff.post_empty(&format!("{release}/publish")).await.expect(409);
    assert_eq!(refused["scan"], "failed");
    clamd.break_off(false);
    said(&staff, &release, "clean").await;
    staff.post_empty(&format!("{release}/publish")).await.expect(200);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_withdrawn_file_is_deleted_in_time_and_what_is_offered_stays() {
    let server = TestServer::start_with(Database::Sqlite, |settings| {
        settings.downloads.withdrawn_retention = Duration::from_secs(1);
    })
    .await;
    let staff = staff(&server).await;
    let mut releases = Vec::new();
    for _ in 0..2 {
        let id = text(&staff.post(RELEASES, wanted(&server, "2.0.0")).await.expect(201), "id");
        upload(&staff, &id, &program(1000), &sha256(&program(1000))).await.expect(200);
        releases.push(id);
    }
    let path = format!("{RELEASES}/{}", releases[0]);
    staff.post(&format!("{path}/withdraw"), json!({"reason": "Not needed"})).await.expect(200);
    let files =
        async |id: &str| server.app.licensing.files.list(&format!("releases/{id}")).await.unwrap().len();
    let gone = eventually(PATIENCE, async || {
        background::delete_withdrawn(&server.app.licensing).await.unwrap();
        (files(&releases[0]).await == 0).then_some(())
    });
    gone.await.expect("it is deleted");
    let file = staff.get(&path).await.expect(200)["file"].clone();
    assert!(file["deletedAt"].is_string() && file["sha256"] == sha256(&program(1000)), "{file}");
    assert_eq!(files(&releases[1]).await, 1);
    server.stop().await;
}
