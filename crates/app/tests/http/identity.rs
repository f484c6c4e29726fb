//! Accounts: registering, verifying an address, setting passwords, and what none of it discloses.

mod strangers;

use std::time::Duration;

use portico_testkit::server::{Answer, Client, PASSWORD, TestServer, at_once, eventually};
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::profile_and_sessions::ends_within;

const NEW_PASSWORD: &str = "Battery-Staple-9";
const PATIENCE: Duration = Duration::from_secs(20);

async fn register(client: &Client, email: &str, password: &str) -> Answer {
    client
        .post(
            "/api/v1/auth/register",
            json!({"email": email, "password": password, "fullName": "Test Person"}),
        )
        .await
}

async fn login(client: &Client, email: &str, password: &str) -> Answer {
    client.post("/api/v1/auth/login", json!({"email": email, "password": password})).await
}

/// A client with the access token of a token answer.
fn signed_in(server: &TestServer, tokens: &Value) -> Client {
    let mut client = server.client();
    client.sign(tokens);
    client
}

/// The messages to an address, newest first.
async fn mails(server: &TestServer, email: &str) -> Vec<Value> {
    let answer =
        server.client().with("accept", "application/json").get(&format!("/dev/mailbox?to={email}")).await;
    answer.expect(200)["items"].as_array().expect("a list").clone()
}

/// Waits until `count` messages to an address have a subject.
async fn mails_about(server: &TestServer, email: &str, subject: &str, count: usize) -> Vec<Value> {
    let found = eventually(PATIENCE, async || {
        let mut mails = mails(server, email).await;
        mails.retain(|mail| mail["subject"] == subject);
        (mails.len() >= count).then_some(mails)
    })
    .await;
    found.unwrap_or_else(|| panic!("no {count} mails to {email} about {subject}"))
}

/// Waits for a link to `page` other than the ones known, and returns its token.
async fn another_token(server: &TestServer, email: &str, page: &str, known: &str) -> String {
    let found =
        eventually(PATIENCE, async || Some(server.mail_token(email, page).await).filter(|t| t != known))
            .await;
    found.expect("another link")
}

async fn reset_token(server: &TestServer, email: &str) -> String {
    server.client().post("/api/v1/auth/forgot-password", json!({"email": email})).await.expect(202);
    server.mail_token(email, "reset-password").await
}

#[tokio::test(flavor = "multi_thread")]
async fn registering_signs_in_and_makes_a_personal_tenant() {
    TestServer::shared(async |server| {
        let email = format!(" {} ", server.email("Ada").replace("example", "Example"));
        let body = json!({
            "email": email, "password": PASSWORD, "full_name": "Ada Lovelace", "phone": "+502 2345 6789",
        });
        let answer = server.client().post("/api/v1/auth/register", body).await;
        assert_eq!(answer.header("location"), "/api/v1/profile");
        assert_eq!(answer.header("cache-control"), "no-store");
        let tokens = answer.expect(201);
        assert_eq!((&tokens["token_type"], &tokens["expires_in"]), (&json!("bearer"), &json!(900)));
        let user = &tokens["user"];
        assert_eq!((&user["email"], &user["emailVerified"]), (&json!(server.email("ada")), &json!(false)));
        assert_eq!((&user["fullName"], &user["phone"]), (&json!("Ada Lovelace"), &json!("+502 2345 6789")));
        assert_eq!(
            (&user["role"], &user["status"], &user["language"]),
            (&json!("customer"), &json!("active"), &json!("en"))
        );

        let profile = signed_in(server, &tokens).get("/api/v1/profile").await.expect(200);
        assert_eq!(profile["id"], user["id"]);
        assert_eq!(profile["package"]["plan"], "free");
        let tenants = profile["tenants"].as_array().unwrap();
        assert_eq!(tenants.len(), 1);
        assert_eq!((&tenants[0]["id"], &tenants[0]["role"]), (&profile["activeTenantId"], &json!("owner")));
        assert_eq!(tenants[0]["name"], "Ada Lovelace");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_wrong_field_is_named() {
    let server = TestServer::start().await;
    let client = server.client();
    let cases: [(&str, Value, &[&str]); 12] = [
        ("register", json!({}), &["email", "fullName", "password"]),
        (
            "register",
            json!({"email": "ada@", "password": "abc", "fullName": " ", "phone": "call me", "language": "xx"}),
            &["email", "fullName", "language", "password", "password", "password", "password", "phone"],
        ),
        (
            "register",
            json!({"email": 5, "password": true, "nickname": "ada"}),
            &["email", "nickname", "password"],
        ),
        ("login", json!({}), &["email", "password"]),
        ("login", json!({"email": "x", "password": "x", "remember": true}), &["remember"]),
        ("refresh", json!({}), &["refresh_token"]),
        ("verify-email", json!({}), &["token"]),
        ("verify-email", json!({"token": "x".repeat(501)}), &["token"]),
        ("resend-verification", json!({}), &["email"]),
        ("forgot-password", json!({"email": "no address"}), &["email"]),
        ("reset-password", json!({}), &["password", "token"]),
        ("register", json!([1, 2]), &[""]),
    ];
    for (route, body, fields) in cases {
        let answer = client.post(&format!("/api/v1/auth/{route}"), body.clone()).await;
        assert_eq!(answer.status.as_u16(), 422, "{route} {body}");
        assert_eq!(answer.fields(), fields, "{route} {body}");
        let errors = answer.json["errors"].as_array().unwrap();
        assert!(
            errors.iter().all(|e| e["code"].is_string() && !e["message"].as_str().unwrap().is_empty()),
            "{answer:?}"
        );
    }
    let weak = register(&client, server.email("ada"), "abc").await;
    let codes: Vec<_> =
        weak.json["errors"].as_array().unwrap().iter().map(|e| e["code"].as_str().unwrap()).collect();
    assert_eq!(codes, ["too_short", "missing_uppercase", "missing_digit", "missing_special"]);
    assert_eq!(
        register(&client, "Ada.1!xyz@example.com", "Ada.1!xyz").await.expect(422)["errors"][0]["code"],
        "same_as_email"
    );
    assert_eq!(
        register(&client, server.email("ada"), PASSWORD).await.status,
        StatusCode::CREATED,
        "nothing was kept of those"
    );
    let (post, body) = (reqwest::Method::POST, |text: &str| Some(text.as_bytes().to_vec()));
    let answer =
        client.send(post.clone(), "/api/v1/auth/login", body("{\"email\""), "application/json").await;
    assert_eq!((answer.status.as_u16(), &answer.json["code"]), (400, &json!("malformed_body")));
    let answer =
        client.send(post, "/api/v1/auth/login", body("email=a"), "application/x-www-form-urlencoded").await;
    assert_eq!(answer.status.as_u16(), 415);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_is_proven_by_the_link_once() {
    TestServer::on_each_database(async |server| {
        let (client, email) = (server.unverified(server.email("ada")).await, server.email("ada"));
        let site = client.post("/api/v1/sites", json!({"name": "Acme"})).await.expect(201);
        let deploy = format!("/api/v1/sites/{}/deploy", site["id"].as_str().unwrap());
        let page = json!({"title": "Home", "status": "published", "isHome": true});
        client.post(&client.t("/pages"), page).await.expect(201);
        assert_eq!(client.post_empty(&deploy).await.expect(403)["code"], "email_unverified");
        let first = server.mail_token(email, "verify-email").await;
        // A signed-in user need not name the address; the new link does not invalidate the old one.
        client.post_empty("/api/v1/auth/resend-verification").await.expect(202);
        let second = another_token(server, email, "verify-email", &first).await;

        let verify = async |token: &str| {
            server.client().post("/api/v1/auth/verify-email", json!({"token": token})).await
        };
        for wrong in ["made-up", &client.tenant, &format!("{second}x")] {
            assert_eq!(verify(wrong).await.expect(422)["code"], "invalid_token", "{wrong}");
        }
        let body = json!({"token": second, "password": NEW_PASSWORD});
        let answer = server.client().post("/api/v1/auth/reset-password", body).await;
        assert_eq!(answer.expect(422)["code"], "invalid_token", "a link for one thing is none for another");
        assert_eq!(client.get("/api/v1/profile").await.expect(200)["emailVerified"], false);

        let anonymous = server.client();
        let answers = at_once(8, |_| {
            let (client, token) = (anonymous.clone(), second.clone());
            async move { client.post("/api/v1/auth/verify-email", json!({"token": token})).await }
        })
        .await;
        let mut statuses: Vec<_> = answers.iter().map(|answer| answer.status.as_u16()).collect();
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 422, 422, 422, 422, 422, 422, 422]);
        let won = answers.iter().find(|answer| answer.status.is_success()).unwrap();
        assert_eq!(won.json, json!({"email": email, "emailVerified": true, "passwordRequired": false}));
        assert_eq!(verify(&first).await.status.as_u16(), 422, "the other links are dead");
        assert_eq!(client.get("/api/v1/profile").await.expect(200)["emailVerified"], true, "at once");
        client.post_empty(&deploy).await.expect(202);

        client.post_empty("/api/v1/auth/resend-verification").await.expect(202);
        mails_about(server, email, "Welcome to Portico", 1).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_have_html_and_text_with_links_to_the_public_url() {
    let server = TestServer::start_with(portico_testkit::server::Database::Sqlite, |settings| {
        settings.server.public_url = Some("https://portal.example/base/".parse().unwrap());
    })
    .await;
    let email = server.email("ada");
    let mut body = json!({"email": email, "password": PASSWORD, "fullName": "Ada <b>Lovelace</b>"});
    let tokens = server.client().post("/api/v1/auth/register", body.clone()).await.expect(201);
    let verify = server.mail_token(email, "verify-email").await;
    server.client().post("/api/v1/auth/verify-email", json!({"token": verify})).await.expect(200);
    let reset = reset_token(&server, email).await;
    let change = json!({"currentPassword": PASSWORD, "newPassword": NEW_PASSWORD});
    signed_in(&server, &tokens).post("/api/v1/auth/change-password", change).await.expect(204);
    for (subject, link) in [
        (
            "Confirm your email address",
            Some(format!("https://portal.example/base/verify-email?token={verify}")),
        ),
        ("Set a new password", Some(format!("https://portal.example/base/reset-password?token={reset}"))),
        // The server has no start page of its own for people.
        ("Welcome to Portico", None),
        ("Your password was changed", None),
    ] {
        let mail = mails_about(&server, email, subject, 1).await.remove(0);
        let (html, text) = (mail["html"].as_str().unwrap(), mail["text"].as_str().unwrap());
        // Before the address is verified, mails contain no name.
        let name = if subject.starts_with("Confirm") { Value::Null } else { json!("Ada <b>Lovelace</b>") };
        assert_eq!((&mail["to"], &mail["toName"]), (&json!(email), &name));
        assert!(html.contains("<html lang=\"en\"") && !html.contains("<b>Lovelace"), "{subject}: {html}");
        assert!(
            text.contains("Ada <b>Lovelace</b>") != name.is_null() && !text.contains("</p>"),
            "{subject}: {text}"
        );
        if let Some(link) = link {
            assert!(text.contains(&link), "{subject}: {text}");
            let escaped = link.replace('/', "&#x2f;").replace('=', "&#x3d;");
            assert!(html.contains(&link) || html.contains(&escaped), "{subject}: {html}");
        }
    }
    body = json!({"email": server.email("ana"), "password": PASSWORD, "fullName": "Ana", "language": "es"});
    server.client().post("/api/v1/auth/register", body).await.expect(201);
    let mail =
        mails_about(&server, server.email("ana"), "Confirma tu dirección de correo", 1).await.remove(0);
    assert!(mail["html"].as_str().unwrap().contains("<html lang=\"es\""));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forgotten_password_is_set_by_a_link_once_and_ends_every_session() {
    TestServer::on_each_database(async |server| {
        let (email, anonymous) = (server.email("ada"), server.client());
        let first = register(&anonymous, email, PASSWORD).await.expect(201);
        let second = login(&anonymous, email, PASSWORD).await.expect(200);
        let token = reset_token(server, email).await;

        let reset = async |token: &str, password: &str| {
            anonymous.post("/api/v1/auth/reset-password", json!({"token": token, "password": password})).await
        };
        assert_eq!(reset("made-up", NEW_PASSWORD).await.expect(422)["code"], "invalid_token");
        assert_eq!(reset(&token, "weak").await.status.as_u16(), 422);
        let verify = anonymous.post("/api/v1/auth/verify-email", json!({"token": token})).await;
        assert_eq!(verify.expect(422)["code"], "invalid_token", "a link for one thing is none for another");
        assert_eq!(
            login(&anonymous, email, PASSWORD).await.status,
            StatusCode::OK,
            "nothing has changed so far"
        );

        // Eight at once, of which one sets its password.
        let answers = at_once(8, |number| {
            let (client, token) = (anonymous.clone(), token.clone());
            async move {
                let body = json!({"token": token, "password": format!("{NEW_PASSWORD}{number}")});
                client.post("/api/v1/auth/reset-password", body).await.status.as_u16()
            }
        })
        .await;
        let won: Vec<_> = (0..8).filter(|number| answers[*number] == 204).collect();
        assert_eq!(won.len(), 1, "{answers:?}");
        assert_eq!(answers.iter().filter(|status| **status == 422).count(), 7, "{answers:?}");
        let password = format!("{NEW_PASSWORD}{}", won[0]);

        for tokens in [&first, &second] {
            ends_within(Duration::from_secs(1), &signed_in(server, tokens)).await;
            let body = json!({"refresh_token": tokens["refresh_token"]});
            assert_eq!(anonymous.post("/api/v1/auth/refresh", body).await.status.as_u16(), 401);
        }
        assert_eq!(reset(&token, NEW_PASSWORD).await.expect(422)["code"], "invalid_token");
        assert_eq!(login(&anonymous, email, PASSWORD).await.expect(401)["code"], "invalid_credentials");
        let user = login(&anonymous, email, &password).await.expect(200)["user"].clone();
        assert_eq!(
            (&user["id"], &user["emailVerified"]),
            (&first["user"]["id"], &json!(true)),
            "the link proves the address"
        );
        mails_about(server, email, "Your password was changed", 1).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn changing_the_password_asks_for_the_current_one_and_ends_the_other_sessions() {
    TestServer::shared(async |server| {
        let (email, anonymous) = (server.email("ada"), server.client());
        let here = server.customer(email).await;
        let there = login(&anonymous, email, PASSWORD).await.expect(200);
        let link = reset_token(server, email).await;
        let change = async |body: Value| here.post("/api/v1/auth/change-password", body).await;

        let answer = change(json!({"currentPassword": "Wrong-Horse-7", "newPassword": NEW_PASSWORD})).await;
        assert_eq!((answer.status.as_u16(), answer.fields()), (422, vec!["currentPassword".to_owned()]));
        assert_eq!(answer.json["errors"][0]["code"], "wrong_password");
        let answer = change(json!({"currentPassword": PASSWORD, "newPassword": PASSWORD})).await;
        assert_eq!((answer.status.as_u16(), answer.fields()), (422, vec!["newPassword".to_owned()]));
        assert_eq!(change(json!({})).await.fields(), ["currentPassword", "newPassword"]);
        let unsigned = anonymous.post("/api/v1/auth/change-password", json!({})).await;
        assert_eq!(unsigned.status.as_u16(), 401);
        assert_eq!(signed_in(server, &there).get("/api/v1/profile").await.status, StatusCode::OK);

        change(json!({"current_password": PASSWORD, "new_password": NEW_PASSWORD})).await.expect(204);
        ends_within(Duration::from_secs(1), &signed_in(server, &there)).await;
        let body = json!({"refresh_token": there["refresh_token"]});
        assert_eq!(anonymous.post("/api/v1/auth/refresh", body).await.status.as_u16(), 401);
        assert_eq!(here.get("/api/v1/profile").await.status, StatusCode::OK, "the own session stays");
        assert_eq!(login(&anonymous, email, PASSWORD).await.status.as_u16(), 401);
        assert_eq!(login(&anonymous, email, NEW_PASSWORD).await.status.as_u16(), 200);
        let body = json!({"token": link, "password": "Another-Horse-8"});
        assert_eq!(
            anonymous.post("/api/v1/auth/reset-password", body).await.status.as_u16(),
            422,
            "older links are dead"
        );
        mails_about(server, email, "Your password was changed", 1).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_in_is_noted_and_ignores_the_case_of_the_address() {
    TestServer::shared(async |server| {
        let client = server.customer(server.email("ada")).await;
        let before = client.get("/api/v1/profile").await.expect(200);
        let answer = login(&server.client(), &server.email("ADA").replace(".com", ".COM"), PASSWORD).await;
        assert_eq!(answer.header("cache-control"), "no-store");
        let tokens = answer.expect(200);
        let profile = signed_in(server, &tokens).get("/api/v1/profile").await.expect(200);
        assert_eq!(profile["lastLoginAt"], tokens["user"]["lastLoginAt"]);
        assert!(
            profile["lastLoginAt"].as_str().unwrap() > before["lastLoginAt"].as_str().unwrap_or_default()
        );
        assert_eq!(profile["activeTenantId"], before["activeTenantId"]);
        assert_eq!(profile["updatedAt"], before["updatedAt"], "signing in is no change of the account");
    })
    .await;
}
