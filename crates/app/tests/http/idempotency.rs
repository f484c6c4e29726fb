//! `Idempotency-Key`: a POST that is sent again is carried out once.

use std::{
    collections::BTreeSet,
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use portico_kernel::{TenantRole, idempotency::KeyedRequest};
use portico_testkit::{
    database::tamper,
    server::{Answer, Client, Database, TestServer, at_once, eventually},
};
use reqwest::Method;
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use crate::{
    assets::{FORM, form_of},
    fixture::{PICTURE, Person, text},
    members::impersonated,
    sites::{allow_sites, column, events, site},
    wizard,
};

fn keyed(client: &Client, key: &str) -> Client {
    client.with("idempotency-key", key)
}

fn is_replay(answer: &Answer) -> bool {
    answer.header("idempotent-replayed") == "true"
}

#[track_caller]
fn refused(answer: &Answer, status: u16, code: &str) {
    let found = (answer.status.as_u16(), answer.json["code"].as_str());
    assert_eq!(found, (status, Some(code)), "{}", answer.text);
}

/// The same answer as before, marked as such.
#[track_caller]
fn same(first: &Answer, again: &Answer) {
    assert!(!is_replay(first) && is_replay(again), "{again:?}");
    assert_eq!((again.status, &again.text), (first.status, &first.text));
    for name in ["content-type", "location", "etag", "cache-control", "x-content-type-options"] {
        assert_eq!(again.header(name), first.header(name), "{name}");
    }
    assert_ne!(again.header("x-request-id"), first.header("x-request-id"));
}

async fn titles(client: &Client) -> Vec<String> {
    column(&client.get(&client.t("/pages?limit=100&sort=createdAt")).await.expect(200), "title")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_carried_out_once_and_its_answer_told_again() {
    TestServer::on_each_database(async |server| {
        let owner = Person::new(server, "owner@example.com", |_| {}).await;
        let client = &owner.client;
        site(client, "Shop").await;
        let (pages, body) = (client.t("/pages"), json!({"title": "About", "slug": "about"}));
        let before = (titles(client).await.len(), events(client, "page.created").await);
        let first = keyed(client, "order 17").post(&pages, body.clone()).await;
        assert_eq!(first.status.as_u16(), 201, "{}", first.text);
        let again = keyed(client, "order 17").post(&pages, body.clone()).await;
        same(&first, &again);
        // In quotes, as in the draft, and at the path of another system.
        same(&first, &keyed(client, "\"order 17\"").post(&pages, body.clone()).await);
        let alias = pages.replace("/api/v1/tenants", "/api/tenants");
        same(&first, &keyed(client, "order 17").post(&alias, body.clone()).await);
        refused(&keyed(client, "order 18").post(&pages, body.clone()).await, 409, "slug_taken");
        let after = (titles(client).await.len(), events(client, "page.created").await);
        assert_eq!(after, (before.0 + 1, before.1 + 1));

        // Another body, query or path under the same key.
        for (path, body) in [
            (pages.clone(), json!({"title": "Other"})),
            (format!("{pages}?siteId={}", server.app.core.env.random_uuid()), body.clone()),
            (client.t("/navigation"), body.clone()),
        ] {
            refused(&keyed(client, "order 17").post(&path, body).await, 422, "idempotency_key_reused");
        }
        // What was refused may be sent once more, corrected.
        let fix = keyed(client, "fix");
        refused(&fix.post(&pages, json!({"title": ""})).await, 422, "invalid");
        refused(&fix.post(&pages, json!({"title": "About", "slug": "about"})).await, 409, "slug_taken");
        refused(
            &fix.send(Method::POST, &pages, Some(b"{".to_vec()), "application/json").await,
            400,
            "malformed_body",
        );
        let large = format!("{{\"title\":\"{}\"}}", "x".repeat(1 << 20)).into_bytes();
        refused(
            &fix.send(Method::POST, &pages, Some(large), "application/json").await,
            413,
            "body_too_large",
        );
        let fixed = fix.post(&pages, json!({"title": "Fixed"})).await;
        same(&fixed, &fix.post(&pages, json!({"title": "Fixed"})).await);

        for wrong in ["", " ", "clé", &"k".repeat(256)] {
            refused(&keyed(client, wrong).post(&pages, body.clone()).await, 400, "invalid_idempotency_key");
        }
        refused(&keyed(&server.client(), "x").post(&pages, body.clone()).await, 401, "unauthenticated");
        // Where a key has no meaning, it is ignored.
        for path in ["/api/v1/profile", "/api/v1/sites"] {
            assert!(!is_replay(&keyed(client, "").get(path).await));
        }
        let tenant = json!({"tenantId": client.tenant});
        let switch = keyed(client, "switch");
        let tokens = [0, 1].map(|_| switch.post("/api/v1/auth/switch-tenant", tenant.clone()));
        for answer in futures_util::future::join_all(tokens).await {
            assert!(!is_replay(&answer));
            answer.expect(200);
        }

        // An answer with a secret is repeated, and is stored unreadable to others.
        let new = json!({"name": "Import", "permissions": ["pages:read"]});
        let made = keyed(client, "secret").post(&client.t("/api-keys"), new.clone()).await;
        same(&made, &keyed(client, "secret").post(&client.t("/api-keys"), new).await);
        let (tenant, caller) = (client.tenant.parse().unwrap(), owner.claims.user.uuid());
        let request = KeyedRequest { tenant, caller, key: "secret".to_owned() };
        let kept =
            server.app.core.idempotency.find(&request, server.app.core.env.now()).await.unwrap().unwrap();
        let kept = String::from_utf8_lossy(&kept.answer.unwrap()).into_owned();
        assert!(!kept.contains(&text(&made.json, "key")) && !kept.contains("Import"));

        // Of a request with files only the path is compared.
        let upload = async |content: &[u8]| {
            let form = form_of("a.gif", content);
            keyed(client, "file").send(Method::POST, &client.t("/assets/upload"), Some(form), FORM).await
        };
        let stored = upload(PICTURE).await;
        assert_eq!(stored.status.as_u16(), 201, "{}", stored.text);
        same(&stored, &upload(PICTURE).await);
        same(&stored, &upload(b"something else").await);
        assert_eq!(client.get(&client.t("/assets")).await.expect(200)["total"], 1);

        // Without a body, and without an answer.
        let page = format!("{pages}/{}", text(&first.json, "id"));
        let copy = keyed(client, "copy").post_empty(&format!("{page}/duplicate")).await;
        assert_eq!(copy.status.as_u16(), 201, "{}", copy.text);
        same(&copy, &keyed(client, "copy").post_empty(&format!("{page}/duplicate")).await);
        // A body that means nothing there makes another request of it.
        let other = keyed(client, "copy").post(&format!("{page}/duplicate"), json!({})).await;
        refused(&other, 422, "idempotency_key_reused");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_requests_at_once_make_one_thing() {
    TestServer::on_each_database(async |server| {
        let owner = Person::new(server, "owner@example.com", |_| {}).await;
        let client = owner.client.clone();
        allow_sites(server, 2).await;
        site(&client, "Shop").await;
        let before = titles(&client).await.len();
        let invitation = json!({"email": "guest@example.com", "role": "viewer"});
        let invitation = client.post(&client.t("/invitations"), invitation).await.expect(201);
        let resend = client.t(&format!("/invitations/{}/resend", text(&invitation, "id")));
        for (path, body) in [
            (client.t("/pages"), json!({"title": "One"})),
            // The last one of the plan.
            ("/api/v1/sites".to_owned(), json!({"name": "Second"})),
            (resend, Value::Null),
            (
                "/api/v1/ai/generate-page".to_owned(),
                json!({"title": "Bread", "purpose": "Show it.", "create": true}),
            ),
        ] {
            let key = server.app.core.env.random_uuid().to_string();
            let keyed = keyed(&client, &key);
            let send = move |_| {
                let (client, path, body) = (keyed.clone(), path.clone(), body.clone());
                async move {
                    match body {
                        Value::Null => client.post_empty(&path).await,
                        body => client.post(&path, body).await,
                    }
                }
            };
            let answers = at_once(50, &send).await;
            let (mut made, mut texts) = (0, BTreeSet::new());
            for answer in &answers {
                if answer.status.is_success() {
                    made += usize::from(!is_replay(answer));
                    texts.insert(answer.text.clone());
                } else {
                    refused(answer, 409, "idempotency_key_in_use");
                    assert_eq!(answer.header("retry-after"), "1");
                }
            }
            assert_eq!((made, texts.len()), (1, 1), "{texts:?}");
            let later = send(0).await;
            assert!(is_replay(&later) && texts.contains(&later.text), "{later:?}");
        }
        assert_eq!(titles(&client).await.len(), before + 2);
        assert_eq!(client.get("/api/v1/sites").await.expect(200)["total"], 2);
        for (kind, count) in [("invitation.resent", 1), ("site.created", 2), ("ai.generated", 1)] {
            assert_eq!(events(&client, kind).await, count, "{kind}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_belongs_to_a_caller_in_a_tenant() {
    TestServer::on_each_database(async |server| {
        let owner = Person::new(server, "owner@example.com", |_| {}).await;
        let colleague = Person::new(server, "colleague@example.com", |_| {}).await;
        let staff =
            Person::new(server, "staff@example.com", |user| user.role = portico_kernel::PlatformRole::Staff)
                .await;
        site(&owner.client, "Shop").await;
        colleague.join(server, &owner.client.tenant, TenantRole::Editor).await;
        let (path, body) =
            (owner.client.t("/navigation"), json!({"label": "Same", "url": "https://example.com/"}));
        let permissions = json!({"name": "Import", "permissions": ["navigation:read", "navigation:write"]});
        let key = owner.client.post(&owner.client.t("/api-keys"), permissions).await.expect(201);
        let program = server.client().with("x-api-key", &text(&key, "key"));

        let first = keyed(&owner.client, "k").post(&path, body.clone()).await;
        let by_colleague = keyed(&colleague.client, "k").post(&path, body.clone()).await;
        let by_program = keyed(&program, "k").post(&path, body.clone()).await;
        let ids: BTreeSet<String> =
            [&first, &by_colleague, &by_program].map(|answer| text(&answer.json, "id")).into();
        assert_eq!(ids.len(), 3, "each their own");
        for (client, answer) in
            [(&owner.client, &first), (&colleague.client, &by_colleague), (&program, &by_program)]
        {
            same(answer, &keyed(client, "k").post(&path, body.clone()).await);
        }
        // In another tenant it is another request.
        let other = owner.client.post("/api/v1/tenants", json!({"name": "Other"})).await.expect(201);
        let there = keyed(&owner.client, "s").with("x-tenant-id", &text(&other, "id"));
        let (here, name) = (keyed(&owner.client, "n"), json!({"name": "Site"}));
        allow_sites(server, 9).await;
        let made = [&here, &there.with("idempotency-key", "n")];
        let made =
            [made[0].post("/api/v1/sites", name.clone()).await, made[1].post("/api/v1/sites", name).await];
        assert!(made.iter().all(|answer| answer.status.as_u16() == 201 && !is_replay(answer)), "{made:?}");
        let nowhere = keyed(&owner.client, "k").with("x-tenant-id", "nonsense");
        refused(&nowhere.post("/api/v1/sites", json!({"name": "x"})).await, 404, "not_found");
        let foreign = keyed(&staff.client, "k").post(&path, body.clone()).await;
        refused(&foreign, 404, "not_found");

        // An impersonator does not get the answer that the impersonated user got.
        let acting = impersonated(server, &owner, &staff).await;
        refused(&keyed(&acting, "k").post(&path, body.clone()).await, 422, "idempotency_key_reused");

        // Nor does a caller who is no longer permitted.
        let member = owner.client.t(&format!("/members/{}", colleague.claims.user));
        owner.client.put(&member, json!({"role": "viewer"})).await.expect(200);
        refused(&keyed(&colleague.client, "k").post(&path, body.clone()).await, 403, "forbidden");
        owner.client.delete(&member).await.expect(204);
        refused(&keyed(&colleague.client, "k").post(&path, body.clone()).await, 404, "not_found");
        owner.client.delete(&owner.client.t(&format!("/api-keys/{}", text(&key, "id")))).await.expect(204);
        refused(&keyed(&program, "k").post(&path, body.clone()).await, 401, "unauthenticated");
        // Erasing a user deletes the answers that were kept for them.
        let request = KeyedRequest {
            tenant: owner.client.tenant.parse().unwrap(),
            caller: colleague.claims.user.uuid(),
            key: "k".to_owned(),
        };
        let find =
            async || server.app.core.idempotency.find(&request, server.app.core.env.now()).await.unwrap();
        assert!(find().await.is_some());
        colleague.client.post_empty("/api/v1/profile/erase").await.expect(202);
        assert!(find().await.is_none());
    })
    .await;
}

/// A connection over which a request with a key is sent by hand: the head, and the beginning of the body.
fn by_hand(
    server: &TestServer,
    client: &Client,
    path: &str,
    (key, kind): (&str, &str),
    body: &[u8],
) -> TcpStream {
    let mut stream = TcpStream::connect(server.url.trim_start_matches("http://")).unwrap();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: {}\r\nAuthorization: {}\r\nIdempotency-Key: {key}\r\nContent-Type: {kind}\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n",
        server.url.trim_start_matches("http://"),
        client.headers["authorization"],
        body.len(),
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream
}

/// Waits until the claim of a key exists and its lease has been extended this often.
async fn extended(server: &TestServer, request: &KeyedRequest, times: usize) {
    let mut seen = BTreeSet::new();
    let all = eventually(Duration::from_secs(10), async || {
        let record = server.app.core.idempotency.find(request, server.app.core.env.now()).await.unwrap();
        seen.extend(record.map(|record| record.leased_until));
        (seen.len() > times).then_some(())
    });
    all.await.expect("the lease is extended");
}

async fn slow_requests(database: Database) {
    let server = TestServer::start_with(database, |settings| {
        settings.idempotency.lease = Duration::from_millis(300);
    })
    .await;
    let owner = Person::new(&server, "owner@example.com", |_| {}).await;
    let client = &owner.client;
    site(client, "Shop").await;
    let upload = client.t("/assets/upload");
    let form = form_of("a.gif", PICTURE);
    let request = |key: &str| KeyedRequest {
        tenant: client.tenant.parse().unwrap(),
        caller: owner.claims.user.uuid(),
        key: key.to_owned(),
    };
    let total = async || client.get(&client.t("/assets")).await.expect(200)["total"].clone();

    // Longer than its lease: it is not claimed by another request.
    let mut slow = by_hand(&server, client, &upload, ("slow", FORM), &form);
    slow.write_all(&form[..20]).unwrap();
    extended(&server, &request("slow"), 4).await;
    let meanwhile = keyed(client, "slow").send(Method::POST, &upload, Some(form.clone()), FORM).await;
    refused(&meanwhile, 409, "idempotency_key_in_use");
    slow.write_all(&form[20..]).unwrap();
    let mut answer = String::new();
    slow.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    let again = keyed(client, "slow").send(Method::POST, &upload, Some(form.clone()), FORM).await;
    assert!(is_replay(&again) && answer.ends_with(&again.text), "{answer} {again:?}");
    assert_eq!(total().await, 1);

    // Broken off: free at once.
    let mut broken = by_hand(&server, client, &upload, ("broken", FORM), &form);
    broken.write_all(&form[..20]).unwrap();
    extended(&server, &request("broken"), 1).await;
    drop(broken);
    let free = eventually(Duration::from_secs(10), async || {
        let found =
            server.app.core.idempotency.find(&request("broken"), server.app.core.env.now()).await.unwrap();
        found.is_none().then_some(())
    });
    free.await.expect("the claim is given up");
    let answer = keyed(client, "broken").send(Method::POST, &upload, Some(form.clone()), FORM).await;
    assert!(answer.status.is_success() && !is_replay(&answer), "{answer:?}");
    assert_eq!(total().await, 2);

    // Its lease was taken over by another request: what it wrote late is rolled back.
    let mut late = by_hand(&server, client, &upload, ("late", FORM), &form);
    late.write_all(&form[..20]).unwrap();
    extended(&server, &request("late"), 1).await;
    let (other, tenant) = (server.app.core.env.random_uuid(), client.tenant.parse().unwrap());
    let stolen = "update idempotency_keys set holder = $1 where tenant_id = $2 and key = 'late'";
    let url = server.app.settings.database_url();
    assert_eq!(tamper(url.expose_secret(), stolen, &[other, tenant]).await, 1);
    late.write_all(&form[20..]).unwrap();
    let mut answer = String::new();
    late.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 409") && answer.contains("idempotency_key_in_use"), "{answer}");
    assert_eq!(total().await, 2, "rolled back");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_held_while_it_lasts_and_lost_with_its_claim_on_sqlite() {
    slow_requests(Database::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_held_while_it_lasts_and_lost_with_its_claim_on_postgres() {
    slow_requests(Database::Postgres).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_hangs_up_is_served_to_the_end() {
    TestServer::on_each_database(async |server| {
        let owner = Person::new(server, "owner@example.com", |_| {}).await;
        let client = &owner.client;
        site(client, "Shop").await;
        let before = (titles(client).await.len(), events(client, "page.created").await);
        for number in 0..20 {
            let (key, body) = (format!("key {number}"), json!({"title": format!("Page {number}")}));
            let bytes = body.to_string().into_bytes();
            let kind = "application/json";
            let mut stream = by_hand(server, client, &client.t("/pages"), (&key, kind), &bytes);
            stream.write_all(&bytes).unwrap();
            drop(stream);
            // Whether or not it had begun, it ends without effect.
            let answer = eventually(Duration::from_secs(10), async || {
                let answer = keyed(client, &key).post(&client.t("/pages"), body.clone()).await;
                answer.status.is_success().then_some(answer)
            });
            let answer = answer.await.expect("the page is made");
            same_thing(client, &key, &body, &answer).await;
        }
        let after = (titles(client).await.len(), events(client, "page.created").await);
        assert_eq!(after, (before.0 + 20, before.1 + 20));
    })
    .await;
}

/// Asked once more, it is the same page.
async fn same_thing(client: &Client, key: &str, body: &Value, answer: &Answer) {
    let again = keyed(client, key).post(&client.t("/pages"), body.clone()).await;
    assert!(is_replay(&again) && again.text == answer.text, "{again:?}");
}

/// Of the POSTs by authenticated callers, docs/api-design.md lists those that take no key.
#[test]
fn every_post_takes_a_key_or_the_documents_say_why_not() {
    let document = serde_json::to_value(portico::document::collected()).unwrap();
    let design =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/api-design.md")).unwrap();
    let (_, section) = design.split_once("## Requests sent again").unwrap();
    let section = section.split("\n## ").next().unwrap();
    let (mut with, mut without) = (0, BTreeSet::new());
    for (path, item) in document["paths"].as_object().unwrap() {
        let post = &item["post"];
        if post["security"].as_array().is_none_or(Vec::is_empty) || !path.starts_with("/api/v1/") {
            continue;
        }
        let parameters = post["parameters"].as_array().cloned().unwrap_or_default();
        if parameters
            .iter()
            .any(|parameter| parameter["name"] == "Idempotency-Key" && parameter["in"] == "header")
        {
            with += 1;
            for status in ["400", "409", "422"] {
                assert!(!post["responses"][status].is_null(), "{path} does not tell of {status}");
            }
        } else {
            without.insert(path.trim_start_matches("/api/v1").to_owned());
        }
    }
    let documented: BTreeSet<String> = section
        .lines()
        .filter_map(|line| line.strip_prefix("| `/")?.split_once('`').map(|(path, _)| format!("/{path}")))
        .collect();
    assert_eq!(documented, without);
    assert!(with > 40, "{with}");
}

/// Also where a request changed nothing, so that its answer was kept without a change.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_use_case_asked_for_is_needed_to_be_answered_again() {
    let server = TestServer::start().await;
    let owner = Person::new(&server, "owner@example.com", |_| {}).await;
    let colleague = Person::new(&server, "colleague@example.com", |_| {}).await;
    let tenant = owner.client.tenant.clone();
    colleague.join(&server, &tenant, TenantRole::Admin).await;
    let client = colleague.client.with("x-tenant-id", &tenant);
    let path = format!("/api/v1/wizard/{}/complete", wizard::ready(&server, &tenant, "again").await);
    keyed(&client, "made").post_empty(&path).await.expect(201);
    keyed(&client, "made before").post_empty(&path).await.expect(200);
    for key in ["made", "made before"] {
        assert!(is_replay(&keyed(&client, key).post_empty(&path).await), "{key}");
    }
    let member = owner.client.t(&format!("/members/{}", colleague.claims.user));
    owner.client.put(&member, json!({"role": "viewer"})).await.expect(200);
    for key in ["made", "made before"] {
        refused(&keyed(&client, key).post_empty(&path).await, 403, "forbidden");
    }
    server.stop().await;
}
