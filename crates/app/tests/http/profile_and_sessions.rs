//! The own profile, and the user's sessions: tokens, their rotation, and their end.

use std::time::{Duration, Instant};

use portico_identity::user::UserStatus;
use portico_testkit::server::{Answer, Client, Database, PASSWORD, TestServer, at_once, eventually};
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::fixture::{Person, change_user};

async fn register(server: &TestServer, email: &str) -> Value {
    let body = json!({"email": email, "password": PASSWORD, "fullName": "Test Person"});
    server.client().post("/api/v1/auth/register", body).await.expect(201)
}

async fn login(server: &TestServer, email: &str, user_agent: &str) -> Value {
    let client = server.client().with("user-agent", user_agent);
    client.post("/api/v1/auth/login", json!({"email": email, "password": PASSWORD})).await.expect(200)
}

async fn refresh(client: &Client, token: &Value) -> Answer {
    client.post("/api/v1/auth/refresh", json!({"refresh_token": token})).await
}

/// A client with the access token of a token answer.
fn signed_in(server: &TestServer, tokens: &Value) -> Client {
    let mut client = server.client();
    client.sign(tokens);
    client
}

async fn status(client: &Client) -> u16 {
    client.get("/api/v1/profile").await.status.as_u16()
}

/// Access ends within this time: no request that begins later is accepted.
pub async fn ends_within(patience: Duration, client: &Client) {
    let deadline = Instant::now() + patience;
    loop {
        let late = Instant::now() > deadline;
        if status(client).await == 401 {
            return;
        }
        assert!(!late, "access goes on");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_is_merged_with_what_was_sent() {
    TestServer::shared(async |server| {
        let client = signed_in(server, &register(server, server.email("ada")).await);
        let read = client.get("/api/v1/profile").await;
        let (tag, before) = (read.header("etag").to_owned(), read.json.clone());
        let body = json!({"full_name": " Ada Lovelace ", "phone": "+502 2345 6789", "company": "Engines", "language": "es"});
        let changed = client.with("if-match", &tag).put("/api/v1/profile", body).await;
        assert_ne!(changed.header("etag"), tag);
        let after = changed.expect(200);
        assert_eq!((&after["fullName"], &after["company"]), (&json!("Ada Lovelace"), &json!("Engines")));
        assert_eq!((&after["email"], &after["tenants"]), (&before["email"], &before["tenants"]));
        assert_eq!(client.get("/api/v1/profile").await.expect(200), after);

        let stale = client.with("if-match", &tag).put("/api/v1/profile", json!({"company": "Other"})).await;
        assert_eq!((stale.status.as_u16(), &stale.json["code"]), (412, &json!("precondition_failed")));
        let cleared = client.put("/api/v1/profile", json!({"phone": null, "company": ""})).await.expect(200);
        assert_eq!((&cleared["phone"], &cleared["company"]), (&Value::Null, &Value::Null));
        assert_eq!((&cleared["fullName"], &cleared["language"]), (&json!("Ada Lovelace"), &json!("es")));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_takes_no_wrong_fields_and_no_rights() {
    let server = TestServer::start().await;
    let client = signed_in(&server, &register(&server, server.email("ada")).await);
    let before = client.get("/api/v1/profile").await;
    let long = "x".repeat(2001);
    let body = json!({"fullName": "", "phone": "call me", "mobile": "1", "company": long, "language": "xx", "address": long, "notes": long});
    let wrong = client.put("/api/v1/profile", body).await;
    assert_eq!(wrong.status.as_u16(), 422);
    assert_eq!(wrong.fields(), ["address", "company", "fullName", "language", "mobile", "notes", "phone"]);
    let body = json!({"role": "super_admin", "status": "active", "email": server.email("x"), "emailVerified": true, "id": 1});
    let rights = client.put("/api/v1/profile", body).await;
    assert_eq!(rights.status.as_u16(), 422);
    assert_eq!(rights.fields(), ["email", "emailVerified", "id", "role", "status"]);
    let after = client.get("/api/v1/profile").await;
    assert_eq!((after.header("etag"), &after.json), (before.header("etag"), &before.json));
    assert_eq!(server.client().put("/api/v1/profile", json!({})).await.status.as_u16(), 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_token_is_rotated_and_a_reused_one_ends_the_session() {
    TestServer::shared(async |server| {
        let (anonymous, first) = (server.client(), register(server, server.email("ada")).await);
        let answer = refresh(&anonymous, &first["refresh_token"]).await;
        assert_eq!(answer.header("cache-control"), "no-store");
        let second = answer.expect(200);
        assert_ne!(second["refresh_token"], first["refresh_token"]);
        assert_eq!((&second["user"]["id"], &second["expires_in"]), (&first["user"]["id"], &json!(900)));
        assert_eq!(status(&signed_in(server, &second)).await, 200);

        // The answer was lost, and is asked for once more.
        let again = refresh(&anonymous, &first["refresh_token"]).await.expect(200);
        assert_eq!(again["refresh_token"], second["refresh_token"]);
        let third = refresh(&anonymous, &second["refresh_token"]).await.expect(200);
        assert_eq!(status(&signed_in(server, &third)).await, 200);

        let stolen = refresh(&anonymous, &first["refresh_token"]).await;
        assert_eq!(stolen.header("www-authenticate"), "Bearer");
        assert_eq!(stolen.expect(401)["code"], "invalid_refresh_token");
        for tokens in [&first, &second, &third] {
            ends_within(Duration::from_secs(1), &signed_in(server, tokens)).await;
            assert_eq!(refresh(&anonymous, &tokens["refresh_token"]).await.status.as_u16(), 401);
        }

        // The owner can read in the audit trail what happened.
        let client = signed_in(server, &login(server, server.email("ada"), "test").await);
        let tenant =
            client.get("/api/v1/profile").await.expect(200)["activeTenantId"].as_str().unwrap().to_owned();
        let trail =
            client.get(&format!("/api/v1/tenants/{tenant}/audit?resourceType=session")).await.expect(200);
        let items = trail["items"].as_array().unwrap();
        let mut kinds: Vec<_> = items.iter().map(|entry| entry["type"].as_str().unwrap()).collect();
        kinds.sort_unstable();
        assert_eq!(kinds, ["session.ended", "session.reuse_detected", "session.started", "session.started"]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_refreshes_at_once_sign_nobody_out() {
    TestServer::on_each_database(async |server| {
        let (anonymous, first) = (server.client(), register(server, server.email("ada")).await);
        let answers = at_once(20, |_| {
            let (client, token) = (anonymous.clone(), first["refresh_token"].clone());
            async move { refresh(&client, &token).await }
        })
        .await;
        let child = &answers[0].json["refresh_token"];
        for answer in &answers {
            assert_eq!(
                (answer.status, &answer.json["refresh_token"]),
                (StatusCode::OK, child),
                "{}",
                answer.text
            );
        }
        let next = refresh(&anonymous, child).await.expect(200);
        assert_eq!(status(&signed_in(server, &next)).await, 200);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_good_for_nothing_but_its_purpose() {
    let server = TestServer::start().await;
    let tokens = register(&server, server.email("ada")).await;
    let access = tokens["access_token"].as_str().unwrap();
    let (head, signature) = access.rsplit_once('.').unwrap();
    let claims = head.split_once('.').unwrap().1;
    let flipped = if signature.starts_with('A') { "B" } else { "A" };
    let other = TestServer::start().await;
    let foreign = register(&other, server.email("ada")).await;
    for (what, token) in [
        ("a refresh token", tokens["refresh_token"].as_str().unwrap().to_owned()),
        ("a changed signature", format!("{head}.{flipped}{}", &signature[1..])),
        ("no signature", format!("{head}.")),
        // {"typ":"at+jwt","alg":"none"}
        ("no algorithm", format!("eyJ0eXAiOiJhdCtqd3QiLCJhbGciOiJub25lIn0.{claims}.")),
        ("another server's token", foreign["access_token"].as_str().unwrap().to_owned()),
        ("nothing", String::new()),
    ] {
        let answer =
            server.client().with("authorization", &format!("Bearer {token}")).get("/api/v1/profile").await;
        assert_eq!((answer.status.as_u16(), answer.header("www-authenticate")), (401, "Bearer"), "{what}");
    }
    let basic =
        server.client().with("authorization", &format!("Basic {access}")).get("/api/v1/profile").await;
    assert_eq!(basic.status.as_u16(), 401);
    for token in [&tokens["access_token"], &foreign["refresh_token"], &json!("made-up"), &json!("AAAA")] {
        assert_eq!(refresh(&server.client(), token).await.expect(401)["code"], "invalid_refresh_token");
    }
    assert_eq!(status(&signed_in(&server, &tokens)).await, 200, "and none of it had an effect");
    refresh(&server.client(), &tokens["refresh_token"]).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_live_as_long_as_the_settings_say() {
    let server = TestServer::start_with(Database::Sqlite, |settings| {
        settings.security.access_token_ttl = Duration::from_secs(1);
        settings.security.refresh_token_ttl = Duration::from_secs(2);
    })
    .await;
    let tokens = register(&server, server.email("ada")).await;
    assert_eq!(tokens["expires_in"], 1);
    ends_within(Duration::from_secs(5), &signed_in(&server, &tokens)).await;
    // The session was not used: it has expired, and a login begins another one.
    let over = eventually(Duration::from_secs(5), async || {
        let body = json!({"refresh_token": tokens["refresh_token"]});
        let answer = server.client().post("/api/v1/auth/logout", body).await;
        assert!(answer.status.is_success(), "signing out works at any time: {answer:?}");
        (refresh(&server.client(), &tokens["refresh_token"]).await.status.as_u16() == 401).then_some(())
    })
    .await;
    assert!(over.is_some());
    login(&server, server.email("ada"), "test").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_out_ends_access_at_once() {
    TestServer::shared(async |server| {
        let (anonymous, email) = (server.client(), server.email("ada"));
        register(server, email).await;
        let by_refresh_token = login(server, email, "one").await;
        let by_access_token = login(server, email, "two").await;
        let by_both = login(server, email, "three").await;
        let stays = login(server, email, "four").await;
        for tokens in [&by_refresh_token, &by_access_token, &by_both, &stays] {
            assert_eq!(status(&signed_in(server, tokens)).await, 200);
        }
        let body = |tokens: &Value| json!({"refresh_token": tokens["refresh_token"]});
        anonymous.post("/api/v1/auth/logout", body(&by_refresh_token)).await.expect(204);
        anonymous.post("/api/v1/auth/logout", body(&by_refresh_token)).await.expect(204);
        signed_in(server, &by_access_token).post_empty("/api/v1/auth/logout").await.expect(204);
        signed_in(server, &by_both).post("/customer/auth/logout", body(&by_both)).await.expect(204);
        for tokens in [&by_refresh_token, &by_access_token, &by_both] {
            assert_eq!(status(&signed_in(server, tokens)).await, 401, "the very next request");
            assert_eq!(refresh(&anonymous, &tokens["refresh_token"]).await.status.as_u16(), 401);
        }
        anonymous.post_empty("/api/v1/auth/logout").await.expect(401);
        anonymous.post("/api/v1/auth/logout", json!({"refresh_token": "made-up"})).await.expect(401);
        assert_eq!(status(&signed_in(server, &stays)).await, 200);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_are_listed_and_ended_one_by_one() {
    TestServer::shared(async |server| {
        register(server, server.email("ada")).await;
        let here = signed_in(server, &login(server, server.email("ada"), "Desk/1").await);
        let there = signed_in(server, &login(server, server.email("ada"), "Phone/2").await);
        let list = here.get("/api/v1/auth/sessions").await.expect(200);
        assert_eq!((&list["total"], &list["page"], &list["limit"]), (&json!(3), &json!(1), &json!(20)));
        let items = list["items"].as_array().unwrap();
        let shown: Vec<_> =
            items.iter().map(|s| (s["userAgent"].as_str(), s["current"].as_bool().unwrap())).collect();
        assert_eq!(shown, [(Some("Phone/2"), false), (Some("Desk/1"), true), (None, false)]);
        for session in items {
            assert_eq!(session["address"], "127.0.0.1");
            for time in ["createdAt", "lastUsedAt", "expiresAt"] {
                assert!(session[time].as_str().unwrap().ends_with('Z'), "{session}");
            }
        }
        let second = here.get("/api/v1/auth/sessions?page=2&limit=2").await.expect(200);
        assert_eq!((&second["items"], &second["total"]), (&json!([items[2]]), &json!(3)));
        for query in ["limit=101", "limit=0", "page=0", "page=1000000000000000000", "state=old"] {
            assert_eq!(
                here.get(&format!("/api/v1/auth/sessions?{query}")).await.status.as_u16(),
                422,
                "{query}"
            );
        }

        let eve = signed_in(server, &register(server, server.email("eve")).await);
        let phone = format!("/api/v1/auth/sessions/{}", items[0]["id"].as_str().unwrap());
        assert_eq!(eve.delete(&phone).await.expect(404)["code"], "not_found");
        assert_eq!(server.client().delete(&phone).await.status.as_u16(), 401);
        assert_eq!(status(&there).await, 200, "still there");
        assert_eq!(eve.get("/api/v1/auth/sessions").await.expect(200)["total"], 1);
        assert_eq!(here.delete("/api/v1/auth/sessions/none").await.status.as_u16(), 404);

        here.delete(&phone).await.expect(204);
        assert_eq!(status(&there).await, 401, "the very next request");
        assert_eq!(here.delete(&phone).await.status.as_u16(), 404, "it has ended");
        assert_eq!(here.get("/api/v1/auth/sessions").await.expect(200)["total"], 2);
        let own = format!("/api/v1/auth/sessions/{}", items[1]["id"].as_str().unwrap());
        here.delete(&own).await.expect(204);
        assert_eq!(status(&here).await, 401);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspension_ends_access_within_a_second() {
    TestServer::on_each_database(async |server| {
        let person = Person::new(server, server.email("ada"), |_| {}).await;
        let elsewhere = server.another_instance().await;
        assert_eq!(status(&person.client).await, 200);
        change_user(&elsewhere, &person.claims, |user| user.status = UserStatus::Suspended).await;
        ends_within(Duration::from_secs(1), &person.client).await;
        assert_eq!(refresh(&server.client(), &person.tokens["refresh_token"]).await.status.as_u16(), 401);
        // Only a client with the right password gets the reason.
        for (password, status, code) in
            [(PASSWORD, 403, "account_suspended"), ("Wrong-Horse-7", 401, "invalid_credentials")]
        {
            let body = json!({"email": person.email, "password": password});
            assert_eq!(server.client().post("/api/v1/auth/login", body).await.expect(status)["code"], code);
        }
        change_user(server, &person.claims, |user| user.status = UserStatus::Active).await;
        login(server, server.email("ada"), "test").await;
        elsewhere.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_ended_on_one_instance_ends_on_the_other_within_a_second() {
    TestServer::on_each_database(async |one| {
        let two = one.another_instance().await;
        let tokens = register(one, "ada@example.com").await;
        let elsewhere = signed_in(&two, &tokens);
        assert_eq!(status(&elsewhere).await, 200);
        signed_in(one, &tokens).post_empty("/api/v1/auth/logout").await.expect(204);
        ends_within(Duration::from_secs(1), &elsewhere).await;
        two.stop().await;
    })
    .await;
}
