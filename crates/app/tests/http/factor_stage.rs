//! The state in which an operation on second factors can succeed, and its valid body: for tests that call every
//! operation of the API document.

use portico_identity::totp::Totp;
use portico_kernel::UserId;
use portico_testkit::server::{PASSWORD, TestServer};
use serde_json::{Value, json};

use crate::{
    factors::{App, mfa_token},
    fixture::{Person, change_user, text},
    passkeys::{authenticator, register, sign_in_options},
};

/// A valid body, and the passkey that a path names.
#[derive(Default)]
pub struct Stage {
    pub body: Option<Value>,
    pub passkey: Option<String>,
}

fn with(body: Value) -> Stage {
    Stage { body: Some(body), passkey: None }
}

/// Prepares `person` so that the operation succeeds. `None` for operations on other resources.
pub async fn set(
    server: &TestServer,
    person: &Person,
    (method, template): (&str, &str),
    number: usize,
) -> Option<Stage> {
    let path = template.strip_prefix("/api/v1/auth/")?;
    // Requests of the preparation do not carry the id of the call.
    let mut client = person.client.clone();
    client.headers.remove("x-request-id");
    Some(match (method, path) {
        ("POST", "totp" | "passkeys/registration-options") => {
            refresh(server, person).await;
            Stage::default()
        }
        ("POST", "totp/confirm") => {
            refresh(server, person).await;
            let app = App::of(&client.post_empty("/api/v1/auth/totp").await.expect(200));
            with(json!({"code": app.code(server, 0)}))
        }
        ("DELETE", "totp") | ("POST", "recovery-codes") => {
            refresh(server, person).await;
            enrol(server, person.claims.user).await;
            Stage::default()
        }
        ("POST", "passkeys") => {
            refresh(server, person).await;
            let options = client.post_empty("/api/v1/auth/passkeys/registration-options").await.expect(200);
            let credential = authenticator(server).create(&options["options"]);
            with(json!({"name": "Laptop", "credential": credential}))
        }
        ("PUT" | "DELETE", "passkeys/{passkeyId}") | ("POST", "reauthenticate/passkey-options") => {
            refresh(server, person).await;
            // An account with an unverified address may have a passkey from before a verified address was required.
            let unverified = !server
                .app
                .core
                .reader()
                .users()
                .find(person.claims.user)
                .await
                .unwrap()
                .unwrap()
                .email_verified;
            if unverified {
                change_user(server, &person.claims, |user| user.email_verified = true).await;
            }
            let (_, added) = register(server, &client).await;
            if unverified {
                change_user(server, &person.claims, |user| user.email_verified = false).await;
            }
            let body = (method == "PUT").then(|| json!({"name": "Renamed"}));
            Stage { body, passkey: Some(text(&added, "id")) }
        }
        ("POST", "reauthenticate") => with(json!({"password": PASSWORD})),
        ("POST", "mfa/verify" | "mfa/passkey-options" | "mfa/passkey" | "passkeys/sign-in") => {
            with(pending_sign_in(server, path, number).await)
        }
        _ => return None,
    })
}

/// The body of this step of a sign-in, by an account of its own.
async fn pending_sign_in(server: &TestServer, path: &str, number: usize) -> Value {
    let email = format!("factor{number}@example.org");
    let other = Person::new(server, &email, |_| {}).await;
    let (mut passkey, added) = register(server, &other.client).await;
    if path == "passkeys/sign-in" {
        let (token, options) = sign_in_options(server).await;
        return json!({"challengeToken": token, "credential": passkey.get(&options)});
    }
    let token = mfa_token(server, &email).await;
    match path {
        "mfa/verify" => json!({"mfaToken": token, "code": added["recoveryCodes"][0]}),
        "mfa/passkey" => {
            let asked = json!({"mfaToken": token});
            let asked = server.client().post("/api/v1/auth/mfa/passkey-options", asked).await.expect(200);
            json!({"mfaToken": token, "credential": passkey.get(&asked["options"])})
        }
        _ => json!({"mfaToken": token}),
    }
}

/// A body of the right form that has no effect.
pub fn idle_body(method: &str, relative: &str) -> Option<Value> {
    let credential = json!({"id": "x", "rawId": "eA", "type": "public-key", "response": {}});
    Some(match (method, relative) {
        ("POST", "/auth/totp/confirm") => json!({"code": "123456"}),
        ("POST", "/auth/passkeys") => json!({"name": "Laptop", "credential": credential}),
        ("PUT", "/auth/passkeys/{passkeyId}") => json!({"name": "Renamed"}),
        ("POST", "/auth/reauthenticate") => json!({"password": PASSWORD}),
        ("POST", "/auth/mfa/verify") => json!({"mfaToken": "x", "code": "123456"}),
        ("POST", "/auth/mfa/passkey-options") => json!({"mfaToken": "x"}),
        ("POST", "/auth/mfa/passkey") => json!({"mfaToken": "x", "credential": credential}),
        ("POST", "/auth/passkeys/sign-in") => json!({"challengeToken": "x", "credential": credential}),
        _ => return None,
    })
}

/// The session has just proven itself.
async fn refresh(server: &TestServer, person: &Person) {
    let mut work = server.app.core.begin().await.unwrap();
    let now = server.app.core.env.now();
    work.sessions().authenticate(person.claims.user, person.claims.session, now).await.unwrap();
    work.commit().await.unwrap();
}

/// An authenticator app whose codes are not needed.
pub async fn enrol(server: &TestServer, user: UserId) {
    let now = server.app.core.env.now();
    let totp = Totp { user, sealed: vec![0], confirmed_at: None, created_at: now };
    let mut work = server.app.core.begin().await.unwrap();
    work.second_factors().put_totp(&totp).await.unwrap();
    work.second_factors().confirm_totp(user, &[0], 1, now).await.unwrap();
    work.commit().await.unwrap();
}

/// Takes the second factors away, so that the password alone signs in again.
pub async fn clear(server: &TestServer, user: UserId) {
    let mut work = server.app.core.begin().await.unwrap();
    work.second_factors().delete_totp(user).await.unwrap();
    work.second_factors().replace_recovery_codes(user, &[], server.app.core.env.now()).await.unwrap();
    work.passkeys().delete_all(user).await.unwrap();
    work.commit().await.unwrap();
}

/// Whether an operation leaves second factors that its caller must not keep.
pub fn is_about_factors(template: &str) -> bool {
    ["/totp", "/recovery-codes", "/auth/passkeys", "/auth/reauthenticate"]
        .iter()
        .any(|part| template.contains(part))
}
