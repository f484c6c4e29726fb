//! Files that tenants upload: checked, counted, shown by signed links, deleted, restored, published.

use std::{io::Write, time::Duration};

use portico::settings::Settings;
use portico_billing::plan::catalogue;
use portico_kernel::{Job, JobState, Meter, PlatformRole, TenantRole, Timestamp};
use portico_testkit::jobs;
use portico_testkit::server::{Answer, Client, Database, TestServer, at_once, eventually};
use reqwest::Method;
use serde_json::{Value, json};

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
async fn links_work_for_what_they_are_for_and_no_longer() {
    let server = TestServer::start().await;
    let ada = Person::new(&server, server.email("ada"), |_| {}).await;
    let bob = Person::new(&server, server.email("bob"), |_| {}).await;
    let one = uploaded(&ada.client, "a.png", &png(400, 400, 0)).await;
    let other = uploaded(&ada.client, "b.pdf", PDF).await;
    let (link, thumbnail) = (path(&server, &one["url"]), path(&server, &one["thumbnails"][0]["url"]));
    let anonymous = server.client();
    assert_eq!(anonymous.get(&link).await.header("content-type"), "image/png");
    let again = ada.client.get(&ada.client.t(&format!("/assets/{}", text(&one, "id")))).await.expect(200);
    assert_eq!(path(&server, &again["url"]), link, "a browser that has it keeps it");

    let (address, query) = link.split_once('?').unwrap();
    let expires: i64 = query.split('&').find_map(|p| p.strip_prefix("expires=")?.parse().ok()).unwrap();
    let thumbnail_query = thumbnail.split_once('?').unwrap().1;
    let tenant = &ada.client.tenant;
    let expired = Timestamp::from_unix_seconds(server.app.core.env.now().unix_seconds() - 1).unwrap();
    let payload = format!("{tenant}/{}/original", text(&one, "id"));
    let signed_late = server.app.api.signer.sign("asset", &payload, expired);
    let foreign =
        server.app.api.signer.sign("preview", &payload, Timestamp::from_unix_seconds(expires).unwrap());
    for wrong in [
        address.to_owned(),
        format!("{address}?expires={expires}"),
        format!("{address}?{query}x"),
        format!("{address}?{}", query.replace(&expires.to_string(), &(expires + 1).to_string())),
        format!("{address}?{thumbnail_query}"),
        format!("{address}?expires={}&signature={signed_late}", expired.unix_seconds()),
        format!("{address}?expires={expires}&signature={foreign}"),
        format!("{address}?expires={}&signature=AA", i64::MAX),
        link.replace("/original", "/320"),
        link.replace(&text(&one, "id"), &text(&other, "id")),
        link.replace(tenant, &bob.client.tenant),
        link.replace(tenant, "none"),
    ] {
        assert_eq!(anonymous.get(&wrong).await.status.as_u16(), 404, "{wrong}");
    }
    let climbing = link.replace("/original", "/..%2Foriginal");
    assert_eq!(anonymous.get(&climbing).await.expect(400)["code"], "invalid_path");
    assert_eq!(anonymous.get(&format!("{address}?expires=soon&signature=x")).await.status.as_u16(), 422);

    // Again, and in parts.
    let document = path(&server, &other["url"]);
    let tag = anonymous.get(&document).await.header("etag").to_owned();
    let kept = anonymous.with("if-none-match", &tag).get(&document).await;
    assert_eq!((kept.status.as_u16(), kept.text.as_str(), kept.header("etag")), (304, "", tag.as_str()));
    let length = PDF.len();
    for (range, status, content_range, content) in [
        ("bytes=0-4", 206, format!("bytes 0-4/{length}"), &PDF[..5]),
        ("bytes=-6", 206, format!("bytes {}-{}/{length}", length - 6, length - 1), &PDF[length - 6..]),
        ("bytes=9999-", 200, String::new(), PDF),
        ("bytes=0-1,3-4", 200, String::new(), PDF),
        ("lines=1-2", 200, String::new(), PDF),
    ] {
        let part = anonymous.with("range", range).with("accept-encoding", "gzip").get(&document).await;
        let found = (part.status.as_u16(), part.header("content-range"), part.text.as_bytes());
        assert_eq!(found, (status, content_range.as_str(), content), "{range}");
    }
    let stale = anonymous.with("range", "bytes=0-4").with("if-range", "\"other\"").get(&document).await;
    assert_eq!(stale.status.as_u16(), 200);

    // One that is sent in many pieces.
    let filler: String = (0..60_000).map(|number| format!("% {number}\n")).collect();
    let long = [&PDF[..9], filler.as_bytes(), &PDF[9..]].concat();
    let uploaded = uploaded(&ada.client, "long.pdf", &long).await;
    let document = path(&server, &uploaded["url"]);
    let whole = anonymous.get(&document).await;
    assert_eq!(whole.header("content-length"), long.len().to_string());
    assert!(whole.text.as_bytes() == long);
    let part = anonymous.with("range", "bytes=65530-300000").get(&document).await;
    assert_eq!((part.status.as_u16(), part.header("content-length")), (206, "234471"));
    assert!(part.text.as_bytes() == &long[65_530..=300_000]);
}

#[tokio::test(flavor = "multi_thread")]
async fn members_and_keys_do_what_their_permissions_say() {
    let server = TestServer::start().await;
    let ada = Person::new(&server, server.email("ada"), |_| {}).await;
    let one = uploaded(&ada.client, "a.pdf", PDF).await;
    let address = ada.client.t(&format!("/assets/{}", text(&one, "id")));
    let mut viewer = Person::new(&server, server.email("vera"), |_| {}).await;
    viewer.join(&server, &ada.client.tenant, TenantRole::Viewer).await;
    viewer.client.tenant = ada.client.tenant.clone();
    let key = json!({"name": "reader", "permissions": ["assets:read"]});
    let key = text(&ada.client.post(&ada.client.t("/api-keys"), key).await.expect(201), "key");
    let mut keyed = server.client().with("x-api-key", &key);
    keyed.tenant = ada.client.tenant.clone();
    for client in [&viewer.client, &keyed] {
        client.get(&address).await.expect(200);
        client.get(&client.t("/assets")).await.expect(200);
        assert_eq!(upload(client, &[("b.pdf", PDF)]).await.expect(403)["code"], "forbidden");
        client.put(&address, json!({"filename": "x.pdf"})).await.expect(403);
        client.delete(&address).await.expect(403);
        client.post_empty(&format!("{address}/restore")).await.expect(403);
    }
    let stranger = Person::new(&server, server.email("sam"), |_| {}).await;
    stranger.client.get(&address).await.expect(404);
    let mut theirs = stranger.client.clone();
    let own = theirs.t(&format!("/assets/{}", text(&one, "id")));
    theirs.get(&own).await.expect(404);
    theirs.delete(&own).await.expect(404);
    theirs.tenant = ada.client.tenant.clone();
    upload(&theirs, &[("b.pdf", PDF)]).await.expect(404);
    assert_eq!(used(&ada.client).await, size(&one));
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

/// A job as a worker gets it.
fn claimed(server: &TestServer, client: &Client, payload: Value) -> Job {
    let now = server.app.core.env.now();
    Job {
        id: server.app.core.env.new_id(),
        kind: "asset.purge".to_owned(),
        payload,
        tenant_id: client.tenant.parse().unwrap(),
        state: JobState::Running,
        attempts: 1,
        max_attempts: 1,
        run_at: now,
        last_error: None,
        request_id: "test".to_owned(),
        trace_parent: None,
        created_at: now,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_upload_leaves_behind_is_deleted_and_nothing_else() {
    TestServer::shared(async |server| {
        let ada = Person::new(server, server.email("ada"), |_| {}).await;
        let kept = uploaded(&ada.client, "a.png", &png(10, 10, 0)).await;
        let before = stored(server, &ada.client).await;
        // Killed after its files were stored, and before its row was.
        let orphan = server.app.core.env.new_id::<()>();
        let folder = format!("assets/{}/{orphan}", ada.client.tenant);
        server.app.sites.files.put(&format!("{folder}/original"), PDF.to_vec()).await.unwrap();
        let job = claimed(server, &ada.client, json!({"assetIds": [orphan, text(&kept, "id")]}));
        for _ in 0..2 {
            assert!(jobs::handle(&server.app, &job).await.is_ok());
            assert_eq!(stored(server, &ada.client).await, before);
        }
        assert_eq!(used(&ada.client).await, size(&kept));
        assert_eq!(server.client().get(&path(server, &kept["url"])).await.status.as_u16(), 200);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bytes_of_a_deleted_file_go_when_its_time_is_over() {
    let no_grace = |settings: &mut Settings| settings.assets.deletion_grace = Duration::ZERO;
    let database = Database::Postgres;
    let server = TestServer::start_with(database, no_grace).await;
    let ada = Person::new(&server, server.email("ada"), |_| {}).await;
    let one = uploaded(&ada.client, "a.png", &png(10, 10, 0)).await;
    assert_eq!(stored(&server, &ada.client).await.len(), 2);
    let address = ada.client.t(&format!("/assets/{}", text(&one, "id")));
    ada.client.delete(&address).await.expect(204);
    ada.client.post_empty(&format!("{address}/restore")).await.expect(404);
    let gone = eventually(Duration::from_secs(20), async || {
        stored(&server, &ada.client).await.is_empty().then_some(())
    });
    gone.await.expect("the files go");
    assert_eq!(used(&ada.client).await, 0);
    server.stop().await;
}

/// A site with a page that shows uploaded pictures, as the answers to the uploads and the id of the site.
async fn illustrated(client: &Client) -> (Value, Value, String) {
    let picture = uploaded(client, "oven.png", &png(1500, 900, 3)).await;
    let logo = uploaded(client, "logo.png", &png(200, 100, 5)).await;
    let described = client.t(&format!("/assets/{}", text(&picture, "id")));
    client.put(&described, json!({"altText": "Our oven"})).await.expect(200);
    let site = text(&client.post("/api/v1/sites", json!({"name": "Bakery"})).await.expect(201), "id");
    let page = json!({"title": "Home", "status": "published"});
    let page = text(&client.post(&client.t("/pages"), page).await.expect(201), "id");
    let sections = client.t(&format!("/pages/{page}/sections"));
    let id = &picture["id"];
    for section in [
        json!({"type": "hero", "content": {"heading": "Bread", "imageAssetId": id}}),
        json!({"type": "gallery", "content": {"images": [{"imageAssetId": id, "alt": "The oven at night"}]}}),
        json!({"type": "features", "content": {"items": [{"title": "Warm", "imageAssetId": id}]}}),
        json!({"type": "testimonials", "content": {"items": [{"quote": "Good", "author": "Ana", "imageAssetId": id}]}}),
    ] {
        client.post(&sections, section).await.expect(201);
    }
    let branding = json!({"logoAssetId": logo["id"], "faviconAssetId": logo["id"]});
    client.put(&client.t("/branding"), branding).await.expect(200);
    let seo = json!({"openGraph": {"imageAssetId": id}});
    client.put(&client.t(&format!("/pages/{page}/seo")), seo).await.expect(200);
    (picture, logo, site)
}

async fn deploy(client: &Client, site: &str) {
    client.post_empty(&format!("/api/v1/sites/{site}/deploy")).await.expect(202);
    let live = eventually(Duration::from_secs(30), async || {
        let status = client.get(&format!("/api/v1/sites/{site}/status")).await.expect(200);
        assert_ne!(status["status"], "failed", "{status}");
        (status["status"] == "live").then_some(())
    });
    live.await.expect("the site is deployed");
}

/// A client that asks as a visitor of the site.
async fn visitor(server: &TestServer, client: &Client, site: &str) -> Client {
    let site = client.get(&format!("/api/v1/sites/{site}")).await.expect(200);
    server.client().with("host", text(&site, "url").trim_start_matches("http://"))
}

/// Every address of a file in a page.
fn assets_in(html: &str) -> Vec<String> {
    let mut found: Vec<String> = html
        .split("/assets/")
        .skip(1)
        .map(|rest| rest.split(|c: char| !c.is_ascii_alphanumeric() && c != '.').next().unwrap())
        .map(|name| format!("/assets/{name}"))
        .filter(|name| name.ends_with(".webp") || name.ends_with(".png"))
        .collect();
    found.sort();
    found.dedup();
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployed_site_shows_its_own_copies_of_pictures() {
    TestServer::shared(async |server| {
        let ada = Person::new(server, server.email("ada"), |_| {}).await;
        let client = &ada.client;
        let (picture, logo, site) = illustrated(client).await;
        deploy(client, &site).await;
        let visitor = visitor(server, client, &site).await;
        let home = visitor.get("/").await;
        assert_eq!(home.status.as_u16(), 200, "{}", home.text);
        let html = home.text;
        assert_eq!(html.matches("320w, /assets/").count(), 4, "{html}");
        assert!(
            html.contains("alt=\"Our oven\" width=\"1500\" height=\"900\" fetchpriority=\"high\""),
            "{html}"
        );
        assert!(html.contains("alt=\"The oven at night\" width=\"1500\" height=\"900\" loading=\"lazy\""));
        assert!(html.contains("<link rel=\"icon\" href=\"/assets/") && html.contains("type=\"image/png\""));
        assert!(html.contains("alt=\"Bakery\" width=\"200\" height=\"100\""));
        let shared = html.split("property=\"og:image\" content=\"").nth(1).unwrap();
        assert!(shared.starts_with("http") && shared.split('"').next().unwrap().contains("/assets/"));
        let files = assets_in(&html);
        assert_eq!(files.len(), 4 + 2, "{files:?}");
        for file in &files {
            let answer = visitor.get(file).await;
            assert_eq!(answer.status.as_u16(), 200, "{file}");
            assert!(answer.header("content-type").starts_with("image/"), "{file}");
            assert!(answer.header("cache-control").contains("immutable"), "{file}");
        }

        // In use: the answer says where. With force it goes, and the published site keeps its copies.
        let address = client.t(&format!("/assets/{}", text(&picture, "id")));
        let refused = client.delete(&address).await.expect(409);
        assert_eq!(
            (&refused["code"], refused["pages"].as_array().unwrap().len()),
            (&json!("asset_in_use"), 1)
        );
        let icon = client.t(&format!("/assets/{}", text(&logo, "id")));
        let refused = client.delete(&icon).await.expect(409);
        assert_eq!((&refused["pages"], &refused["branding"]), (&json!([]), &json!(true)));
        client.delete(&format!("{address}?force=true")).await.expect(204);
        for file in &files {
            assert_eq!(visitor.get(file).await.status.as_u16(), 200, "{file}");
        }
        deploy(client, &site).await;
        let html = visitor.get("/").await.text;
        assert!(!html.contains("320w") && html.contains("Bread") && html.contains("rel=\"icon\""), "{html}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_refers_to_files_that_are_no_pictures_of_the_tenant() {
    TestServer::shared(async |server| {
        let ada = Person::new(server, server.email("ada"), |_| {}).await;
        let bob = Person::new(server, server.email("bob"), |_| {}).await;
        let client = &ada.client;
        let document = uploaded(client, "a.pdf", PDF).await;
        let foreign = uploaded(&bob.client, "a.png", &png(10, 10, 0)).await;
        client.post("/api/v1/sites", json!({"name": "Bakery"})).await.expect(201);
        let page = text(&client.post(&client.t("/pages"), json!({"title": "Home"})).await.expect(201), "id");
        for (id, code) in [(&document["id"], "not_a_picture"), (&foreign["id"], "unknown_asset")] {
            let wrong = json!({"logoAssetId": id, "colors": {"primary": "red"}});
            let wrong = client.put(&client.t("/branding"), wrong).await;
            assert_eq!(wrong.fields(), ["colors.primary", "logoAssetId"], "{}", wrong.text);
            let seo = json!({"openGraph": {"imageAssetId": id}});
            let seo = client.put(&client.t(&format!("/pages/{page}/seo")), seo).await;
            assert_eq!(
                (seo.fields(), &seo.json["errors"][0]["code"]),
                (vec!["openGraph.imageAssetId".to_owned()], &json!(code))
            );
            let hero = json!({"type": "hero", "content": {"heading": "x", "imageAssetId": id}});
            let hero = client.post(&client.t(&format!("/pages/{page}/sections")), hero).await;
            assert_eq!(
                (hero.fields(), &hero.json["errors"][0]["code"]),
                (vec!["content.imageAssetId".to_owned()], &json!(code))
            );
        }
        assert_eq!(client.get(&client.t("/branding")).await.expect(200)["logoAssetId"], Value::Null);
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

#[tokio::test(flavor = "multi_thread")]
async fn links_end_with_the_suspension_of_their_tenant_on_every_instance() {
    TestServer::on_each_database(async |one| {
        let other = one.another_instance().await;
        let client = one.customer("ada@example.com").await;
        let root = Person::new(one, "root@example.org", |user| user.role = PlatformRole::SuperAdmin).await;
        let picture = uploaded(&client, "a.png", &png(500, 300, 1)).await;
        let mut links = vec![path(one, &picture["url"])];
        links.extend(picture["thumbnails"].as_array().unwrap().iter().map(|copy| path(one, &copy["url"])));
        assert!(links.len() > 1, "{picture}");
        let answered = async |status: u16| {
            for server in [one, &other] {
                for link in &links {
                    let answer = server.client().get(link).await;
                    assert_eq!(answer.status.as_u16(), status, "{link}");
                    let tag = server.client().with("if-none-match", "*").get(link).await;
                    assert!(status == 200 || tag.status == 404, "{link}: {}", tag.status);
                }
            }
        };
        answered(200).await;
        root.client.post(&client.t("/suspend"), json!({"reason": "Unpaid"})).await.expect(200);
        answered(404).await;
        root.client.post_empty(&client.t("/reinstate")).await.expect(200);
        answered(200).await;
        client.delete(&client.t(&format!("/assets/{}", text(&picture, "id")))).await.expect(204);
        answered(404).await;
        other.stop().await;
    })
    .await;
}
