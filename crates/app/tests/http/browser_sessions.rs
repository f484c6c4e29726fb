//! Sessions of browsers: the refresh token in a cookie, given to and taken from pages of the server's own origin only.

use portico_testkit::server::{Answer, Client, Database, PASSWORD, TestServer, at_once};
use reqwest::Method;
use serde_json::{Value, json};

use crate::provider::{FakeProvider, configure};

const LOGIN: &str = "/api/v1/auth/login";
const REFRESH: &str = "/api/v1/auth/refresh";
const LOGOUT: &str = "/api/v1/auth/logout";

/// A browser on a page of the server's own origin.
fn browser(server: &TestServer) -> Client {
    let origin = server.app.identity.own_origins[0].clone();
    server.client().with("origin", &origin).with("sec-fetch-site", "same-origin")
}

/// The header by which an answer sets the refresh token; empty where it does not.
fn set_cookie(answer: &Answer) -> &str {
    let mut all = answer.headers.get_all("set-cookie").iter().filter_map(|value| value.to_str().ok());
    all.rfind(|set| set.starts_with("portico-refresh=")).unwrap_or_default()
}

/// `name=value` of it, as the browser sends it back.
fn cookie(answer: &Answer) -> String {
    set_cookie(answer).split(';').next().unwrap_or_default().to_owned()
}

async fn sign_in(server: &TestServer, name: &str) -> (Answer, Client) {
    let email = server.email(name);
    server.customer(email).await;
    let browser = browser(server);
    let answer =
        browser.post(LOGIN, json!({"email": email, "password": PASSWORD, "session": "cookie"})).await;
    let with_cookie = browser.with("cookie", &cookie(&answer));
    (answer, with_cookie)
}

fn code(answer: &Answer) -> (u16, &str) {
    (answer.status.as_u16(), answer.json["code"].as_str().unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_token_is_in_the_cookie_alone_and_lives_with_the_session() {
    TestServer::shared(async |server| {
        let (signed_in, browser) = sign_in(server, "ada").await;
        let set = set_cookie(&signed_in).to_owned();
        for part in ["portico-refresh=", "HttpOnly", "SameSite=Strict", "Path=/api/v1/auth", "Max-Age="] {
            assert!(set.contains(part), "no {part} in {set}");
        }
        assert!(!set.contains("Domain"), "{set}");
        let tokens = signed_in.expect(200);
        assert_eq!(tokens.get("refresh_token"), None);

        // With an empty body, and with an object that has no token.
        let first = browser.post_empty(REFRESH).await;
        let rotated = browser.with("cookie", &cookie(&first));
        assert_eq!(first.expect(200).get("refresh_token"), None);
        let second = rotated.post(REFRESH, json!({})).await;
        let newest = rotated.with("cookie", &cookie(&second));
        let access = second.expect(200);
        let mut client = server.client();
        client.sign(&access);
        client.get("/api/v1/profile").await.expect(200);

        let left = newest.post_empty(LOGOUT).await;
        assert!(set_cookie(&left).contains("Max-Age=0"), "{}", set_cookie(&left));
        left.expect(204);
        client.get("/api/v1/profile").await.expect(401);
        let over = newest.post_empty(REFRESH).await;
        assert!(set_cookie(&over).contains("Max-Age=0"), "the browser drops it");
        assert_eq!(code(&over), (401, "invalid_refresh_token"));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn other_origins_get_no_cookie_and_cannot_use_one() {
    TestServer::shared(async |server| {
        let (signed_in, good) = sign_in(server, "ada").await;
        let held = cookie(&signed_in);
        signed_in.expect(200);
        let own = server.app.identity.own_origins[0].clone();
        let body = json!({"email": server.email("ada"), "password": PASSWORD, "session": "cookie"});
        for (origin, site) in [
            (None, None),
            (Some(own.as_str()), None),
            (None, Some("same-origin")),
            (Some(own.as_str()), Some("same-site")),
            (Some(own.as_str()), Some("cross-site")),
            (Some(own.as_str()), Some("none")),
            (Some("https://shop.customers.example"), Some("same-origin")),
            (Some("null"), Some("same-origin")),
            (Some(&*format!("{own}.evil.example")), Some("same-origin")),
            (Some(&*own.to_uppercase()), Some("same-origin")),
        ] {
            let mut client = server.client().with("cookie", &held);
            for (name, value) in [("origin", origin), ("sec-fetch-site", site)] {
                if let Some(value) = value {
                    client = client.with(name, value);
                }
            }
            let refused = (403, "origin_not_allowed");
            assert_eq!(code(&client.post_empty(REFRESH).await), refused, "{origin:?} {site:?}");
            assert_eq!(code(&client.post(LOGIN, body.clone()).await), refused, "{origin:?} {site:?}");
            assert_eq!(client.post_empty(LOGOUT).await.status, 401, "{origin:?} {site:?}");
        }
        // Bodies that forms can send.
        for kind in ["text/plain", "application/x-www-form-urlencoded", ""] {
            let form = good.send(Method::POST, REFRESH, Some(b"{}".to_vec()), kind).await;
            assert_eq!(form.status, 415, "{kind}: {}", form.text);
        }
        // Of two cookies of the name, another host of the domain may have set one.
        let two = good.with("cookie", &format!("{held}; {held}"));
        assert_eq!(two.post_empty(REFRESH).await.status, 422);
        // The session is untouched.
        good.post_empty(REFRESH).await.expect(200);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_in_the_body_counts_and_the_cookie_does_not() {
    TestServer::shared(async |server| {
        let (signed_in, browser) = sign_in(server, "ada").await;
        signed_in.expect(200);
        let other =
            server.client().post(LOGIN, json!({"email": server.email("ada"), "password": PASSWORD})).await;
        assert_eq!(set_cookie(&other), "");
        let tokens = other.expect(200);
        // From an origin that may not use the cookie.
        let foreign = browser.with("sec-fetch-site", "cross-site");
        let answer = foreign.post(REFRESH, json!({"refresh_token": tokens["refresh_token"]})).await;
        assert_eq!(set_cookie(&answer), "");
        assert!(answer.expect(200)["refresh_token"].is_string());
        browser.post_empty(REFRESH).await.expect(200);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tabs_that_refresh_at_once_keep_the_session() {
    TestServer::shared(async |server| {
        let (signed_in, browser) = sign_in(server, "ada").await;
        signed_in.expect(200);
        let answers = at_once(16, |_| {
            let browser = browser.clone();
            async move {
                let answer = browser.post_empty(REFRESH).await;
                (answer.status.as_u16(), cookie(&answer))
            }
        })
        .await;
        assert!(answers.iter().all(|answer| answer.0 == 200 && answer.1 == answers[0].1), "{answers:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn registration_takes_the_word_and_refuses_others() {
    TestServer::shared(async |server| {
        let browser = browser(server);
        let body = |session: &str| {
            json!({"email": server.email("new"), "password": PASSWORD, "fullName": "New", "session": session})
        };
        let wrong = browser.post("/api/v1/auth/register", body("jar")).await;
        assert_eq!(wrong.fields(), ["session"]);
        assert_eq!(wrong.json["errors"][0]["params"]["allowed"], json!(["token", "cookie"]), "{}", wrong.text);
        let made = browser.post("/api/v1/auth/register", body("cookie")).await;
        assert!(cookie(&made).starts_with("portico-refresh="));
        assert_eq!(made.expect(201).get("refresh_token"), None);
    })
    .await;
}

/// The page that providers send the browser to exists on a stock server, and what it calls works.
#[tokio::test(flavor = "multi_thread")]
async fn the_page_of_the_callback_completes_a_sign_in() {
    let fake = FakeProvider::start().await;
    let server =
        TestServer::start_with(Database::Sqlite, |settings| configure(settings, "fake", &fake.issuer)).await;
    let browser = browser(&server);
    let begun = browser.get("/api/v1/auth/oidc/fake").await;
    let attempt = begun.header("set-cookie").split(';').next().unwrap_or_default().to_owned();
    let browser = browser.with("cookie", &attempt);
    let begun: Value = begun.expect(200);
    let claims = json!({"sub": "1", "email": server.email("ada"), "email_verified": true, "name": "Ada"});
    let back = FakeProvider::approve(begun["authorizationUrl"].as_str().unwrap(), &claims);
    let page = browser.get(&format!("/auth/callback?code={}&state={}", back.code, back.state)).await;
    assert_eq!((page.status.as_u16(), page.header("referrer-policy")), (200, "no-referrer"));
    assert!(page.text.contains("/assets/auth-callback.js"));
    let script = browser.get("/assets/auth-callback.js").await;
    assert!(
        script.text.contains("/callback") && script.header("content-type").starts_with("text/javascript")
    );
    let mut body = back.body();
    body["session"] = json!("cookie");
    let signed_in = browser.post("/api/v1/auth/callback", body).await;
    let held = cookie(&signed_in);
    assert_eq!(signed_in.expect(200)["user"]["fullName"], "Ada");
    browser.with("cookie", &held).post_empty(REFRESH).await.expect(200);
    server.stop().await;
}
