//! Authenticator apps, recovery codes, and proving again who one is.

use std::collections::HashSet;

use portico_kernel::PlatformRole;
use portico_testkit::server::{Answer, Client, PASSWORD, TestServer, at_once};
use serde_json::{Value, json};
use totp_rs::{Builder, Secret};

use crate::fixture::{Person, text};

/// An authenticator app that holds the secret of an answer.
pub struct App(totp_rs::Totp);

impl App {
    /// The app that scanned the secret.
    pub fn of(enrolment: &Value) -> Self {
        let secret = Secret::try_from_base32(text(enrolment, "secret")).unwrap();
        Self(Builder::new().with_secret(secret).build().unwrap())
    }

    /// The code `offset` steps from now.
    pub fn code(&self, server: &TestServer, offset: i64) -> String {
        self.0.generate((server.app.core.env.now().unix_seconds() + 30 * offset) as u64).to_string()
    }
}

/// Enrols an app with the code of the present step. Returns it and the recovery codes.
async fn enrol(server: &TestServer, client: &Client) -> (App, Vec<String>) {
    let app = App::of(&client.post_empty("/api/v1/auth/totp").await.expect(200));
    let code = app.code(server, 0);
    let confirmed = client.post("/api/v1/auth/totp/confirm", json!({"code": code})).await.expect(200);
    (app, codes(&confirmed))
}

fn codes(answer: &Value) -> Vec<String> {
    let codes = answer["recoveryCodes"].as_array().unwrap();
    codes.iter().map(|code| code.as_str().unwrap().to_owned()).collect()
}

async fn login(server: &TestServer, email: &str, password: &str) -> Answer {
    server.client().post("/api/v1/auth/login", json!({"email": email, "password": password})).await
}

/// The token of a sign-in whose password was right.
pub async fn mfa_token(server: &TestServer, email: &str) -> String {
    let answer = login(server, email, PASSWORD).await.expect(403);
    assert_eq!(answer["code"], "second_factor_required");
    text(&answer, "mfaToken")
}

async fn verify(server: &TestServer, token: &str, code: &str) -> Answer {
    server.client().post("/api/v1/auth/mfa/verify", json!({"mfaToken": token, "code": code})).await
}

/// Makes a session one that was proven an hour ago.
pub async fn make_stale(server: &TestServer, person: &Person) {
    let then = server.app.core.env.now() - time::Duration::hours(1);
    let mut work = server.app.core.begin().await.unwrap();
    assert!(work.sessions().authenticate(person.claims.user, person.claims.session, then).await.unwrap());
    work.commit().await.unwrap();
}

/// The kinds of the entries in the person's audit trail.
async fn trail(person: &Person) -> Vec<String> {
    let entries = person.client.get(&person.client.t("/audit?limit=100")).await.expect(200);
    entries["items"].as_array().unwrap().iter().map(|entry| text(entry, "type")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_is_asked_for_its_code_at_the_next_sign_in() {
    TestServer::shared(async |server| {
        let ada = Person::new(server, server.email("ada"), |_| {}).await;
        let confirm =
            async |code: &str| ada.client.post("/api/v1/auth/totp/confirm", json!({"code": code})).await;
        assert_eq!(confirm("123456").await.expect(409)["code"], "totp_not_pending");
        let first = App::of(&ada.client.post_empty("/api/v1/auth/totp").await.expect(200));
        let begun = ada.client.post_empty("/api/v1/auth/totp").await.expect(200);
        assert!(
            text(&begun, "otpauthUri")
                .starts_with(&format!("otpauth://totp/Portico:ada%40{}?", server.domain())),
            "{begun}"
        );
        let app = App::of(&begun);
        login(server, server.email("ada"), PASSWORD).await.expect(200);
        for wrong in [first.code(server, 0), "000000".to_owned(), "x".to_owned()] {
            let answer = confirm(&wrong).await;
            assert_eq!((answer.status.as_u16(), answer.fields()), (422, vec!["code".to_owned()]));
        }
        let code = app.code(server, 0);
        let recovery = codes(&confirm(&code).await.expect(200));
        assert_eq!(recovery.iter().collect::<HashSet<_>>().len(), 10);
        assert_eq!(confirm(&code).await.expect(409)["code"], "totp_not_pending");
        let again = ada.client.post_empty("/api/v1/auth/totp").await.expect(409);
        assert_eq!(again["code"], "totp_enabled");

        let answer = login(server, server.email("ada"), PASSWORD).await;
        assert_eq!(answer.header("content-type"), "application/problem+json");
        let needed = answer.expect(403);
        assert_eq!(needed["methods"], json!(["totp", "recovery_code"]));
        let token = text(&needed, "mfaToken");
        let as_access = server.client().with("authorization", &format!("Bearer {token}"));
        as_access.get("/api/v1/profile").await.expect(401);
        let refresh = json!({"refresh_token": token});
        server.client().post("/api/v1/auth/refresh", refresh).await.expect(401);

        assert_eq!(
            verify(server, &token, &code).await.expect(401)["code"],
            "invalid_code",
            "used when enrolling"
        );
        let next = app.code(server, 1);
        let tokens = verify(server, &token, &next).await.expect(200);
        let mut client = server.client();
        client.sign(&tokens);
        assert_eq!(client.get("/api/v1/profile").await.expect(200)["email"], server.email("ada"));
        let over = verify(server, &token, &recovery[0]).await.expect(401);
        assert_eq!(over["code"], "invalid_mfa_token");
        let token = mfa_token(server, server.email("ada")).await;
        assert_eq!(verify(server, &token, &next).await.expect(401)["code"], "invalid_code");

        let view = client.get("/api/v1/auth/second-factors").await.expect(200);
        assert!(view["totp"]["confirmedAt"].is_string(), "{view}");
        assert_eq!((&view["passkeys"], &view["recoveryCodesLeft"]), (&json!([]), &json!(10)));
        let kinds = trail(&ada).await;
        for kind in ["user.totp_begun", "user.totp_added", "session.second_factor_failed"] {
            assert!(kinds.iter().any(|other| other == kind), "{kind} in {kinds:?}");
        }
        let all = ada.client.get(&ada.client.t("/audit?limit=100")).await.text;
        for secret in [&text(&begun, "secret"), &token, &recovery[0], &next] {
            assert!(!all.contains(secret.as_str()), "{secret} is in the trail");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_uses_of_one_code_at_once_make_one_session() {
    TestServer::on_each_database(async |server| {
        let ada = Person::new(server, server.email("ada"), |_| {}).await;
        let (app, recovery) = enrol(server, &ada.client).await;
        let count = async |tokens: Vec<String>, codes: Vec<String>| {
            let client = server.client();
            let answers = at_once(20, |number| {
                let body =
                    json!({"mfaToken": tokens[number % tokens.len()], "code": codes[number % codes.len()]});
                let client = client.clone();
                async move { client.post("/api/v1/auth/mfa/verify", body).await.status.as_u16() }
            })
            .await;
            assert!(answers.iter().all(|status| matches!(status, 200 | 401)), "{answers:?}");
            answers.into_iter().filter(|status| *status == 200).count()
        };
        let mut tokens = Vec::new();
        for _ in 0..20 {
            tokens.push(mfa_token(server, server.email("ada")).await);
        }
        let code = app.code(server, 1);
        assert_eq!(count(tokens.clone(), vec![code]).await, 1, "a code of the app");
        assert_eq!(count(tokens, vec![recovery[0].clone()]).await, 1, "a recovery code");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_in_goes_on_once_and_has_five_tries() {
    TestServer::on_each_database(async |server| {
        let ada = Person::new(server, server.email("ada"), |_| {}).await;
        let (_, recovery) = enrol(server, &ada.client).await;
        // One sign-in with ten good codes at once.
        let (token, client) = (mfa_token(server, server.email("ada")).await, server.client());
        let answers = at_once(5, |number| {
            let body = json!({"mfaToken": token, "code": recovery[number]});
            let client = client.clone();
            async move { client.post("/api/v1/auth/mfa/verify", body).await.status.as_u16() }
        })
        .await;
        assert_eq!(answers.into_iter().filter(|status| *status == 200).count(), 1);
        let left = ada.client.get("/api/v1/auth/second-factors").await.expect(200);
        assert_eq!(left["recoveryCodesLeft"], 9, "the others were not used up");

        let token = mfa_token(server, server.email("ada")).await;
        for code in ["000000", "x", "0000-0000-0000-0000", "000000", "ñ"] {
            assert_eq!(verify(server, &token, code).await.expect(401)["code"], "invalid_code", "{code}");
        }
        let sixth = verify(server, &token, &recovery[9]).await.expect(401);
        assert_eq!(sixth["code"], "invalid_mfa_token");
        for forged in ["x", &"a".repeat(86), &text(&ada.tokens, "refresh_token")] {
            assert_eq!(verify(server, forged, &recovery[9]).await.expect(401)["code"], "invalid_mfa_token");
        }
        for access in [text(&ada.tokens, "access_token")] {
            assert_eq!(verify(server, &access, &recovery[9]).await.fields(), ["mfaToken"], "too long");
        }
        let token = mfa_token(server, server.email("ada")).await;
        verify(server, &token, &recovery[9].to_lowercase()).await.expect(200);
        let token = mfa_token(server, server.email("ada")).await;
        verify(server, &token, &recovery[9]).await.expect(401);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_password_ends_waiting_sign_ins_and_keeps_the_second_factor() {
    TestServer::shared(async |server| {
        let ada = Person::new(server, server.email("ada"), |_| {}).await;
        let (_, recovery) = enrol(server, &ada.client).await;
        let token = mfa_token(server, server.email("ada")).await;
        let other = "N3w-horse-battery!";
        let change = json!({"currentPassword": PASSWORD, "newPassword": other});
        ada.client.post("/api/v1/auth/change-password", change).await.expect(204);
        let over = verify(server, &token, &recovery[0]).await.expect(401);
        assert_eq!(over["code"], "invalid_mfa_token");

        server
            .client()
            .post("/api/v1/auth/forgot-password", json!({"email": server.email("ada")}))
            .await
            .expect(202);
        let link = server.mail_token(server.email("ada"), "reset-password").await;
        let token = text(&login(server, server.email("ada"), other).await.expect(403), "mfaToken");
        let reset = json!({"token": link, "password": PASSWORD});
        server.client().post("/api/v1/auth/reset-password", reset).await.expect(204);
        verify(server, &token, &recovery[0]).await.expect(401);
        let token = mfa_token(server, server.email("ada")).await;
        verify(server, &token, &recovery[0]).await.expect(200);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_app_is_replaced_with_a_recovery_code() {
    TestServer::shared(async |server| {
        let mut ada = Person::new(server, server.email("ada"), |_| {}).await;
        let (lost, recovery) = enrol(server, &ada.client).await;
        let renewed = codes(&ada.client.post_empty("/api/v1/auth/recovery-codes").await.expect(200));
        let token = mfa_token(server, server.email("ada")).await;
        verify(server, &token, &recovery[0]).await.expect(401);
        let tokens = verify(server, &token, &renewed[0]).await.expect(200);
        ada.client.sign(&tokens);
        ada.client.delete("/api/v1/auth/totp").await.expect(204);
        ada.client.delete("/api/v1/auth/totp").await.expect(204);
        let none = ada.client.get("/api/v1/auth/second-factors").await.expect(200);
        assert_eq!(none, json!({"totp": null, "passkeys": [], "recoveryCodesLeft": 0}));
        let refused = ada.client.post_empty("/api/v1/auth/recovery-codes").await.expect(409);
        assert_eq!(refused["code"], "no_second_factor");
        login(server, server.email("ada"), PASSWORD).await.expect(200);

        let (_, recovery) = enrol(server, &ada.client).await;
        let token = mfa_token(server, server.email("ada")).await;
        assert_eq!(verify(server, &token, &lost.code(server, 1)).await.expect(401)["code"], "invalid_code");
        verify(server, &token, &recovery[0]).await.expect(200);
        let kinds = trail(&ada).await;
        for kind in ["user.recovery_codes_renewed", "user.recovery_code_used", "user.totp_removed"] {
            assert!(kinds.iter().any(|other| other == kind), "{kind} in {kinds:?}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_session_has_to_prove_itself_again() {
    TestServer::shared(async |server| {
        let ada = Person::new(server, server.email("ada"), |_| {}).await;
        let prove = async |body: Value| ada.client.post("/api/v1/auth/reauthenticate", body).await;
        let begin = async || ada.client.post_empty("/api/v1/auth/totp").await;
        make_stale(server, &ada).await;
        assert_eq!(begin().await.expect(403)["code"], "reauthentication_required");
        assert_eq!(prove(json!({})).await.fields(), ["password"]);
        let wrong = prove(json!({"password": "wrong"})).await;
        assert_eq!((wrong.status.as_u16(), wrong.fields()), (422, vec!["password".to_owned()]));
        assert_eq!(begin().await.expect(403)["code"], "reauthentication_required");
        prove(json!({"password": PASSWORD})).await.expect(204);
        let (app, recovery) = enrol(server, &ada.client).await;

        make_stale(server, &ada).await;
        for (method, path) in [
            ("DELETE", "/api/v1/auth/totp"),
            ("POST", "/api/v1/auth/recovery-codes"),
            ("POST", "/api/v1/auth/passkeys/registration-options"),
        ] {
            let answer = crate::authorization::call(&ada.client, method, path, None).await.expect(403);
            assert_eq!(answer["code"], "reauthentication_required", "{path}");
        }
        assert_eq!(prove(json!({"password": PASSWORD})).await.fields(), ["code"], "the password alone");
        let code = app.code(server, 1);
        assert_eq!(prove(json!({"password": "wrong", "code": code})).await.fields(), ["password"]);
        assert_eq!(prove(json!({"password": PASSWORD, "code": "000000"})).await.fields(), ["code"]);
        prove(json!({"password": PASSWORD, "code": code})).await.expect(204);
        assert_eq!(prove(json!({"password": PASSWORD, "code": code})).await.fields(), ["code"], "used");
        prove(json!({"password": PASSWORD, "code": recovery[0]})).await.expect(204);
        assert_eq!(prove(json!({"password": PASSWORD, "code": recovery[0]})).await.fields(), ["code"]);
        let no_passkey =
            ada.client.post_empty("/api/v1/auth/reauthenticate/passkey-options").await.expect(409);
        assert_eq!(no_passkey["code"], "no_passkey");
        ada.client.delete("/api/v1/auth/totp").await.expect(204);
        server.client().post("/api/v1/auth/reauthenticate", json!({"password": PASSWORD})).await.expect(401);
        let kinds = trail(&ada).await;
        for kind in ["session.reauthenticated", "session.reauthentication_failed"] {
            assert!(kinds.iter().any(|other| other == kind), "{kind} in {kinds:?}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operator_resets_second_factors_of_somebody_who_has_lost_all() {
    TestServer::shared(async |server| {
        let ada = Person::new(server, server.email("ada"), |_| {}).await;
        let root =
            Person::new(server, server.email("root"), |user| user.role = PlatformRole::SuperAdmin).await;
        enrol(server, &ada.client).await;
        let path = format!("/api/v1/users/{}/second-factors", ada.claims.user);
        ada.client.delete(&path).await.expect(403);
        let waiting = mfa_token(server, server.email("ada")).await;
        root.client.delete(&path).await.expect(204);
        root.client.delete(&path).await.expect(204);
        assert_eq!(verify(server, &waiting, "000000").await.expect(401)["code"], "invalid_mfa_token");
        login(server, server.email("ada"), PASSWORD).await.expect(200);
        let unknown = format!("/api/v1/users/{}/second-factors", server.app.core.env.random_uuid());
        root.client.delete(&unknown).await.expect(404);
        let resets = trail(&ada).await.into_iter().filter(|kind| kind == "user.second_factor_reset").count();
        assert_eq!(resets, 1);
    })
    .await;
}
