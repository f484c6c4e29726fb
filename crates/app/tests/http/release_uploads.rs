//! Files of releases that come in parts: gone on with, sent twice and at once, put together, given up and swept.

use portico_kernel::{Job, JobState, ReleaseId, TenantId};
use portico_licensing::{
    release::Release,
    release_upload::{PART_SIZE, ReleaseUpload},
};
use portico_testkit::{
    jobs,
    server::{Answer, Client, TestServer},
};
use reqwest::Method;
use serde_json::{Value, json};
use time::Duration;

use crate::{
    downloads::{RELEASES, program, sha256, staff, wanted},
    fixture::text,
};

/// What is said of a file that is to be uploaded.
pub fn announced(bytes: &[u8]) -> Value {
    json!({"fileName": "setup-2.0.exe", "contentType": "application/x-msdownload", "size": bytes.len(), "sha256": sha256(bytes)})
}

/// An upload of a draft that has all of its one part, as its id.
pub async fn begun(server: &TestServer, release: &str, bytes: &[u8]) -> String {
    let (env, release): (_, ReleaseId) = (&server.app.core.env, release.parse().unwrap());
    let upload = ReleaseUpload {
        id: env.new_id(),
        release_id: release,
        file_name: "setup.exe".to_owned(),
        content_type: "application/octet-stream".to_owned(),
        size: bytes.len() as u64,
        sha256: sha256(bytes),
        part_size: PART_SIZE,
        created_at: env.now(),
        expires_at: env.now() + Duration::DAY,
    };
    let key = Release::part_key(release, upload.id, 1);
    server.app.licensing.files.put(&key, bytes.to_vec()).await.unwrap();
    let mut work = server.app.core.begin().await.unwrap();
    work.release_uploads().insert(&upload).await.unwrap();
    work.commit().await.unwrap();
    upload.id.to_string()
}

/// A draft of staff, and the path of its uploads.
async fn drafted(server: &TestServer, staff: &Client) -> (String, String) {
    let id = text(&staff.post(RELEASES, wanted(server, "2.0.0")).await.expect(201), "id");
    let uploads = format!("{RELEASES}/{id}/uploads");
    (id, uploads)
}

/// Sends a part of a file.
async fn send(staff: &Client, upload: &str, part: usize, bytes: &[u8]) -> Answer {
    let path = format!("{upload}/parts/{part}");
    staff.send(Method::PUT, &path, Some(bytes.to_vec()), "application/octet-stream").await
}

/// The parts of a file.
fn parts(bytes: &[u8]) -> Vec<&[u8]> {
    bytes.chunks(PART_SIZE as usize).collect()
}

/// The keys of the files of a release.
async fn keys(server: &TestServer, release: &str) -> Vec<String> {
    server.app.licensing.files.list(&format!("releases/{release}")).await.unwrap()
}

/// Runs the job that deletes what is left of a file.
pub async fn purge(server: &TestServer, release: &str, upload: &str) {
    let env = &server.app.core.env;
    let job = Job {
        id: env.new_id(),
        kind: "release.purge".to_owned(),
        payload: json!({"releaseId": release, "fileId": upload}),
        tenant_id: TenantId::PLATFORM,
        state: JobState::Running,
        attempts: 1,
        max_attempts: 1,
        run_at: env.now(),
        due_at: None,
        last_error: None,
        request_id: "test".to_owned(),
        trace_parent: None,
        created_at: env.now(),
    };
    assert!(jobs::handle(&server.app, &job).await.is_ok());
}

/// Uploads a file in parts as clients do that are broken off: out of order, again, and at the same time.
async fn uploads_in_parts(server: &TestServer) {
    let staff = staff(server).await;
    let (id, uploads) = drafted(server, &staff).await;
    let bytes = program(2 * PART_SIZE as usize + 7);
    let parts = parts(&bytes);
    let made = staff.post(&uploads, announced(&bytes)).await.expect(201);
    let upload_id = text(&made, "id");
    let upload = format!("{uploads}/{upload_id}");
    assert_eq!(
        (&made["partSize"], &made["partCount"], &made["parts"]),
        (&json!(PART_SIZE), &json!(3), &json!([]))
    );
    let complete = format!("{upload}/complete");
    send(&staff, &upload, 3, parts[2]).await.expect(204);
    // One that was damaged, and comes again: what came last counts.
    let mut damaged = parts[0].to_vec();
    damaged[5] ^= 1;
    send(&staff, &upload, 1, &damaged).await.expect(204);
    let early = staff.post_empty(&complete).await.expect(409);
    assert_eq!((&early["code"], &early["missing"]), (&json!("upload_incomplete"), &json!([2])));
    let (one, other) = tokio::join!(send(&staff, &upload, 2, parts[1]), send(&staff, &upload, 2, parts[1]));
    one.expect(204);
    other.expect(204);
    assert_eq!(staff.get(&upload).await.expect(200)["parts"], json!([1, 2, 3]));
    let wrong = staff.post_empty(&complete).await.expect(422);
    assert_eq!(wrong["errors"][0]["code"], "checksum_mismatch");
    assert!(staff.get(&format!("{RELEASES}/{id}")).await.expect(200).get("file").is_none());
    assert_eq!(keys(server, &id).await.len(), 3, "the parts, and nothing else");
    send(&staff, &upload, 1, parts[0]).await.expect(204);
    let (filled, again) = tokio::join!(staff.post_empty(&complete), staff.post_empty(&complete));
    let filled = filled.expect(200);
    assert_eq!(again.expect(200)["file"], filled["file"], "both of two at once are told");
    assert_eq!(
        (&filled["file"]["size"], &filled["file"]["sha256"]),
        (&json!(bytes.len()), &json!(sha256(&bytes)))
    );
    assert_eq!(staff.post_empty(&complete).await.expect(200)["file"], filled["file"], "twice is once");
    staff.get(&upload).await.expect(404);
    send(&staff, &upload, 1, parts[0]).await.expect(404);
    purge(server, &id, &upload_id).await;
    let left = keys(server, &id).await;
    assert!(left.len() == 1 && left[0].ends_with("/setup-2.0.exe"), "{left:?}");
    assert!(server.app.licensing.files.get(&left[0]).await.unwrap().unwrap() == bytes);
    staff.post_empty(&format!("{RELEASES}/{id}/publish")).await.expect(200);
    assert_eq!(staff.post(&uploads, announced(&bytes)).await.expect(409)["code"], "release_status");
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_come_in_any_order_twice_and_at_once() {
    TestServer::on_each_database(uploads_in_parts).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_are_put_together_in_a_bucket() {
    let server = TestServer::start_on_bucket("portico-uploads").await;
    uploads_in_parts(&server).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_that_does_not_fit_is_refused_and_leaves_nothing() {
    TestServer::shared(async |server| {
        let staff = staff(server).await;
        let (id, uploads) = drafted(server, &staff).await;
        let bytes = program(1000);
        for (field, value) in [("size", json!(0)), ("fileName", json!("../x")), ("sha256", json!("abcd"))] {
            let mut wrong = announced(&bytes);
            wrong[field] = value;
            assert_eq!(staff.post(&uploads, wrong).await.fields(), [field]);
        }
        let made = staff.post(&uploads, announced(&bytes)).await.expect(201);
        let upload = format!("{uploads}/{}", text(&made, "id"));
        let longer = program(1001);
        for (part, sent, code) in [
            (0, &bytes[..], "unknown_part"),
            (2, &bytes[..], "unknown_part"),
            (1, &bytes[1..], "wrong_length"),
            (1, &longer[..], "wrong_length"),
            (1, &bytes[..0], "wrong_length"),
        ] {
            let refused = send(&staff, &upload, part, sent).await.expect(422);
            assert_eq!(refused["errors"][0]["code"], code, "{part}");
        }
        let path = format!("{upload}/parts/1?sha256={}", sha256(b"other"));
        let damaged = staff.send(Method::PUT, &path, Some(bytes.clone()), "application/octet-stream").await;
        assert_eq!(damaged.expect(422)["errors"][0]["code"], "checksum_mismatch");
        assert_eq!(keys(server, &id).await, Vec::<String>::new());
        // Of another release it is not found.
        let (_, others) = drafted(server, &staff).await;
        let elsewhere = upload.replace(&uploads, &others);
        staff.get(&elsewhere).await.expect(404);
        send(&staff, &elsewhere, 1, &bytes).await.expect(404);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_given_up_is_deleted() {
    TestServer::shared(async |server| {
        let staff = staff(server).await;
        let (id, uploads) = drafted(server, &staff).await;
        let upload_id = begun(server, &id, b"program").await;
        let upload = format!("{uploads}/{upload_id}");
        assert_eq!(staff.get(&upload).await.expect(200)["parts"], json!([1]));
        staff.delete(&upload).await.expect(204);
        for gone in [staff.get(&upload).await, staff.post_empty(&format!("{upload}/complete")).await] {
            gone.expect(404);
        }
        purge(server, &id, &upload_id).await;
        assert_eq!(keys(server, &id).await, Vec::<String>::new());
        // What nobody has completed in time goes by the job of its beginning, with its row.
        let left = begun(server, &id, b"program").await;
        purge(server, &id, &left).await;
        assert_eq!(keys(server, &id).await, Vec::<String>::new());
        staff.get(&format!("{uploads}/{left}")).await.expect(404);
    })
    .await;
}
