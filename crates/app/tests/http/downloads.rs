//! Releases: uploaded and published by staff, downloaded by customers, told to programs. What `release_files.rs` needs is here.

use std::{collections::BTreeMap, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use portico_billing::purchase::PurchaseStatus;
use portico_kernel::{LicenseId, PlatformRole, Timestamp};
use portico_licensing::{
    download_link::DownloadLink,
    policy::Channel,
    release::{Release, ReleaseFile, ReleaseStatus},
    release_version::ReleaseVersion,
    scan_status::ScanStatus,
};
use portico_testkit::server::{Answer, Client, TestServer, eventually};
use reqwest::Method;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::{
    fixture::{Person, text},
    licenses::{LICENSES, bought, changed, issued},
    sites::{column, events},
};

/// The releases of staff.
pub const RELEASES: &str = "/api/v1/admin/releases";
/// What customers see of them.
pub const DOWNLOADS: &str = "/api/v1/downloads";

/// SHA-256, hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A file of some length.
pub fn program(length: usize) -> Vec<u8> {
    (0..length).map(|number| (number % 251) as u8).collect()
}

async fn stored(server: &TestServer, status: ReleaseStatus) -> Release {
    let (env, bytes) = (&server.app.core.env, program(1000));
    let id = env.new_id();
    let file = ReleaseFile {
        id: env.new_id(),
        name: "setup.exe".to_owned(),
        content_type: "application/octet-stream".to_owned(),
        size: bytes.len() as u64,
        sha256: sha256(&bytes),
        scan: ScanStatus::NotScanned,
        signature: None,
        deleted_at: None,
    };
    server.app.licensing.files.put(&Release::file_key(id, file.id, &file.name), bytes).await.unwrap();
    let release = Release {
        id,
        slug: format!("r{}", env.random_uuid().simple()),
        product_type: "base_product".to_owned(),
        name: "Software 1.0".to_owned(),
        version: ReleaseVersion::parse("1.0.0").unwrap(),
        channel: Channel::Stable,
        // So that no program of a test is told of it.
        platform: Some("fixture".to_owned()),
        notes: "The first one.".to_owned(),
        status,
        withdrawal_reason: None,
        released_at: (status == ReleaseStatus::Published).then(|| env.now()),
        file: Some(file),
        created_at: env.now(),
        updated_at: env.now(),
    };
    let mut work = server.app.core.begin().await.unwrap();
    work.releases().insert(&release).await.unwrap();
    work.commit().await.unwrap();
    release
}

/// A release that is offered.
pub async fn published(server: &TestServer) -> Release {
    stored(server, ReleaseStatus::Published).await
}

/// A release that has its file, and is not offered yet.
pub async fn draft(server: &TestServer) -> Release {
    stored(server, ReleaseStatus::Draft).await
}

/// Links end at whole seconds.
fn in_seconds(server: &TestServer, seconds: i64) -> Timestamp {
    Timestamp::from_unix_seconds(server.app.core.env.now().unix_seconds() + seconds).unwrap()
}

/// The last part of the path of a link that is good for a day, with its query.
pub fn lasting_link(server: &TestServer, release: &Release, license: LicenseId) -> String {
    let link = DownloadLink {
        slug: release.slug.clone(),
        file_name: release.file.as_ref().unwrap().name.clone(),
        license,
        user: None,
        expires: in_seconds(server, 24 * 3600),
    };
    link.signed(&*server.app.api.signer).rsplit('/').next().unwrap().to_owned()
}

/// Somebody of the operator.
pub async fn staff(server: &TestServer) -> Client {
    Person::new(server, server.email("staff"), |user| user.role = PlatformRole::Staff).await.client
}

/// A release of the base product to be made, with a slug of its own.
pub fn wanted(server: &TestServer, version: &str) -> Value {
    let slug = format!("r{}", server.app.core.env.random_uuid().simple());
    json!({"slug": slug, "productType": "base_product", "name": format!("Software {version}"), "version": version})
}

/// Sends a file with a SHA-256.
pub async fn upload(staff: &Client, id: &str, bytes: &[u8], sha256: &str) -> Answer {
    let path = format!("{RELEASES}/{id}/file?fileName=setup-2.0.exe&sha256={sha256}");
    staff.send(Method::PUT, &path, Some(bytes.to_vec()), "application/x-msdownload").await
}

/// A release with a file, made and published by staff: its id and its slug.
pub async fn offered(staff: &Client, release: Value, bytes: &[u8]) -> (String, String) {
    let made = staff.post(RELEASES, release).await.expect(201);
    let id = text(&made, "id");
    upload(staff, &id, bytes, &sha256(bytes)).await.expect(200);
    staff.post_empty(&format!("{RELEASES}/{id}/publish")).await.expect(200);
    (id, text(&made, "slug"))
}

/// The path and query of a link that a customer gets.
pub async fn link(server: &TestServer, client: &Client, slug: &str) -> String {
    let made = client.get(&format!("{DOWNLOADS}/{slug}/url")).await.expect(200);
    assert!(made["expiresAt"].is_string(), "{made}");
    let url = text(&made, "url");
    url.strip_prefix(&*server.app.api.public_url).unwrap_or_else(|| panic!("{url}")).to_owned()
}

/// An answer as it is, without redirects.
pub struct Sent {
    /// Status code.
    pub status: u16,
    /// Headers.
    pub headers: BTreeMap<String, String>,
    /// Body.
    pub bytes: Vec<u8>,
}

/// Asks without credentials.
pub async fn fetched(server: &TestServer, method: Method, path: &str, headers: &[(&str, &str)]) -> Sent {
    let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let mut request = http.request(method, format!("{}{path}", server.url));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    let headers =
        response.headers().iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()));
    Sent { status, headers: headers.collect(), bytes: response.bytes().await.unwrap().to_vec() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_is_uploaded_published_and_downloaded() {
    TestServer::on_each_database(async |server| {
        let (ada, staff) = (server.customer(server.email("ada")).await, staff(server).await);
        let made = staff.post(RELEASES, wanted(server, "2.0.0")).await.expect(201);
        let (id, slug) = (text(&made, "id"), text(&made, "slug"));
        let (address, seen) = (format!("{RELEASES}/{id}"), format!("{DOWNLOADS}/{slug}"));
        assert_eq!((&made["status"], &made["channel"]), (&json!("draft"), &json!("stable")));
        assert_eq!(ada.get(&seen).await.status.as_u16(), 404, "nobody sees a draft");
        let publish = format!("{address}/publish");
        assert_eq!(staff.post_empty(&publish).await.expect(409)["code"], "release_without_file");
        let twice = json!({"slug": slug, "productType": "base_product", "name": "Other", "version": "2.0.1"});
        assert_eq!(staff.post(RELEASES, twice).await.expect(409)["code"], "slug_taken");

        let bytes = program(300_000);
        let other = upload(&staff, &id, &bytes[1..], &sha256(&bytes)).await.expect(422);
        assert_eq!((&other["errors"][0]["field"], &other["errors"][0]["code"]), (&json!("sha256"), &json!("checksum_mismatch")));
        assert_eq!(upload(&staff, &id, b"", &sha256(b"")).await.expect(422)["errors"][0]["field"], "file");
        let nameless = staff.send(Method::PUT, &format!("{address}/file"), Some(bytes.clone()), "").await;
        assert_eq!(nameless.fields(), ["fileName", "sha256"]);
        let folder = format!("releases/{id}");
        let files = async || server.app.licensing.files.list(&folder).await.unwrap();
        assert_eq!(files().await, Vec::<String>::new(), "nothing of it is kept");
        let filled = upload(&staff, &id, &bytes, &sha256(&bytes).to_uppercase()).await.expect(200);
        assert_eq!(
            filled["file"],
            json!({"name": "setup-2.0.exe", "contentType": "application/x-msdownload", "size": 300_000, "sha256": sha256(&bytes), "scan": "not_scanned"})
        );
        assert!(files().await[0].ends_with("/setup-2.0.exe"));
        staff.put(&address, json!({"notes": "Prints in colour."})).await.expect(200);
        staff.post_empty(&publish).await.expect(200);
        assert_eq!(upload(&staff, &id, &bytes, &sha256(&bytes)).await.expect(409)["code"], "release_status");

        let shown = ada.get(&seen).await.expect(200);
        for (field, expected) in [
            ("id", json!(slug)),
            ("name", json!("Software 2.0.0")),
            ("version", json!("2.0.0")),
            ("productType", json!("base_product")),
            ("size", json!(300_000)),
            ("sha256", json!(sha256(&bytes))),
            ("notes", json!("Prints in colour.")),
            ("available", json!(false)),
            ("reason", json!("no_license")),
        ] {
            assert_eq!(shown[field], expected, "{field}");
        }
        assert!(shown["releasedAt"].is_string() && shown.get("platform").is_none(), "{shown}");
        let refused = ada.get(&format!("{seen}/url")).await.expect(403);
        assert_eq!((&refused["code"], &refused["reason"]), (&json!("license_required"), &json!("no_license")));

        let (license, _) = issued(server, &ada, None).await;
        let listed = ada.get(&format!("{DOWNLOADS}?productType=base_product&limit=100")).await.expect(200);
        let items = listed["items"].as_array().unwrap();
        let item = items.iter().find(|item| item["id"] == slug.as_str()).unwrap();
        assert_eq!((&item["available"], item.get("reason")), (&json!(true), None));
        assert_eq!(ada.get(&format!("{DOWNLOADS}?productType=mug")).await.expect(200)["total"], 0);

        let link = link(server, &ada, &slug).await;
        assert!(link.starts_with(&format!("{DOWNLOADS}/{slug}/files/setup-2.0.exe?license={license}&")), "{link}");
        let whole = fetched(server, Method::GET, &link, &[]).await;
        assert!(whole.status == 200 && whole.bytes == bytes);
        for (name, value) in [
            ("content-type", "application/x-msdownload"),
            ("content-disposition", "attachment; filename=\"setup-2.0.exe\""),
            ("accept-ranges", "bytes"),
            ("content-length", "300000"),
        ] {
            assert_eq!(whole.headers[name], value);
        }
        assert!(whole.headers["content-security-policy"].contains("sandbox"));
        let tag = whole.headers["etag"].as_str();
        for headers in [vec![], vec![("range", "bytes=0-99")]] {
            let head = fetched(server, Method::HEAD, &link, &headers).await;
            let length = head.headers["content-length"].as_str();
            assert_eq!((head.status, length, head.bytes.len()), (200, "300000", 0));
        }
        for (headers, status, range) in [
            (vec![("range", "bytes=0-99")], 206, 0..100),
            (vec![("range", "bytes=299000-")], 206, 299_000..300_000),
            (vec![("range", "bytes=-7")], 206, 299_993..300_000),
            (vec![("range", "bytes=100000-"), ("if-range", tag)], 206, 100_000..300_000),
            (vec![("range", "bytes=100000-"), ("if-range", "\"other\"")], 200, 0..300_000),
            (vec![("range", "bytes=0-1,5-6")], 200, 0..300_000),
        ] {
            let part = fetched(server, Method::GET, &link, &headers).await;
            assert!(part.status == status && part.bytes == bytes[range.clone()], "{headers:?}: {}", part.status);
            let told = format!("bytes {}-{}/300000", range.start, range.end - 1);
            assert_eq!(part.headers.get("content-range"), (status == 206).then_some(&told));
        }
        let beyond = fetched(server, Method::GET, &link, &[("range", "bytes=300000-")]).await;
        assert_eq!((beyond.status, beyond.headers["content-range"].as_str()), (416, "bytes */300000"));
        assert_eq!(fetched(server, Method::GET, &link, &[("if-none-match", tag)]).await.status, 304);

        let uses = ada.get(&format!("{LICENSES}/{license}/downloads")).await.expect(200);
        assert_eq!(column(&uses, "bytes"), ["300000", "300000", "200000", "7", "1000", "100", "300000"]);
        let last = &uses["items"][0];
        assert_eq!((&last["downloadId"], &last["version"]), (&json!(slug), &json!("2.0.0")));
        assert!(last["address"].is_string() && last["userId"].is_string(), "{last}");
        let by_all = staff.get(&format!("{address}/downloads")).await.expect(200);
        assert_eq!((&by_all["total"], &by_all["items"][0]["customerId"]), (&json!(7), &json!(ada.tenant)));
        assert_eq!(events(&ada, "download.linked").await, 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_is_good_for_what_it_was_signed_for_and_nothing_else() {
    TestServer::on_each_database(async |server| {
        let (ada, eve) =
            (server.customer(server.email("ada")).await, server.customer(server.email("eve")).await);
        let staff = staff(server).await;
        let (_, slug) = offered(&staff, wanted(server, "2.0.0"), &program(100)).await;
        let (_, other) = offered(&staff, wanted(server, "2.1.0"), &program(200)).await;
        let (license, _) = issued(server, &ada, None).await;
        let (foreign, _) = issued(server, &eve, None).await;
        let link = link(server, &ada, &slug).await;
        assert_eq!(server.client().get(&link).await.status.as_u16(), 200, "it needs no sign-in");
        let expires = link.split("expires=").nth(1).unwrap().split('&').next().unwrap();
        let later = (expires.parse::<i64>().unwrap() + 1).to_string();
        for altered in [
            link.replace(&slug, &other),
            link.replace("setup-2.0.exe", "setup-2.1.exe"),
            link.replace(&license, &foreign),
            link.replace(expires, &later),
            link.replace("&user=", "&user=0199d2a4-5c1e-7a51-8f3b-0d6c2f9b4e11#"),
            link.replace("signature=", "signature=A"),
            link.split("&signature=").next().unwrap().to_owned(),
            link.split('?').next().unwrap().to_owned(),
        ] {
            let refused = server.client().get(&altered).await.expect(403);
            assert_eq!(refused["code"], "invalid_link", "{altered}");
            let head = fetched(server, Method::HEAD, &altered, &[]).await;
            assert_eq!((head.status, head.bytes.len()), (403, 0), "{altered}");
        }
        assert_eq!(server.client().post_empty(&link).await.status.as_u16(), 405);
        // Over, and good otherwise.
        let release = server.app.core.reader().releases().of_slug(&slug).await.unwrap().unwrap();
        let over = DownloadLink {
            slug: slug.clone(),
            file_name: release.file.unwrap().name,
            license: license.parse().unwrap(),
            user: None,
            expires: in_seconds(server, -1),
        };
        let over = format!("/api/v1{}", over.signed(&*server.app.api.signer));
        assert_eq!(server.client().get(&over).await.expect(403)["code"], "invalid_link");
        // A signature for something else with the same words.
        let user = link.split("user=").nth(1).unwrap().split('&').next().unwrap();
        let end = Timestamp::from_unix_seconds(expires.parse().unwrap()).unwrap();
        let payload = format!("{slug}/setup-2.0.exe/{license}/{user}");
        let signer = &server.app.api.signer;
        assert!(link.ends_with(&signer.sign("download", &payload, end)));
        let asset = signer.sign("asset", &payload, end);
        let forged = format!("{}&signature={asset}", link.split("&signature=").next().unwrap());
        assert_eq!(server.client().get(&forged).await.expect(403)["code"], "invalid_link");
        // Whoever is in another tenant sees neither the license nor its downloads.
        assert_eq!(eve.get(&format!("{LICENSES}/{license}/downloads")).await.status.as_u16(), 404);
        assert_eq!(eve.with("x-tenant-id", &ada.tenant).get(DOWNLOADS).await.status.as_u16(), 404);
        assert_eq!(ada.get(&format!("{LICENSES}/{license}/downloads")).await.expect(200)["total"], 1);
        assert_eq!(eve.get(&format!("{LICENSES}/{foreign}/downloads")).await.expect(200)["total"], 0);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_dies_with_its_license_and_with_the_release() {
    TestServer::on_each_database(async |server| {
        let (ada, staff) = (server.customer(server.email("ada")).await, staff(server).await);
        let (id, slug) = offered(&staff, wanted(server, "2.0.0"), &program(100)).await;
        let purchase = bought(server, &ada).await;
        let link = link(server, &ada, &slug).await;
        for (status, reason) in [
            (PurchaseStatus::Disputed, Some("license_suspended")),
            (PurchaseStatus::Completed, None),
            (PurchaseStatus::Refunded, Some("license_revoked")),
        ] {
            changed(server, &ada, &text(&purchase, "id"), status).await;
            let used = server.client().get(&link).await;
            match reason {
                None => assert_eq!(used.status.as_u16(), 200, "{}", used.text),
                Some(reason) => {
                    for refused in [used, ada.get(&format!("{DOWNLOADS}/{slug}/url")).await] {
                        let refused = refused.expect(403);
                        assert_eq!((text(&refused, "code"), text(&refused, "reason")), ("license_required".into(), reason.into()));
                    }
                    assert_eq!(ada.get(&format!("{DOWNLOADS}/{slug}")).await.expect(200)["reason"], reason);
                }
            }
        }
        // A license that ends by the clock.
        let end = server.app.core.env.now() + time::Duration::seconds(5);
        let trial = json!({"customerId": ada.tenant, "productType": "base_product", "expiresAt": end, "reason": "A trial"});
        staff.post("/api/v1/admin/licenses", trial).await.expect(201);
        let link = self::link(server, &ada, &slug).await;
        let over = eventually(Duration::from_secs(20), async || {
            let used = server.client().get(&link).await;
            (used.json["reason"] == "license_expired").then_some(())
        });
        over.await.expect("the clock ends it");
        // Another one takes its place, and the release goes.
        issued(server, &ada, None).await;
        let link = self::link(server, &ada, &slug).await;
        assert_eq!(server.client().get(&link).await.status.as_u16(), 200);
        let gone = staff.post(&format!("{RELEASES}/{id}/withdraw"), json!({"reason": "Loses settings"})).await;
        assert_eq!(gone.expect(200)["withdrawalReason"], "Loses settings");
        for refused in [server.client().get(&link).await, ada.get(&format!("{DOWNLOADS}/{slug}/url")).await] {
            assert_eq!(refused.expect(410)["code"], "release_withdrawn");
        }
        let seen = ada.get(&format!("{DOWNLOADS}/{slug}")).await.expect(200);
        assert_eq!((&seen["available"], &seen["reason"]), (&json!(false), &json!("withdrawn")));
        assert!(!seen.to_string().contains("Loses settings"), "{seen}");
        let late = staff.post_empty(&format!("{RELEASES}/{id}/publish")).await.expect(409);
        assert_eq!((&late["code"], &late["releaseStatus"]), (&json!("release_status"), &json!("withdrawn")));
        // A beta is for other licenses.
        let mut beta = wanted(server, "3.0.0-beta.1");
        beta["channel"] = json!("beta");
        let (_, beta) = offered(&staff, beta, &program(10)).await;
        let refused = ada.get(&format!("{DOWNLOADS}/{beta}/url")).await.expect(403);
        assert_eq!(refused["reason"], "not_covered");
    })
    .await;
}

/// The content of a manifest whose signature is that of the installation.
fn verified(server: &TestServer, manifest: &Value) -> Value {
    let signer = server.app.licensing.signer.as_ref().unwrap();
    let enc = text(manifest, "enc");
    let signature = STANDARD.decode(text(manifest, "sig")).unwrap();
    assert_eq!(signature, signer.sign(format!("update/{enc}").as_bytes()));
    assert_ne!(signature, signer.sign(format!("license/{enc}").as_bytes()));
    assert_eq!(
        (text(manifest, "alg"), text(manifest, "kid")),
        ("base64+ed25519".into(), signer.current_id())
    );
    serde_json::from_slice(&STANDARD.decode(enc).unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn programs_are_told_of_the_newest_release_by_a_signed_manifest() {
    TestServer::on_each_database(async |server| {
        let staff = staff(server).await;
        // Other tests have releases of the product, for other platforms.
        let platform = format!("p{}", server.app.core.env.random_uuid().simple());
        let bytes = program(100);
        let mut slugs = BTreeMap::new();
        for (version, channel) in
            [("2.9.0", "stable"), ("2.10.0", "stable"), ("3.0.0-beta.2", "beta"), ("3.0.0-beta.10", "beta")]
        {
            let mut release = wanted(server, version);
            (release["platform"], release["channel"]) = (json!(platform), json!(channel));
            slugs.insert(version, offered(&staff, release, &bytes).await);
        }
        let visitor = server.client();
        let asked = async |query: &str| {
            let answer =
                visitor.get(&format!("/api/v1/updates/base_product?platform={platform}{query}")).await;
            match answer.status.as_u16() {
                204 => None,
                _ => Some(verified(server, &answer.expect(200))),
            }
        };
        for (query, expected) in [
            ("&version=2.9.0", Some("2.10.0")),
            ("", Some("2.10.0")),
            ("&version=2.10.0-rc.1", Some("2.10.0")),
            ("&version=2.10.0", None),
            ("&version=2.10.0&channel=beta", Some("3.0.0-beta.10")),
            ("&version=3.0.0&channel=beta", None),
        ] {
            let content = asked(query).await;
            let version = content.as_ref().map(|content| text(&content["release"], "version"));
            assert_eq!(version.as_deref(), expected, "{query}");
        }
        let content = asked("&version=1.0.0").await.unwrap();
        let release = &content["release"];
        assert_eq!((&release["id"], &release["sha256"]), (&json!(slugs["2.10.0"].1), &json!(sha256(&bytes))));
        assert_eq!((&content["productType"], &content["version"]), (&json!("base_product"), &json!(1)));
        assert!(content["exp"].as_i64().unwrap() > server.app.core.env.now().unix_seconds());
        let keys = visitor.get(&format!("{LICENSES}/keys")).await.expect(200);
        assert_eq!(keys["keys"][0]["kid"], content["kid"]);

        let withdraw = format!("{RELEASES}/{}/withdraw", slugs["2.10.0"].0);
        staff.post(&withdraw, json!({"reason": "Loses settings"})).await.expect(200);
        assert_eq!(asked("&version=2.8.0").await.unwrap()["release"]["version"], "2.9.0");
        assert_eq!(visitor.get("/api/v1/updates/mug").await.status.as_u16(), 404);
        let wrong = visitor.get("/api/v1/updates/base_product?version=two&platform=Windows%2011").await;
        assert_eq!(
            (wrong.status.as_u16(), wrong.fields()),
            (422, vec!["platform".to_owned(), "version".to_owned()])
        );
    })
    .await;
}
