//! The picture of a person: uploaded, shown, replaced, removed.

use std::time::Duration;

use portico_kernel::{Event, RequestInfo, Scope};
use portico_testkit::server::{Answer, Client, TestServer, eventually};
use reqwest::Method;
use serde_json::{Value, json};

use crate::fixture::{PICTURE, Person, text};

const AVATAR: &str = "/api/v1/profile/avatar";

/// A form with parts: name, file name, content.
fn form(parts: &[(&str, Option<&str>, &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, filename, content) in parts {
        let filename = filename.map(|name| format!("; filename=\"{name}\"")).unwrap_or_default();
        body.extend(
            format!("--xyz\r\nContent-Disposition: form-data; name=\"{name}\"{filename}\r\n\r\n").bytes(),
        );
        body.extend(*content);
        body.extend(b"\r\n");
    }
    body.extend(b"--xyz--\r\n");
    body
}

async fn put_form(client: &Client, parts: &[(&str, Option<&str>, &[u8])]) -> Answer {
    client.send(Method::PUT, AVATAR, Some(form(parts)), "multipart/form-data; boundary=xyz").await
}

async fn put_raw(client: &Client, bytes: &[u8], content_type: &str) -> Answer {
    client.send(Method::PUT, AVATAR, Some(bytes.to_vec()), content_type).await
}

/// The path of the picture that the server names.
fn path(server: &TestServer, user: &Value) -> String {
    let url = text(user, "avatarUrl");
    url.strip_prefix(&*server.app.api.public_url).unwrap_or_else(|| panic!("{url}")).to_owned()
}

async fn gone(server: &TestServer, path: &str) {
    let found = eventually(Duration::from_secs(20), async || {
        (server.client().get(path).await.status.as_u16() == 404).then_some(())
    });
    found.await.unwrap_or_else(|| panic!("{path} stays"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_is_uploaded_shown_replaced_and_removed() {
    TestServer::shared(async |server| {
        let ada = Person::new(server, server.email("ada"), |_| {}).await;
        let uploaded = put_form(&ada.client, &[("file", Some("me.gif"), PICTURE)]).await;
        assert!(!uploaded.header("etag").is_empty());
        let first = path(server, &uploaded.expect(200));
        assert!(first.starts_with(&format!("/api/v1/avatars/{}/", ada.claims.user)), "{first}");
        let profile = ada.client.get("/api/v1/profile").await.expect(200);
        assert_eq!(path(server, &profile), first);

        // Shown to everybody, for good.
        for (address, side) in [(first.clone(), 256), (first.replace("-256", "-64"), 64)] {
            let shown = server.client().get(&address).await;
            assert_eq!((shown.status.as_u16(), shown.header("content-type")), (200, "image/webp"));
            assert_eq!(shown.header("cache-control"), "public, max-age=31536000, immutable");
            assert_eq!(shown.header("x-content-type-options"), "nosniff");
            assert!(shown.text.starts_with("RIFF"), "side {side}");
        }

        let second = path(server, &put_raw(&ada.client, PICTURE, "image/png").await.expect(200));
        assert_ne!(first, second);
        assert_eq!(server.client().get(&second).await.status.as_u16(), 200);
        gone(server, &first).await;
        gone(server, &first.replace("-256", "-64")).await;

        ada.client.delete(AVATAR).await.expect(204);
        ada.client.delete(AVATAR).await.expect(204);
        assert_eq!(ada.client.get("/api/v1/profile").await.expect(200)["avatarUrl"], Value::Null);
        gone(server, &second).await;
        let trail = ada.client.get(&ada.client.t("/audit?type=user.updated")).await.expect(200);
        let urls: Vec<_> =
            trail["items"].as_array().unwrap().iter().map(|entry| &entry["after"]["avatarUrl"]).collect();
        assert_eq!(urls.len() - urls.iter().filter(|url| url.is_null()).count(), 2, "{urls:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_picture_is_refused_whatever_it_is_called() {
    TestServer::shared(async |server| {
        let ada = Person::new(server, server.email("ada"), |_| {}).await;
        let client = &ada.client;
        let svg = b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>";
        for content in [b"PK\x03\x04 a zip".as_slice(), svg, b"", b"<!doctype html>"] {
            let answer = put_form(client, &[("file", Some("me.png"), content)]).await;
            assert_eq!(answer.expect(415)["code"], "unsupported_media_type");
            assert_eq!(put_raw(client, content, "image/png").await.status.as_u16(), 415);
        }
        // A PNG that says that it is 60000 pixels wide and high.
        let mut bomb = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\xea\x60\0\0\xea\x60\x08\x06\0\0\0".to_vec();
        bomb.extend(crc(&bomb[12..]).to_be_bytes());
        bomb.extend(b"\0\0\0\0IDAT\x35\xaf\x06\x1e\0\0\0\0IEND\xae\x42\x60\x82");
        let answer = put_raw(client, &bomb, "image/png").await;
        assert_eq!(
            (answer.status.as_u16(), answer.fields()),
            (422, vec!["file".to_owned()]),
            "{}",
            answer.text
        );
        assert_eq!(answer.json["errors"][0]["code"], "too_many_pixels");
        let damaged = put_raw(client, &PICTURE[..20], "image/gif").await;
        assert_eq!(damaged.expect(422)["errors"][0]["code"], "damaged_image");
        assert_eq!(client.get("/api/v1/profile").await.expect(200)["avatarUrl"], Value::Null);
    })
    .await;
}

/// CRC-32 of PNG (ISO 3309).
fn crc(bytes: &[u8]) -> u32 {
    let step = |crc: u32, byte: &u8| {
        (0..8).fold(
            crc ^ u32::from(*byte),
            |crc, _| if crc & 1 == 1 { 0xedb8_8320 ^ (crc >> 1) } else { crc >> 1 },
        )
    };
    !bytes.iter().fold(u32::MAX, step)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_has_one_file_and_bodies_are_bounded() {
    let server = TestServer::start().await;
    let ada = Person::new(&server, server.email("ada"), |_| {}).await;
    let client = &ada.client;
    for (parts, field, code) in [
        (vec![], "file", "required"),
        (vec![("picture", Some("a.gif"), PICTURE)], "picture", "unknown_field"),
        (vec![("file", None, PICTURE), ("x", None, b"1".as_slice())], "x", "unknown_field"),
        (vec![("file", None, PICTURE), ("file", None, PICTURE)], "file", "duplicate"),
    ] {
        let answer = put_form(client, &parts).await;
        assert_eq!(
            (answer.status.as_u16(), answer.fields()),
            (422, vec![field.to_owned()]),
            "{}",
            answer.text
        );
        assert_eq!(answer.json["errors"][0]["code"], code);
    }
    for (body, content_type, status) in [
        (b"no form at all".to_vec(), "multipart/form-data; boundary=xyz", 400),
        (PICTURE.to_vec(), "multipart/form-data", 400),
        (form(&[("file", None, PICTURE)])[..90].to_vec(), "multipart/form-data; boundary=xyz", 400),
        (b"{}".to_vec(), "application/json", 415),
        (vec![0; (5 << 20) + 1], "image/png", 413),
        (form(&[("file", None, &vec![0; (5 << 20) + 1])]), "multipart/form-data; boundary=xyz", 413),
        (vec![0; 6 << 20], "image/png", 413),
    ] {
        let answer = client.send(Method::PUT, AVATAR, Some(body), content_type).await;
        assert_eq!(answer.status.as_u16(), status, "{content_type}: {}", answer.text);
        assert!(answer.header("content-type").starts_with("application/problem+json"), "{content_type}");
    }
    let empty = client.send(Method::PUT, AVATAR, None, "").await;
    assert_eq!(empty.status.as_u16(), 415);
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_of_pictures_lead_nowhere_else() {
    let server = TestServer::start().await;
    let ada = Person::new(&server, server.email("ada"), |_| {}).await;
    let shown = path(&server, &put_raw(&ada.client, PICTURE, "image/gif").await.expect(200));
    let other = Person::new(&server, server.email("bob"), |_| {}).await;
    let (ours, theirs) = (ada.claims.user.to_string(), other.claims.user.to_string());
    let name = shown.rsplit('/').next().unwrap();
    let folder = format!("/api/v1/avatars/{ours}");
    for wrong in [
        shown.replace(&ours, &theirs),
        shown.replace("-256", "-128"),
        shown.replace("-256", ""),
        shown.replace("-256", "-0256"),
        format!("{folder}/{}", name.to_uppercase()),
        format!("/api/v1/avatars/none/{name}"),
    ] {
        assert_eq!(server.client().get(&wrong).await.status.as_u16(), 404, "{wrong}");
    }
    for climbing in ["%2e%2e%2fname-256", "..%2F..%2Fsecret.key-256", "%00-256"] {
        let refused = server.client().get(&format!("{folder}/{climbing}")).await;
        assert_eq!(refused.expect(400)["code"], "invalid_path", "{climbing}");
    }
    assert_eq!(server.client().get(&shown).await.status.as_u16(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pictures_of_an_erased_person_go() {
    TestServer::shared(async |server| {
        let ada = Person::new(server, server.email("ada"), |_| {}).await;
        let shown = path(server, &put_raw(&ada.client, PICTURE, "image/gif").await.expect(200));
        let scope = Scope::system(None, RequestInfo { id: "test".into(), ..RequestInfo::default() });
        let event = Event::new(
            &server.app.core.env,
            &scope,
            &portico_identity::events::USER_ERASED,
            ada.claims.user.uuid(),
        );
        let mut work = server.app.core.begin().await.unwrap();
        work.events().append(event.before(&json!({"status": "deleted"}))).await.unwrap();
        work.commit().await.unwrap();
        gone(server, &shown).await;
    })
    .await;
}
