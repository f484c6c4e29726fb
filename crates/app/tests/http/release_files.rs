//! Files of releases: uploads that do not come whole, what no release has, files in a bucket, and how long downloads are noted.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpStream},
    time::Duration,
};

use portico_feature_licensing::background;
use portico_licensing::release::Release;
use portico_testkit::{
    s3::S3Server,
    server::{Database, TestServer, eventually},
};
use reqwest::Method;
use serde_json::json;

use crate::{
    downloads::{
        DOWNLOADS, RELEASES, draft, fetched, lasting_link, link, offered, program, published, sha256, staff,
        upload, wanted,
    },
    fixture::text,
    licenses::{LICENSES, issued},
    release_uploads::purge,
    sites::column,
};

/// Sends a part of a request, says that nothing follows, and answers what comes back: nothing, or an answer.
fn broken_off(server: &TestServer, head: &str, body: &[u8]) -> String {
    let mut connection = TcpStream::connect(server.url.trim_start_matches("http://")).unwrap();
    connection.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    connection.write_all(head.as_bytes()).unwrap();
    connection.write_all(body).unwrap();
    connection.shutdown(Shutdown::Write).unwrap();
    let mut answer = Vec::new();
    let _ = connection.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_breaks_off_or_is_too_large_leaves_nothing() {
    let server = TestServer::start_with(Database::Sqlite, |settings| {
        settings.downloads.max_file_bytes = 20_000_000;
    })
    .await;
    let staff = staff(&server).await;
    let made = staff.post(RELEASES, wanted(&server, "2.0.0")).await.expect(201);
    let id = text(&made, "id");
    let bytes = program(18_000_000);
    let announced = |length: usize| {
        let path = format!("{RELEASES}/{id}/file?fileName=a.exe&sha256={}", sha256(&bytes));
        let authorization = &staff.headers["authorization"];
        format!(
            "PUT {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: {authorization}\r\nContent-Length: {length}\r\n\r\n"
        )
    };
    let refused = broken_off(&server, &announced(20_000_001), b"");
    assert!(refused.starts_with("HTTP/1.1 413") && refused.contains("body_too_large"), "{refused}");
    // The client goes away after two thirds.
    let cut = broken_off(&server, &announced(bytes.len()), &bytes[..12_000_000]);
    assert!(cut.is_empty() || cut.starts_with("HTTP/1.1 400"), "{cut}");
    let folder = server.app.settings.data_dir.join(format!("files/releases/{id}"));
    let gone = eventually(Duration::from_secs(20), async || {
        let uploads = std::fs::read_dir(&folder).map_or(0, |uploads| {
            uploads
                .flatten()
                .map(|upload| std::fs::read_dir(upload.path()).map_or(0, Iterator::count))
                .sum::<usize>()
        });
        (uploads == 0usize).then_some(())
    });
    gone.await.expect("no part of it stays");
    assert!(staff.get(&format!("{RELEASES}/{id}")).await.expect(200).get("file").is_none());
    // What is sent again is taken.
    let bytes = program(9_000_000);
    upload(&staff, &id, &bytes, &sha256(&bytes)).await.expect(200);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_release_has_is_deleted_and_nothing_else() {
    TestServer::shared(async |server| {
        let (env, files) = (&server.app.core.env, &server.app.licensing.files);
        let release = draft(server).await;
        let kept = release.file.as_ref().unwrap().id;
        let orphan = env.new_id();
        files.put(&Release::file_key(release.id, orphan, "a.exe"), program(10)).await.unwrap();
        for (file, left) in [(orphan, 1), (kept, 1)] {
            for _ in 0..2 {
                purge(server, &release.id.to_string(), &file.to_string()).await;
            }
            assert_eq!(files.list(&format!("releases/{}", release.id)).await.unwrap().len(), left);
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_downloaded_what_is_forgotten_in_time() {
    let server = TestServer::start_with(Database::Sqlite, |settings| {
        settings.downloads.log_retention = Duration::from_secs(1);
    })
    .await;
    let ada = server.customer(server.email("ada")).await;
    let (license, _) = issued(&server, &ada, None).await;
    let release = published(&server).await;
    let link = lasting_link(&server, &release, license.parse().unwrap());
    let path = format!("{DOWNLOADS}/{}/files/{link}", release.slug);
    assert_eq!(fetched(&server, Method::GET, &path, &[]).await.bytes, program(1000));
    let total =
        async || ada.get(&format!("{LICENSES}/{license}/downloads")).await.expect(200)["total"].clone();
    assert_eq!(total().await, 1);
    let gone = eventually(Duration::from_secs(20), async || {
        background::forget(&server.app.licensing).await.unwrap();
        (total().await == 0).then_some(())
    });
    gone.await.expect("it is forgotten");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_a_bucket_come_from_there_and_only_with_a_license() {
    let server = TestServer::start_on_bucket("portico-releases").await;
    let (ada, staff) = (server.customer(server.email("ada")).await, staff(&server).await);
    let bytes = program(9_000_000);
    let (_, slug) = offered(&staff, wanted(&server, "2.0.0"), &bytes).await;
    let (license, _) = issued(&server, &ada, None).await;
    let address = link(&server, &ada, &slug).await;
    let sent = fetched(&server, Method::GET, &address, &[("range", "bytes=8999990-")]).await;
    let direct = &sent.headers["location"];
    assert!(
        sent.status == 302 && direct.starts_with(&S3Server::get().url) && direct.contains("/setup-2.0.exe?"),
        "{direct}"
    );
    let http = reqwest::Client::builder().build().unwrap();
    let part = http.get(direct).header("range", "bytes=8999990-").send().await.unwrap();
    assert_eq!(part.status().as_u16(), 206);
    assert_eq!(part.bytes().await.unwrap().to_vec(), bytes[8_999_990..]);
    let head = fetched(&server, Method::HEAD, &address, &[]).await;
    assert_eq!((head.status, head.headers["content-length"].as_str()), (200, "9000000"));
    let uses = ada.get(&format!("{LICENSES}/{license}/downloads")).await.expect(200);
    assert_eq!(column(&uses, "bytes"), ["10"], "it was noted before");
    let revoke = format!("/api/v1/admin/licenses/{license}/revoke");
    staff.post(&revoke, json!({"reason": "Stolen"})).await.expect(200);
    let refused = fetched(&server, Method::GET, &address, &[]).await;
    assert_eq!((refused.status, refused.headers.get("location")), (403, None));
    server.stop().await;
}
