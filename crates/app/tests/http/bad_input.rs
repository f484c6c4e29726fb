//! Whatever comes in, the answer says what is wrong with it: 4xx, never 5xx.
//!
//! Where a rule holds for all operations, the test takes them from the API document, so that a new one is held to it too.

use std::{
    collections::BTreeMap,
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use portico_kernel::PlatformRole;
use portico_testkit::server::{Answer, TestServer};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    authorization::{body, call},
    fixture::{Fixture, Person, change_user, fill, parameters, text, unlimited},
};

/// An operation of the API document.
pub struct Operation {
    pub method: String,
    pub path: String,
    json: Value,
}

impl Operation {
    fn is_secured(&self) -> bool {
        !self.json["security"].is_null()
    }

    fn has_body(&self) -> bool {
        // Other bodies than JSON have tests of their own.
        !self.json["requestBody"]["content"]["application/json"].is_null()
    }

    pub fn takes(&self, place: &str, name: &str) -> bool {
        let parameters = self.json["parameters"].as_array();
        parameters.is_some_and(|all| all.iter().any(|p| p["in"] == place && p["name"] == name))
    }

    pub fn answers(&self, status: &str) -> bool {
        !self.json["responses"][status].is_null()
    }

    /// Sends bytes as the body.
    async fn send(&self, fixture: &Fixture, bytes: Vec<u8>, content_type: &str) -> Answer {
        let method = Method::from_bytes(self.method.as_bytes()).unwrap();
        fixture.owner.client.send(method, &fixture.path(&self.path), Some(bytes), content_type).await
    }
}

pub fn operations() -> Vec<Operation> {
    let document = serde_json::to_value(portico::document::collected()).unwrap();
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, json) in item.as_object().unwrap() {
            operations.push(Operation {
                method: method.to_uppercase(),
                path: path.clone(),
                json: json.clone(),
            });
        }
    }
    operations
}

/// Collects failures, to be reported all at once.
#[derive(Default)]
pub struct Failures(Vec<String>);

impl Failures {
    pub fn check(&mut self, what: impl std::fmt::Display, answer: &Answer, status: u16) {
        let problem = status < 400 || answer.header("content-type") == "application/problem+json";
        if answer.status.as_u16() != status || !problem {
            self.note(format!("{what}: expected {status}"), answer);
        }
    }

    pub fn note(&mut self, what: impl std::fmt::Display, answer: &Answer) {
        let text: String = answer.text.chars().take(500).collect();
        self.0.push(format!("{what}: {} {text}", answer.status));
    }

    #[track_caller]
    pub fn none(&self) {
        assert!(self.0.is_empty(), "{}", self.0.join("\n"));
    }
}

pub async fn fixture() -> (TestServer, Fixture) {
    let server = TestServer::start().await;
    let fixture = fixture_on(&server).await;
    (server, fixture)
}

/// A fixture whose owner may also do what only people who run the platform may.
pub async fn fixture_on(server: &TestServer) -> Fixture {
    unlimited(server).await;
    let mut fixture = Fixture::new(server, "okapi").await;
    change_user(server, &fixture.owner.claims, |user| user.role = PlatformRole::SuperAdmin).await;
    fixture.owner.sign_in(server).await;
    fixture.ids.insert("sessionId".into(), fixture.owner.claims.session.to_string());
    fixture
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_cannot_be_read_is_refused_by_every_operation() {
    let (_server, fixture) = fixture().await;
    let nested =
        |open: &str, close: &str| format!("{}{}", open.repeat(100_000), close.repeat(100_000)).into_bytes();
    let json = "application/json";
    let cases: [(&str, Vec<u8>, &str, u16); 12] = [
        ("nothing", Vec::new(), json, 400),
        ("half an object", b"{\"name\":".to_vec(), json, 400),
        ("two objects", b"{} {}".to_vec(), json, 400),
        ("no JSON", b"name=value".to_vec(), json, 400),
        ("invalid UTF-8", b"{\"name\": \"\xff\xfe\"}".to_vec(), json, 400),
        ("half a surrogate pair", br#"{"name": "\ud800"}"#.to_vec(), json, 400),
        ("deep lists", nested("[", "]"), json, 400),
        ("deep objects", nested("{\"a\":", "}"), json, 400),
        ("a form", b"name=value".to_vec(), "application/x-www-form-urlencoded", 415),
        ("text", b"{}".to_vec(), "text/plain", 415),
        ("more than a mebibyte", vec![b' '; 1024 * 1024 + 1], json, 413),
        ("a list", b"[]".to_vec(), json, 422),
    ];
    let mut failures = Failures::default();
    for operation in operations().iter().filter(|operation| operation.has_body()) {
        for (what, bytes, content_type, status) in &cases {
            let answer = operation.send(&fixture, bytes.clone(), content_type).await;
            failures.check(format!("{what} to {} {}", operation.method, operation.path), &answer, *status);
        }
    }
    failures.none();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_field_is_refused_by_every_operation() {
    let (_server, fixture) = fixture().await;
    let mut failures = Failures::default();
    for operation in operations().iter().filter(|operation| operation.has_body()) {
        let answer = operation.send(&fixture, b"{\"colour\": 1}".to_vec(), "application/json").await;
        let what = format!("{} {}", operation.method, operation.path);
        failures.check(&what, &answer, 422);
        if !answer.fields().contains(&"colour".to_owned()) {
            failures.note(format!("{what} does not name the field"), &answer);
        }
    }
    failures.none();
}

#[tokio::test(flavor = "multi_thread")]
async fn all_wrong_fields_are_named_at_once() {
    let (_server, fixture) = fixture().await;
    let client = &fixture.owner.client;
    let register = "/api/v1/auth/register";
    let shape =
        client.post(register, json!({"email": 5, "fullName": [], "phone": {}, "colour": 1, "size": 2})).await;
    assert_eq!(shape.status.as_u16(), 422);
    assert_eq!(shape.fields(), ["colour", "email", "fullName", "phone", "size"]);
    let content =
        client.post(register, json!({"email": "no address", "password": "x", "fullName": ""})).await;
    assert_eq!(content.status.as_u16(), 422);
    let mut fields = content.fields();
    fields.dedup();
    assert_eq!(fields, ["email", "fullName", "password"]);
    let page =
        client.post(&client.t("/pages"), json!({"title": "", "slug": "No Slug!", "isHome": null})).await;
    assert_eq!((page.status.as_u16(), page.fields()), (422, vec!["slug".to_owned(), "title".to_owned()]));
    let navigation = json!({"items": [{"id": 7, "position": -1}, {"colour": "red"}, 5]});
    let navigation = client.put(&client.t("/navigation/reorder"), navigation).await;
    assert_eq!(navigation.status.as_u16(), 422);
    assert_eq!(navigation.fields(), ["items[0].id", "items[0].position", "items[1].colour", "items[2]"]);
    for error in navigation.json["errors"].as_array().unwrap() {
        assert!(error["code"].is_string() && error["message"].as_str().unwrap().ends_with('.'), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_is_refused_before_it_is_read_when_it_is_too_large_or_nobody_sends_it() {
    let (server, fixture) = fixture().await;
    let token = text(&fixture.owner.tokens, "access_token");
    let head = format!(
        "PUT /api/v1/profile HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n"
    );
    // The length alone: the body never comes.
    let announced = raw(&server, format!("{head}Content-Length: 99999999999\r\n\r\n").into_bytes());
    assert_eq!(announced.0, 413, "{}", announced.1);
    let mut chunked = format!("{head}Transfer-Encoding: chunked\r\n\r\n").into_bytes();
    for _ in 0..20 {
        chunked.extend_from_slice(b"10000\r\n");
        chunked.extend(std::iter::repeat_n(b' ', 0x10000));
        chunked.extend_from_slice(b"\r\n");
    }
    chunked.extend_from_slice(b"0\r\n\r\n");
    let streamed = raw(&server, chunked);
    assert_eq!(streamed.0, 413, "{}", streamed.1);
    for length in ["-1", "1e9", "abc"] {
        let odd = raw(&server, format!("{head}Content-Length: {length}\r\n\r\n").into_bytes());
        assert_eq!(odd.0, 400, "{length}: {}", odd.1);
    }
    let anonymous = server.client();
    let answer =
        anonymous.send(Method::PUT, "/api/v1/profile", Some(b"{".to_vec()), "application/json").await;
    assert_eq!(answer.status.as_u16(), 401, "{}", answer.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parameter_out_of_bounds_or_unknown_is_refused_by_every_list() {
    let (_server, fixture) = fixture().await;
    const HUGE: &str = "1000000000000000000";
    let bad: BTreeMap<&str, &[&str]> = BTreeMap::from([
        ("page", &["0", "-1", "two", "1.5", HUGE, "99999999999999999999999", "0x1", "%2B1%20"][..]),
        ("limit", &["0", "-1", "101", HUGE, "many", "99999999999999999999999"]),
        ("sort", &["colour", "-colour", "--createdAt", "createdAt;drop table users", "%00"]),
        ("status", &["colourful", "%00", "Draft%20"]),
        ("state", &["colourful", "%00"]),
        ("siteId", &["7", "not-a-uuid", "%00"]),
        ("cursor", &["7", "not-a-uuid", "%00"]),
        ("from", &["yesterday", "2026-13-01T00:00:00Z", "%00"]),
        ("to", &["tomorrow", "1e400"]),
    ]);
    let mut failures = Failures::default();
    let mut seen = 0;
    for operation in
        operations().iter().filter(|operation| operation.method == "GET" && operation.answers("422"))
    {
        let path = fixture.path(&operation.path);
        let mut queries = vec![("colour".to_owned(), "colour=red".to_owned())];
        for (name, values) in &bad {
            if operation.takes("query", name) {
                queries.extend(values.iter().map(|value| ((*name).to_owned(), format!("{name}={value}"))));
            }
        }
        for (name, query) in queries {
            seen += 1;
            // A link to a file has a query already.
            let mark = if path.contains('?') { '&' } else { '?' };
            let answer = fixture.owner.client.get(&format!("{path}{mark}{query}")).await;
            failures.check(format!("{}?{query}", operation.path), &answer, 422);
            if answer.fields() != [name] {
                failures.note(format!("{}?{query} names other fields", operation.path), &answer);
            }
        }
    }
    failures.none();
    assert!(seen > 50, "only {seen} queries were tried");
    let all = fixture.owner.client.get("/api/v1/sites?page=0&limit=101&colour=red").await;
    assert_eq!(all.status.as_u16(), 422, "{}", all.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_that_is_none_is_not_found() {
    let (_server, fixture) = fixture().await;
    let mut failures = Failures::default();
    for operation in operations() {
        // A link that is not as it was signed is forbidden, whatever is wrong with it.
        if operation.path == "/api/v1/downloads/{downloadId}/files/{fileName}" {
            continue;
        }
        let names = parameters(&operation.path);
        // Any number may be that of a part.
        for wrong in names.iter().filter(|name| !["slug", "part"].contains(name)) {
            let id = &fixture.id(&operation.path, wrong).unwrap();
            let long = "f".repeat(4000);
            for value in
                ["0", "not-a-uuid", "null", "%00", &format!("{id}0"), &id[1..], "%F0%9F%A6%92", &long]
            {
                let path = fill(&operation.path, |name| {
                    if name == *wrong { Some(value.to_owned()) } else { fixture.id(&operation.path, name) }
                });
                let body = operation.has_body().then(|| json!({}));
                let answer = call(&fixture.owner.client, &operation.method, &path, body.as_ref()).await;
                failures.check(
                    format!("{} {} with {wrong} = {value}", operation.method, operation.path),
                    &answer,
                    // No path has a control character in it.
                    if value == "%00" { 400 } else { 404 },
                );
            }
        }
    }
    failures.none();
}

/// Sends bytes as they are, and reads what comes back until the other side closes or falls silent.
fn raw(server: &TestServer, bytes: Vec<u8>) -> (u16, String) {
    let mut stream = TcpStream::connect(server.url.trim_start_matches("http://")).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let mut writer = stream.try_clone().unwrap();
    // The server may answer, and close, before it has read everything.
    let writing = std::thread::spawn(move || drop(writer.write_all(&bytes)));
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    while !complete(&answer) {
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => break,
            Ok(read) => answer.extend_from_slice(&buffer[..read]),
        }
    }
    drop(stream.shutdown(std::net::Shutdown::Both));
    writing.join().unwrap();
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    (status.unwrap_or_else(|| panic!("no HTTP answer: {answer:?}")), answer)
}

/// Whether an answer with a known length is there in full.
fn complete(answer: &[u8]) -> bool {
    let text = String::from_utf8_lossy(answer);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length =
        head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
    length.is_some_and(|length: usize| body.len() >= length)
}

#[tokio::test(flavor = "multi_thread")]
async fn odd_paths_find_nothing() {
    let (server, fixture) = fixture().await;
    let (token, tenant) = (text(&fixture.owner.tokens, "access_token"), &fixture.ids["tenantId"]);
    let site = fixture.owner.client.get(&fixture.path("/api/v1/sites/{siteId}")).await.expect(200);
    let site = text(&site, "url").trim_start_matches("http://").to_owned();
    let api = server.url.trim_start_matches("http://").to_owned();
    let long = "a".repeat(60_000);
    let paths = [
        "/api/v1/sites/%00".to_owned(),
        "/api/v1/%2e%2e/%2e%2e/%2e%2e/etc/passwd".to_owned(),
        "/api/v1/../../../../etc/passwd".to_owned(),
        "/../secret.key".to_owned(),
        "/%2e%2e%2fsecret.key".to_owned(),
        "/..%5c..%5csecret.key".to_owned(),
        "/assets/../../../../secret.key".to_owned(),
        "//api//v1//profile".to_owned(),
        "/api/v1/profile/".to_owned(),
        "/api/v1/profile%2f".to_owned(),
        "/api/v1/profile%00".to_owned(),
        "/api/v1/profile;x=1".to_owned(),
        "/api/v1/PROFILE".to_owned(),
        "/api/v1/profile/..".to_owned(),
        "/api/v1/%70rofile%zz".to_owned(),
        "/api/v1/%ff%fe".to_owned(),
        format!("/api/v1/tenants/{tenant}%2fbranding"),
        format!("/api/v1/tenants/{tenant}/pages/slug/%00"),
        format!("/api/v1/tenants/{tenant}/pages/slug/%ff"),
        format!("/api/v1/tenants/{tenant}/pages/slug/..%2f..%2fpages"),
        format!("/api/v1/tenants/{tenant}/pages/slug/{long}"),
        format!("/api/v1/{long}"),
        format!("/{}", "a/".repeat(20_000)),
    ];
    let mut failures = Vec::new();
    for path in &paths {
        for host in [&api, &site] {
            let (status, answer) = raw(
                &server,
                format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n\r\n")
                    .into_bytes(),
            );
            if !(400..500).contains(&status) {
                let path: String = path.chars().take(100).collect();
                failures.push(format!("{path} at {host}: {answer}"));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    for request in [
        "GET /api/v1/profile HTTP/9.9\r\n\r\n",
        "\0\0\0\0\r\n\r\n",
        "GET  HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nA\0B: c\r\n\r\n",
    ] {
        let (status, answer) = raw(&server, request.as_bytes().to_vec());
        assert!((400..=505).contains(&status) && status != 500, "{request:?}: {answer}");
    }
    let head =
        format!("GET /api/health HTTP/1.1\r\nHost: {api}\r\nX-Large: {}\r\n\r\n", "a".repeat(1024 * 1024));
    let (status, answer) = raw(&server, head.into_bytes());
    assert!((400..500).contains(&status), "{answer}");
    server.client().get("/api/health").await.expect(200);
}

/// Every text or number in a valid body is given other values, one at a time: whatever the answer is, it is no 5xx.
/// On both databases, because they differ in what a text may hold.
#[tokio::test(flavor = "multi_thread")]
async fn no_value_in_a_body_is_answered_with_a_5xx() {
    TestServer::on_each_database(async |server| {
        let fixture = fixture_on(server).await;
        let spare = Person::new(server, "spare@example.com", |_| {}).await;
        let values = [
            json!("nul \u{0} inside"),
            json!("\u{0}"),
            json!("a".repeat(100_000)),
            json!("\u{202e}\u{200b}\u{feff}\u{10ffff} 🦒"),
            json!(""),
            json!(" \n\t"),
            json!("'; drop table users; --"),
            json!("https://example.com/\u{0}"),
            json!(-1),
            json!(u64::MAX),
            json!(1e308),
            json!(i64::from(i32::MAX) + 1),
            json!(null),
            json!([]),
            json!({"\u{0}": "\u{0}"}),
        ];
        let (mut failures, mut tried) = (Failures::default(), 0);
        for (number, operation) in operations().iter().enumerate() {
            let kind = (operation.method.as_str(), operation.path.as_str());
            let Some(valid) = body(server, &fixture, &spare, kind, number).await else { continue };
            for place in places(&valid, String::new()) {
                for value in &values {
                    let mut changed = valid.clone();
                    *changed.pointer_mut(&place).unwrap() = value.clone();
                    // Not signed in as a user whose password or session such a call could change.
                    let client =
                        if operation.is_secured() { &fixture.owner.client } else { &server.client() };
                    let answer =
                        call(client, &operation.method, &fixture.path(&operation.path), Some(&changed)).await;
                    tried += 1;
                    if answer.status.as_u16() >= 500 {
                        let value: String = value.to_string().chars().take(60).collect();
                        failures.note(format!("{} {} with {place} = {value}", kind.0, kind.1), &answer);
                    }
                }
            }
        }
        failures.none();
        assert!(tried > 400, "only {tried} bodies were tried");
    })
    .await;
}

/// JSON pointers to all places of a value that hold no others.
fn places(json: &Value, at: String) -> Vec<String> {
    match json {
        Value::Object(map) => {
            map.iter().flat_map(|(name, value)| places(value, format!("{at}/{name}"))).collect()
        }
        Value::Array(list) => list
            .iter()
            .take(2)
            .enumerate()
            .flat_map(|(i, value)| places(value, format!("{at}/{i}")))
            .collect(),
        _ => vec![at],
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_text_in_a_query_is_answered_with_a_5xx() {
    TestServer::on_each_database(async |server| {
        let fixture = fixture_on(server).await;
        let mut failures = Failures::default();
        for operation in operations().iter().filter(|operation| operation.method == "GET") {
            let named = operation.json["parameters"].as_array().cloned().unwrap_or_default();
            for parameter in named.iter().filter(|parameter| parameter["in"] == "query") {
                for value in ["%00", "a%00b", "%ff", "%25%5f", "'%20or%201=1", "", &"a".repeat(20_000)] {
                    let query = format!("{}={value}", parameter["name"].as_str().unwrap());
                    let answer =
                        fixture.owner.client.get(&format!("{}?{query}", fixture.path(&operation.path))).await;
                    if answer.status.as_u16() >= 500 {
                        failures.note(format!("{}?{query}", operation.path), &answer);
                    }
                }
            }
        }
        for (path, status) in [("/pages/slug/%00", 400), ("/pages/slug/a%00b", 400), ("/pages/slug/%25", 404)]
        {
            let answer = fixture.owner.client.get(&fixture.owner.client.t(path)).await;
            failures.check(path, &answer, status);
        }
        failures.none();
    })
    .await;
}

/// A connection costs the client nothing, so one that stays silent must not cost the server much either.
#[tokio::test(flavor = "multi_thread")]
async fn a_silent_connection_does_not_hold_up_the_end_of_the_server() {
    let server = TestServer::start().await;
    let silent = TcpStream::connect(server.url.trim_start_matches("http://")).unwrap();
    server.client().get("/api/health").await.expect(200);
    tokio::time::timeout(Duration::from_secs(8), server.stop())
        .await
        .expect("stopping takes a few seconds at most");
    drop(silent);
}
