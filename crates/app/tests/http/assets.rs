//! Files that tenants upload: checked, counted, shown by signed links, deleted, restored, published.

mod links;
mod publishing;
mod removal;

use std::{io::Write, time::Duration};

use portico::settings::Settings;
use portico_billing::plan::catalogue;
use portico_kernel::{Job, JobState, Meter, PlatformRole, TenantRole, Timestamp};
use portico_testkit::jobs;
use portico_testkit::server::{Answer, Client, Database, TestServer, at_once, eventually};
use reqwest::Method;
use serde_json::{Value, json};

use self::publishing::{assets_in, deploy, illustrated, visitor};
use crate::fixture::{PICTURE, Person, text};

/// A document that ends as documents do.
const PDF: &[u8] = b"%PDF-1.4\n1 0 obj\n<< >>\nendobj\ntrailer\n<< >>\n%%EOF\n";

/// CRC-32 of PNG (ISO 3309).
fn crc(bytes: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum()
}

fn chunk(kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let body = [kind, data].concat();
    [&(data.len() as u32).to_be_bytes()[..], &body, &crc(&body).to_be_bytes()].concat()
}

/// A PNG that says that it has this size, with these compressed pixels.
fn declared(width: u32, height: u32, compressed: &[u8]) -> Vec<u8> {
    let header = [&width.to_be_bytes()[..], &height.to_be_bytes(), &[8, 0, 0, 0, 0]].concat();
    [b"\x89PNG\r\n\x1a\n".to_vec(), chunk(b"IHDR", &header), chunk(b"IDAT", compressed), chunk(b"IEND", &[])]
        .concat()
}

/// A grey PNG whose pixels depend on the seed.
pub fn png(width: u32, height: u32, seed: u8) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    for y in 0..height {
        let row: Vec<u8> = (0..width).map(|x| (x / 7 + y / 5) as u8 ^ seed).collect();
        encoder.write_all(&[0]).unwrap();
        encoder.write_all(&row).unwrap();
    }
    declared(width, height, &encoder.finish().unwrap())
}

/// A form with parts: name, what stands behind it in the header, content.
fn form(parts: &[(&str, &str, &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, more, content) in parts {
        body.extend(
            format!("--xyz\r\nContent-Disposition: form-data; name=\"{name}\"{more}\r\n\r\n").bytes(),
        );
        body.extend(*content);
        body.extend(b"\r\n");
    }
    body.extend(b"--xyz--\r\n");
    body
}

/// Media type of the forms that these tests send.
pub const FORM: &str = "multipart/form-data; boundary=xyz";

/// A form with one file.
pub fn form_of(name: &str, content: &[u8]) -> Vec<u8> {
    form(&[("files", &format!("; filename=\"{name}\""), content)])
}

async fn send(client: &Client, body: Vec<u8>) -> Answer {
    client.send(Method::POST, &client.t("/assets/upload"), Some(body), FORM).await
}

/// Uploads files by name and content.
async fn upload(client: &Client, files: &[(&str, &[u8])]) -> Answer {
    let named: Vec<String> = files.iter().map(|(name, _)| format!("; filename=\"{name}\"")).collect();
    let parts: Vec<_> =
        files.iter().zip(&named).map(|((_, bytes), more)| ("files", more.as_str(), *bytes)).collect();
    send(client, form(&parts)).await
}

/// Uploads one file, which is accepted.
async fn uploaded(client: &Client, name: &str, content: &[u8]) -> Value {
    upload(client, &[(name, content)]).await.expect(201)["items"][0].clone()
}

/// Bytes that count against the plan.
async fn used(client: &Client) -> u64 {
    let usage = client.get("/api/v1/billing/usage").await.expect(200);
    let items = usage["items"].as_array().unwrap();
    items.iter().find(|item| item["meter"] == "storage").unwrap()["used"].as_u64().unwrap()
}

fn size(asset: &Value) -> u64 {
    asset["size"].as_u64().unwrap()
}

/// The path of a link, for a client of the server.
fn path(server: &TestServer, url: &Value) -> String {
    let url = url.as_str().unwrap();
    url.strip_prefix(&*server.app.api.public_url).unwrap_or_else(|| panic!("{url}")).to_owned()
}

/// The keys of all files of a tenant's assets.
async fn stored(server: &TestServer, client: &Client) -> Vec<String> {
    server.app.sites.files.list(&format!("assets/{}", client.tenant)).await.unwrap()
}

/// Lets a tenant on the free plan keep so many bytes.
async fn limit(server: &TestServer, bytes: u64) {
    let mut work = server.app.core.begin().await.unwrap();
    for mut plan in catalogue() {
        plan.limits.insert(Meter::Storage, bytes);
        work.plans().upsert(&plan).await.unwrap();
    }
    work.commit().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_uploaded_shown_changed_deleted_and_restored() {
    TestServer::on_each_database(async |server| {
        let ada = Person::new(server, server.email("ada"), |_| {}).await;
        let (client, anonymous) = (&ada.client, server.client());
        let picture = png(700, 350, 0);
        let files: [(&str, &[u8]); 3] =
            [("../../shop.png", &picture), ("Menü 日本.pdf", PDF), ("dot", PICTURE)];
        let made = upload(client, &files).await.expect(201);
        let assets = made["items"].as_array().unwrap();
        assert_eq!(made["total"], 3);
        let shown: Vec<_> = assets
            .iter()
            .map(|a| (a["filename"].as_str().unwrap(), a["contentType"].as_str().unwrap()))
            .collect();
        let expected =
            [("shop.png", "image/png"), ("Menü 日本.pdf", "application/pdf"), ("dot.gif", "image/gif")];
        assert_eq!(shown, expected);
        assert_eq!((&assets[0]["width"], &assets[0]["height"]), (&json!(700), &json!(350)));
        assert_eq!((&assets[1]["width"], &assets[1]["thumbnails"]), (&Value::Null, &json!([])));
        assert_eq!(size(&assets[1]), PDF.len() as u64);
        let widths: Vec<_> = assets[0]["thumbnails"]
            .as_array()
            .unwrap()
            .iter()
            .map(|t| t["width"].as_u64().unwrap())
            .collect();
        assert_eq!(widths, [320, 640, 700]);
        let all: u64 = assets.iter().map(size).sum();
        assert_eq!(used(client).await, all, "what is counted is what is told");

        // Shown to every client that has the link.
        let document = anonymous.get(&path(server, &assets[1]["url"])).await;
        assert_eq!((document.status.as_u16(), document.text.as_bytes()), (200, PDF));
        let disposition =
            "attachment; filename=\"Men_ __.pdf\"; filename*=UTF-8''Men%C3%BC%20%E6%97%A5%E6%9C%AC.pdf";
        assert_eq!(document.header("content-disposition"), disposition);
        assert_eq!(document.header("content-type"), "application/pdf");
        let thumbnail = anonymous.get(&path(server, &assets[0]["thumbnails"][0]["url"])).await;
        assert_eq!((thumbnail.status.as_u16(), thumbnail.header("content-type")), (200, "image/webp"));
        assert!(thumbnail.text.starts_with("RIFF"));
        assert!(thumbnail.header("content-disposition").starts_with("inline; filename=\"shop-320.webp\""));
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("cross-origin-resource-policy", "cross-origin"),
            ("accept-ranges", "bytes"),
        ] {
            assert_eq!(thumbnail.header(name), value);
        }
        assert!(thumbnail.header("content-security-policy").contains("sandbox"));
        let cache = thumbnail.header("cache-control");
        let age: u64 = cache
            .strip_prefix("private, max-age=")
            .and_then(|rest| rest.split(',').next()?.parse().ok())
            .unwrap();
        assert!((3500..=7200).contains(&age), "{cache}");

        // Listed, searched, filtered, paged.
        let names = async |query: &str| {
            let list = client.get(&client.t(&format!("/assets{query}"))).await.expect(200);
            let names: Vec<String> =
                list["items"].as_array().unwrap().iter().map(|a| text(a, "filename")).collect();
            (names.join(" "), list["total"].as_u64().unwrap())
        };
        assert_eq!(names("?q=SHOP").await, ("shop.png".into(), 1));
        assert_eq!(names("?type=pdf").await, ("Menü 日本.pdf".into(), 1));
        assert_eq!(names("?type=image").await.1, 2);
        assert_eq!(names("?limit=1&page=3").await.1, 3);
        assert_eq!(client.get(&client.t("/assets?type=video")).await.status.as_u16(), 422);

        // Changed, by the version that one saw.
        let one = client.t(&format!("/assets/{}", text(&assets[0], "id")));
        let read = client.get(&one).await;
        assert_eq!(read.header("etag"), "\"v1\"");
        let change = json!({"filename": "front.png", "altText": "The shop"});
        let changed = client.with("if-match", "\"v1\"").put(&one, change.clone()).await;
        assert_eq!(changed.header("etag"), "\"v2\"");
        let changed = changed.expect(200);
        assert_eq!((&changed["filename"], &changed["altText"]), (&json!("front.png"), &json!("The shop")));
        client.with("if-match", "\"v1\"").put(&one, change).await.expect(412);
        let wrong = client.put(&one, json!({"filename": "a/b.exe", "altText": "x".repeat(301)})).await;
        assert_eq!(wrong.fields(), ["altText", "filename"]);
        client.put(&one, json!({"altText": null})).await.expect(200);

        // Deleted: gone from everywhere, and the plan has its bytes back. Restored: all of it again.
        let link = path(server, &changed["url"]);
        assert_eq!(anonymous.get(&link).await.status.as_u16(), 200);
        client.delete(&one).await.expect(204);
        assert_eq!(anonymous.get(&link).await.status.as_u16(), 404);
        client.get(&one).await.expect(404);
        client.put(&one, json!({"filename": "a.png"})).await.expect(404);
        client.delete(&one).await.expect(404);
        assert_eq!((names("").await.1, used(client).await), (2, all - size(&assets[0])));
        let restored = client.post_empty(&format!("{one}/restore")).await.expect(200);
        assert_eq!((&restored["filename"], &restored["altText"]), (&json!("front.png"), &Value::Null));
        assert_eq!((names("").await.1, used(client).await), (3, all));
        assert_eq!(anonymous.get(&link).await.status.as_u16(), 200);
        let twice = client.post_empty(&format!("{one}/restore")).await.expect(409);
        assert_eq!(twice["code"], "asset_not_deleted");
        let trail =
            client.get(&client.t(&format!("/audit?resourceId={}", text(&assets[0], "id")))).await.expect(200);
        let kinds: Vec<_> =
            trail["items"].as_array().unwrap().iter().map(|e| e["type"].as_str().unwrap()).collect();
        let expected = ["asset.restored", "asset.deleted", "asset.updated", "asset.updated", "asset.created"];
        assert_eq!(kinds, expected);
        assert!(!trail.to_string().contains("signature="), "links are secrets");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_any_file_is_told_of_each_and_nothing_is_stored() {
    TestServer::shared(async |server| {
        let ada = Person::new(server, server.email("ada"), |_| {}).await;
        let client = &ada.client;
        let bomb = {
            // 50,000 by 50,000 pixels, and as many zeros as a few kilobytes hold when compressed.
            let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
            encoder.write_all(&vec![0; 4 << 20]).unwrap();
            declared(50_000, 50_000, &encoder.finish().unwrap())
        };
        assert!(bomb.len() < 8192, "{}", bomb.len());
        let wide_gif = b"GIF89a\x60\xea\x60\xea\x80\x01\0\0\0\0ccc,\0\0\0\0\x01\0\x01\0\0\x02\x02D\x01\0;";
        let good = png(64, 64, 1);
        // The compressed pixels inflate to more than the header declares.
        let mut inflating = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
        inflating.write_all(&vec![0; 16 << 20]).unwrap();
        let inflating = declared(10, 10, &inflating.finish().unwrap());
        let files: [(&str, &[u8]); 12] = [
            ("good.png", &good),
            ("bomb.png", &bomb),
            ("wide.gif", wide_gif),
            ("cut.png", &good[..good.len() / 2]),
            ("empty.png", b""),
            ("page.png", b"<!doctype html><script>alert(1)</script>"),
            ("picture.svg", b"<?xml version='1.0'?><svg onload='alert(1)'/>"),
            ("program.pdf", b"MZ\x90\0 a program"),
            ("late.pdf", b"GIF or not, %PDF-1.4 %%EOF"),
            ("cut.pdf", b"%PDF-1.4\n1 0 obj"),
            ("archive.jpg", b"PK\x03\x04"),
            ("good.pdf", PDF),
        ];
        let answer = upload(client, &files).await;
        let problem = answer.expect(422);
        let errors: Vec<_> = problem["errors"]
            .as_array()
            .unwrap()
            .iter()
            .map(|error| (error["field"].as_str().unwrap(), error["code"].as_str().unwrap()))
            .collect();
        // What the first bytes show is refused before anything is decoded.
        let expected = [
            ("files[4]", "required"),
            ("files[5]", "unknown_format"),
            ("files[6]", "svg_refused"),
            ("files[7]", "unknown_format"),
            ("files[8]", "unknown_format"),
            ("files[10]", "unknown_format"),
        ];
        assert_eq!(errors, expected);
        let readable: Vec<_> = [0, 1, 2, 3, 9, 11].map(|number| files[number]).to_vec();
        let problem = upload(client, &readable).await.expect(422);
        let errors: Vec<_> =
            problem["errors"].as_array().unwrap().iter().map(|e| (&e["field"], &e["code"])).collect();
        let expected = json!([
            ["files[1]", "too_many_pixels"],
            ["files[2]", "too_many_pixels"],
            ["files[3]", "damaged_image"],
            ["files[4]", "damaged_file"],
        ]);
        assert_eq!(json!(errors), expected);
        assert_eq!(client.get(&client.t("/assets")).await.expect(200)["total"], 0);
        assert_eq!((used(client).await, stored(server, client).await), (0, Vec::<String>::new()));
        // Only the pixels that the header declares are kept, and nothing after them.
        let answer = upload(client, &[("inflating.png", &inflating)]).await;
        assert!([201, 422].contains(&answer.status.as_u16()), "{}", answer.text);
        assert!(used(client).await < 1000);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn forms_are_bounded_and_have_files_only() {
    let server = TestServer::start().await;
    let ada = Person::new(&server, server.email("ada"), |_| {}).await;
    let client = &ada.client;
    let file = |name: &str| format!("; filename=\"{name}\"");
    let large_picture = [b"\x89PNG\r\n\x1a\n".as_slice(), &vec![0; 5 << 20]].concat();
    let large_document = [PDF, &vec![b' '; 20 << 20]].concat();
    let noise = vec![7; (20 << 20) + 1];
    let half = [PDF, &vec![b' '; 18 << 20], PDF].concat();
    let many: Vec<_> = (0..21).map(|_| ("files", "; filename=\"a.pdf\"", PDF)).collect();
    let named = file("a");
    for (what, body, status, field) in [
        ("nothing", form(&[]), 422, Some("files")),
        ("another field", form(&[("files", &named, PDF), ("x", "", b"1")]), 422, Some("x")),
        ("too many", form(&many), 422, Some("files")),
        (
            "a large picture",
            form(&[("files", &named, PDF), ("files", &named, &large_picture)]),
            413,
            Some("files[1]"),
        ),
        ("a large document", form(&[("files", &named, &large_document)]), 413, Some("files[0]")),
        ("large noise", form(&[("files", &named, &noise)]), 413, Some("files[0]")),
        ("too much together", form(&[("files", named.as_str(), half.as_slice()); 3]), 413, None),
        ("a form cut off", form(&[("files", &named, PDF)])[..80].to_vec(), 400, None),
        ("a file cut off", form(&[("files", &named, &half)])[..9 << 20].to_vec(), 400, None),
        ("no form", b"hello".to_vec(), 400, None),
    ] {
        let answer = send(client, body).await;
        assert_eq!(answer.status.as_u16(), status, "{what}: {}", answer.text);
        assert_eq!(answer.fields(), field.map(str::to_owned).into_iter().collect::<Vec<_>>(), "{what}");
        assert_eq!(answer.header("content-type"), "application/problem+json", "{what}");
    }
    let raw =
        client.send(Method::POST, &client.t("/assets/upload"), Some(PDF.to_vec()), "application/pdf").await;
    assert_eq!(raw.status.as_u16(), 415);
    assert_eq!((used(client).await, stored(&server, client).await), (0, Vec::<String>::new()));

    // A name twice is two files; without a name it gets one.
    let twice = form(&[("files", &named, PDF), ("file", &named, PDF), ("files[]", "", PDF)]);
    let made = send(client, twice).await.expect(201);
    let names: Vec<_> = made["items"].as_array().unwrap().iter().map(|a| text(a, "filename")).collect();
    assert_eq!(names, ["a.pdf", "a.pdf", "file.pdf"]);
    // The extended form of the name (RFC 5987), with a trick in it.
    let tricky = "; filename=\"x\"; filename*=UTF-8''..%5C%E2%80%AEfdp.exe%0D%0AX";
    let made = send(client, form(&[("files", tricky, PDF)])).await.expect(201);
    assert_eq!(text(&made["items"][0], "filename"), "fdp.exeX.pdf");
    // A document of nearly 20 MB goes through a temporary file, and comes back unchanged.
    let made = send(client, form(&[("files", &named, &half)])).await.expect(201);
    let back = server.client().get(&path(&server, &made["items"][0]["url"])).await;
    assert_eq!(back.text.len(), half.len());
    assert!(back.text.as_bytes() == half);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_sixty_four_uploads_at_the_edge_of_the_plan_exactly_those_that_fit_succeed() {
    TestServer::on_each_database(async |server| {
        let ada = Person::new(server, server.email("ada"), |_| {}).await;
        let picture = png(40, 40, 9);
        let each = size(&uploaded(&ada.client, "first.png", &picture).await);
        // Room for 20 in all, and a little that is too little for another one.
        limit(server, 20 * each + each / 2).await;
        let client = ada.client.clone();
        let answers = at_once(64, |number| {
            let (client, picture) = (client.clone(), picture.clone());
            async move { upload(&client, &[(&format!("{number}.png"), &picture)]).await }
        })
        .await;
        let made = answers.iter().filter(|answer| answer.status.as_u16() == 201).count();
        let over = answers.iter().filter(|answer| answer.json["code"] == "quota_exceeded").count();
        let other: Vec<_> = answers.iter().filter(|a| ![201, 402].contains(&a.status.as_u16())).map(|a| &a.text).collect();
        assert_eq!((made, over), (19, 45), "{other:?}");
        assert_eq!(used(&client).await, 20 * each);
        let list = client.get(&client.t("/assets?limit=100")).await.expect(200);
        let items = list["items"].as_array().unwrap();
        assert_eq!((items.len(), items.iter().map(size).sum::<u64>()), (20, 20 * each));
        assert_eq!(stored(server, &client).await.len(), 2 * 20, "of those that did not fit nothing is left");
        for item in items {
            assert_eq!(server.client().get(&path(server, &item["url"])).await.status.as_u16(), 200);
        }

        // All deleted at once, each by two: given back once.
        let ids: Vec<String> = items.iter().map(|item| text(item, "id")).collect();
        let deleted = at_once(40, |number| {
            let (client, id) = (client.clone(), ids[number / 2].clone());
            async move { client.delete(&client.t(&format!("/assets/{id}"))).await.status.as_u16() }
        })
        .await;
        assert_eq!(deleted.iter().filter(|status| **status == 204).count(), 20, "{deleted:?}");
        assert!(deleted.iter().all(|status| [204, 404, 409].contains(status)), "{deleted:?}");
        assert_eq!(used(&client).await, 0);
        // Restoring counts like uploading.
        limit(server, 3 * each).await;
        let restored = at_once(20, |number| {
            let (client, id) = (client.clone(), ids[number].clone());
            async move { client.post_empty(&client.t(&format!("/assets/{id}/restore"))).await.status.as_u16() }
        })
        .await;
        assert_eq!(restored.iter().filter(|status| **status == 200).count(), 3, "{restored:?}");
        assert_eq!(restored.iter().filter(|status| **status == 402).count(), 17, "{restored:?}");
        assert_eq!(used(&client).await, 3 * each);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_works_on_s3_too() {
    let server = TestServer::start_on_bucket("portico-http").await;
    let ada = Person::new(&server, server.email("ada"), |_| {}).await;
    let client = &ada.client;
    let (picture, _, site) = illustrated(client).await;
    let shown = server.client().get(&path(&server, &picture["url"])).await;
    assert_eq!((shown.status.as_u16(), shown.header("content-type")), (200, "image/png"));
    assert_eq!(stored(&server, client).await.len(), (1 + 4) + (1 + 1));
    deploy(client, &site).await;
    let visitor = visitor(&server, client, &site).await;
    let html = visitor.get("/").await.text;
    let files = assets_in(&html);
    assert_eq!(files.len(), 6, "{html}");
    for file in files {
        assert_eq!(visitor.get(&file).await.status.as_u16(), 200, "{file}");
    }
    client.delete(&client.t(&format!("/assets/{}?force=true", text(&picture, "id")))).await.expect(204);
    assert_eq!(server.client().get(&path(&server, &picture["url"])).await.status.as_u16(), 404);
    client.delete(&format!("/api/v1/sites/{site}")).await.expect(204);
    let gone = eventually(Duration::from_secs(20), async || {
        server.app.sites.files.list("sites").await.unwrap().is_empty().then_some(())
    });
    gone.await.expect("the files of the site go");
    server.stop().await;
}
