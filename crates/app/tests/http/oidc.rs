//! Sign-in with an external provider: a real one, and a fake one that answers what it should not.

mod accounts;
mod links;

use portico_testkit::server::{Answer, Client, Database, TestServer, at_once};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::{
    factors::App,
    fixture::{Person, text},
    provider::{FakeProvider, RealProvider, Return, configure},
};

const CALLBACK: &str = "/api/v1/auth/callback";
const IDENTITIES: &str = "/api/v1/auth/identities";

/// Runs a test on a server with a real provider `mock` and one named `fake`.
async fn with_providers(database: Database, test: impl AsyncFn(&TestServer)) {
    let fake = FakeProvider::start().await;
    let server = TestServer::start_with(database, |settings| {
        configure(settings, "mock", &RealProvider::get().issuer);
        configure(settings, "fake", &fake.issuer);
    })
    .await;
    test(&server).await;
    server.stop().await;
}

async fn alone(test: impl AsyncFn(&TestServer)) {
    with_providers(Database::Postgres, test).await;
}

async fn on_each_database(test: impl AsyncFn(&TestServer)) {
    for database in [Database::Sqlite, Database::Postgres] {
        with_providers(database, &test).await;
    }
}

async fn begin(client: &Client, provider: &str) -> Value {
    client.get(&format!("/api/v1/auth/oidc/{provider}")).await.expect(200)
}

/// From the button to the page that the provider sends the browser to.
async fn approve(client: &Client, claims: Value) -> Return {
    let begun = begin(client, "fake").await;
    let back = FakeProvider::approve(&text(&begun, "authorizationUrl"), &claims);
    assert_eq!(back.state, begun["state"]);
    back
}

async fn sign_in(client: &Client, claims: Value) -> Answer {
    let back = approve(client, claims).await;
    client.post(CALLBACK, back.body()).await
}

fn verified(subject: &str, email: &str) -> Value {
    json!({"sub": subject, "email": email, "email_verified": true, "name": "Ada Lovelace"})
}

/// A client with the tokens of an answer.
fn with_tokens(server: &TestServer, tokens: &Value) -> Client {
    let mut client = server.client();
    client.sign(tokens);
    client
}

#[track_caller]
fn refused(answer: Answer, status: u16, code: &str) {
    assert_eq!(
        (answer.status.as_u16(), answer.json["code"].as_str()),
        (status, Some(code)),
        "{}",
        answer.text
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_provider_signs_somebody_up_and_in_again() {
    alone(async |server| {
        let client = server.client();
        let providers = client.get("/api/v1/auth/oidc").await.expect(200);
        assert_eq!(providers["total"], 2);
        assert_eq!(providers["items"][1], json!({"name": "mock", "displayName": "The mock provider"}));

        let real = RealProvider::get();
        let claims = json!({"email": server.email("Ada").replace("example", "Example"), "email_verified": true, "name": "Ada Lovelace", "locale": "es"});
        let come = async || {
            let begun = begin(&client, "mock").await;
            real.approve(&text(&begun, "authorizationUrl"), "ada-at-mock", claims.clone()).await
        };
        let mut body = come().await.body();
        body["provider"] = json!("mock");
        let tokens = client.post(CALLBACK, body).await;
        assert_eq!(tokens.header("cache-control"), "no-store");
        let tokens = tokens.expect(200);
        assert_eq!(tokens["token_type"], "bearer");
        let user = &tokens["user"];
        assert_eq!((user["email"].as_str(), &user["emailVerified"]), (Some(server.email("ada")), &json!(true)));
        assert_eq!((user["fullName"].as_str(), user["language"].as_str()), (Some("Ada Lovelace"), Some("es")));

        let ada = with_tokens(server, &tokens);
        let profile = ada.get("/api/v1/profile").await.expect(200);
        assert_eq!(profile["tenants"][0]["role"], "owner");
        assert_eq!(profile["package"]["plan"], "free");
        let links = ada.get(IDENTITIES).await.expect(200);
        assert_eq!((&links["total"], &links["items"][0]["provider"]), (&json!(1), &json!("mock")));
        assert!(links["items"][0].get("subject").is_none(), "{links}");

        // By the path that SiteNinja documents, without the name of the provider.
        let again = client.post("/api/auth/callback", come().await.body()).await.expect(200);
        assert_eq!(again["user"]["id"], user["id"]);
        let refresh = json!({"refresh_token": again["refresh_token"]});
        client.post("/api/v1/auth/refresh", refresh).await.expect(200);

        let tenant = text(&profile, "activeTenantId");
        let audit = ada.get(&format!("/api/v1/tenants/{tenant}/audit?limit=100")).await.expect(200);
        let mut kinds: Vec<_> =
            audit["items"].as_array().unwrap().iter().map(|entry| text(entry, "type")).collect();
        kinds.sort();
        for kind in ["user.registered", "user.identity_linked", "user.email_verified", "session.started"] {
            assert!(kinds.iter().any(|found| found == kind), "no {kind} in {kinds:?}");
        }
        assert_eq!(kinds.iter().filter(|kind| *kind == "user.identity_linked").count(), 1);
        let sent = audit.to_string();
        assert!(!sent.contains(tokens["access_token"].as_str().unwrap()) && !sent.contains("ada-at-mock"));
    })
    .await;
}

/// The real provider does not support PKCE, but the nonce that it passes on shows that the code is of another attempt.
#[tokio::test(flavor = "multi_thread")]
async fn a_code_of_another_attempt_is_refused() {
    alone(async |server| {
        let client = server.client();
        let claims = json!({"email": server.email("mallory"), "email_verified": true});
        let mine = begin(&client, "mock").await;
        let theirs = begin(&client, "mock").await;
        let back = RealProvider::get().approve(&text(&theirs, "authorizationUrl"), "mallory", claims).await;
        let swapped = json!({"code": back.code, "state": mine["state"]});
        refused(client.post(CALLBACK, swapped).await, 422, "sign_in_rejected");

        let mine = approve(&client, verified("1", server.email("ada"))).await;
        let theirs = approve(&client, verified("2", server.email("mallory"))).await;
        let swapped = json!({"code": theirs.code, "state": mine.state});
        refused(client.post(CALLBACK, swapped).await, 422, "sign_in_rejected");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_is_good_once_and_for_its_provider() {
    alone(async |server| {
        let client = server.client();
        let back = approve(&client, verified("1", server.email("ada"))).await;
        let mut elsewhere = back.body();
        elsewhere["provider"] = json!("mock");
        refused(client.post(CALLBACK, elsewhere).await, 422, "invalid_state");
        refused(
            client.post(CALLBACK, json!({"code": back.code, "state": "made up"})).await,
            422,
            "invalid_state",
        );
        client.post(CALLBACK, back.body()).await.expect(200);
        refused(client.post(CALLBACK, back.body()).await, 422, "invalid_state");
        let empty = client.post(CALLBACK, json!({})).await;
        assert_eq!(
            (empty.status.as_u16(), empty.fields()),
            (422, vec!["code".to_owned(), "state".to_owned()])
        );
        refused(client.get("/api/v1/auth/oidc/nobody").await, 404, "not_found");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_not_for_this_sign_in_is_refused_and_leaves_nothing_behind() {
    alone(async |server| {
        let client = server.client();
        for (name, value) in [
            ("aud", json!("another client")),
            ("iss", json!("https://evil.example")),
            ("nonce", json!("another nonce")),
            ("nonce", Value::Null),
            ("exp", json!(1_700_000_000)),
            ("azp", json!("another client")),
        ] {
            let mut claims = verified("1", server.email("ada"));
            claims[name] = value;
            let back = approve(&client, claims).await;
            refused(client.post(CALLBACK, back.body()).await, 422, "sign_in_rejected");
            refused(client.post(CALLBACK, back.body()).await, 422, "invalid_state");
        }
        let email = portico_identity::user::EmailAddress::parse(server.email("ada")).unwrap();
        assert!(server.app.core.reader().users().by_email(&email).await.unwrap().is_empty());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_callbacks_at_once_one_signs_in() {
    on_each_database(async |server| {
        let client = server.client();
        let back = approve(&client, verified("1", server.email("ada"))).await;
        let answers = at_once(6, |_| {
            let (client, body) = (client.clone(), back.body());
            async move { client.post(CALLBACK, body).await }
        })
        .await;
        let mut codes: Vec<_> = answers.iter().map(|answer| answer.status.as_u16()).collect();
        codes.sort_unstable();
        assert_eq!(codes, [200, 422, 422, 422, 422, 422]);

        // Several attempts of a new user: one account.
        let mut bodies = Vec::new();
        for _ in 0..4 {
            bodies.push(approve(&client, verified("2", server.email("grace"))).await.body());
        }
        let answers = at_once(bodies.len(), |number| {
            let (client, body) = (client.clone(), bodies[number].clone());
            async move { client.post(CALLBACK, body).await }
        })
        .await;
        let ids: Vec<_> =
            answers.into_iter().map(|answer| answer.expect(200)["user"]["id"].clone()).collect();
        assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_is_down_can_be_tried_again() {
    for database in [Database::Sqlite, Database::Postgres] {
        let mut fake = FakeProvider::start().await;
        let server = TestServer::start_with(database, |settings| {
            configure(settings, "fake", &fake.issuer);
            configure(settings, "gone", "http://127.0.0.1:9");
        })
        .await;
        let client = server.client();
        let gone = client.get("/api/v1/auth/oidc/gone").await;
        assert!(!gone.header("retry-after").is_empty());
        refused(gone, 503, "provider_unavailable");

        let back = approve(&client, verified("1", server.email("ada"))).await;
        fake.stop().await;
        let down = client.post(CALLBACK, back.body()).await;
        assert!(!down.header("retry-after").is_empty());
        refused(down, 503, "provider_unavailable");
        fake.resume().await;
        client.post(CALLBACK, back.body()).await.expect(200);
        refused(client.post(CALLBACK, back.body()).await, 422, "invalid_state");
        server.stop().await;
    }
}

/// The operator's own network is not called unless the operator says so, whatever an issuer's name leads to.
#[tokio::test(flavor = "multi_thread")]
async fn a_provider_inside_the_network_is_not_called() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let hosts = ["127.0.0.1", "localhost", "2130706433", "[::ffff:127.0.0.1]"];
    let server = TestServer::start_with(Database::Sqlite, |settings| {
        for (number, host) in hosts.iter().enumerate() {
            configure(settings, &format!("p{number}"), &format!("http://{host}:{port}"));
        }
        settings.outbound.allow_networks.clear();
    })
    .await;
    for number in 0..hosts.len() {
        let answer = server.client().get(&format!("/api/v1/auth/oidc/p{number}")).await;
        refused(answer, 503, "provider_unavailable");
    }
    let connected = tokio::time::timeout(std::time::Duration::from_millis(200), listener.accept()).await;
    assert!(connected.is_err(), "somebody called");
    server.stop().await;
}

/// Login CSRF: an attacker sends another person's browser to the end of a sign-in that the attacker began.
#[tokio::test(flavor = "multi_thread")]
async fn a_browser_that_did_not_begin_cannot_end_a_sign_in() {
    alone(async |server| {
        let begun = server.client().get("/api/v1/auth/oidc/fake").await;
        let cookie = begun.header("set-cookie").to_owned();
        for word in ["portico-sign-in=", "HttpOnly", "SameSite=Lax", "Path=/", "Max-Age=600"] {
            assert!(cookie.contains(word), "no {word} in {cookie}");
        }
        let url = text(&begun.json, "authorizationUrl");
        let back = FakeProvider::approve(&url, &verified("1", server.email("ada")));
        let cookie = cookie.split(';').next().unwrap();
        let page = server.client().with("sec-fetch-site", "same-origin");
        let older = server.client().with("origin", &server.app.api.public_url);
        let wrong = format!("portico-sign-in={}", "x".repeat(43));
        for client in [
            page.clone(),
            page.with("sec-fetch-site", "same-site"),
            older.clone(),
            page.with("cookie", &wrong),
            older.with("cookie", &wrong),
            server.client().with("cookie", &wrong),
        ] {
            refused(client.post(CALLBACK, back.body()).await, 422, "invalid_state");
        }
        let mine = page.with("cookie", cookie);
        // A second window does not make the first one useless.
        let second = mine.get("/api/v1/auth/oidc/fake").await;
        assert!(second.header("set-cookie").starts_with(cookie), "{cookie}");
        mine.post(CALLBACK, back.body()).await.expect(200);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_factor_is_asked_for_here_too() {
    alone(async |server| {
        let ada = Person::new(server, server.email("ada"), |_| {}).await;
        let app = App::of(&ada.client.post_empty("/api/v1/auth/totp").await.expect(200));
        let code = json!({"code": app.code(server, 0)});
        ada.client.post("/api/v1/auth/totp/confirm", code).await.expect(200);
        let answer = sign_in(&server.client(), verified("1", server.email("ada"))).await;
        let token = answer.json["mfaToken"].clone();
        refused(answer, 403, "second_factor_required");
        let code = json!({"mfaToken": token, "code": app.code(server, 1)});
        let tokens = server.client().post("/api/v1/auth/mfa/verify", code).await.expect(200);
        assert_eq!(tokens["user"]["email"], server.email("ada"));
    })
    .await;
}
