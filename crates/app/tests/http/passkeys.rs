//! Passkeys: a second factor, and a sign-in without a password.

use portico_kernel::UserId;
use portico_testkit::{
    authenticator::Authenticator,
    server::{Answer, Client, TestServer, at_once},
};
use serde_json::{Value, json};

use crate::{
    factors::{make_stale, mfa_token},
    fixture::{Person, text},
};

/// An authenticator in a browser that shows a front end of the server.
pub fn authenticator(server: &TestServer) -> Authenticator {
    Authenticator::new(&server.url.replace("127.0.0.1", "localhost"))
}

async fn registration_options(client: &Client) -> Value {
    client.post_empty("/api/v1/auth/passkeys/registration-options").await.expect(200)["options"].clone()
}

async fn add(client: &Client, credential: &Value) -> Answer {
    client.post("/api/v1/auth/passkeys", json!({"name": " Laptop ", "credential": credential})).await
}

/// Adds a passkey to an account. Returns it and what the server says of it.
pub async fn register(server: &TestServer, client: &Client) -> (Authenticator, Value) {
    let mut authenticator = authenticator(server);
    let credential = authenticator.create(&registration_options(client).await);
    let added = add(client, &credential).await.expect(201);
    (authenticator, added)
}

/// Options to sign in, and the token that goes with them.
pub async fn sign_in_options(server: &TestServer) -> (String, Value) {
    let begun = server.client().post_empty("/api/v1/auth/passkeys/sign-in-options").await.expect(200);
    (text(&begun, "challengeToken"), begun["options"].clone())
}

async fn answer(server: &TestServer, token: &str, credential: &Value) -> Answer {
    let body = json!({"challengeToken": token, "credential": credential});
    server.client().post("/api/v1/auth/passkeys/sign-in", body).await
}

async fn sign_in(server: &TestServer, authenticator: &mut Authenticator) -> Answer {
    let (token, options) = sign_in_options(server).await;
    answer(server, &token, &authenticator.get(&options)).await
}

#[track_caller]
fn refused(answer: Answer) {
    assert_eq!(answer.expect(401)["code"], "invalid_passkey");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_passkey_signs_in_without_a_password() {
    TestServer::shared(async |server| {
        let ada = Person::new(server, server.email("ada"), |_| {}).await;
        let options = registration_options(&ada.client).await;
        let public_key = &options["publicKey"];
        assert_eq!(public_key["rp"]["id"], "localhost");
        let selection = &public_key["authenticatorSelection"];
        assert_eq!(
            (&selection["userVerification"], &selection["residentKey"]),
            (&json!("required"), &json!("preferred"))
        );
        let mut laptop = authenticator(server);
        let created = add(&ada.client, &laptop.create(&options)).await;
        assert_eq!(created.header("cache-control"), "no-store");
        let location = created.header("location").to_owned();
        let added = created.expect(201);
        assert_eq!(location, format!("/api/v1/auth/passkeys/{}", text(&added, "id")));
        assert_eq!(
            (&added["name"], added["recoveryCodes"].as_array().unwrap().len()),
            (&json!("Laptop"), 10)
        );
        let (_, second) = register(server, &ada.client).await;
        assert_eq!(second["recoveryCodes"], Value::Null, "made with the first one");
        let known = registration_options(&ada.client).await;
        assert_eq!(known["publicKey"]["excludeCredentials"].as_array().unwrap().len(), 2);

        let (token, options) = sign_in_options(server).await;
        assert_eq!(options["publicKey"]["allowCredentials"], json!([]), "nobody is named");
        let credential = laptop.get(&options);
        let tokens = answer(server, &token, &credential).await.expect(200);
        assert_eq!(tokens["user"]["email"], server.email("ada"));
        refused(answer(server, &token, &credential).await);
        let mut client = server.client();
        client.sign(&tokens);
        client.post_empty("/api/v1/auth/recovery-codes").await.expect(200);
        let list = client.get("/api/v1/auth/passkeys").await.expect(200);
        assert_eq!(list["total"], 2);
        assert!(
            list["items"][0]["lastUsedAt"].is_string() && list["items"][1]["lastUsedAt"].is_null(),
            "{list}"
        );
        let renamed = client.put(&location, json!({"name": "Old laptop"})).await.expect(200);
        assert_eq!(renamed["name"], "Old laptop");
        assert_eq!(client.put(&location, json!({"name": "a\nb"})).await.fields(), ["name"]);
        client.delete(&location).await.expect(204);
        refused(sign_in(server, &mut laptop).await);
        client.delete(&location).await.expect(404);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_wrong_about_a_passkey_is_answered_alike() {
    TestServer::shared(async |server| {
        let ada = Person::new(server, server.email("ada"), |_| {}).await;
        let bob = Person::new(server, server.email("bob"), |_| {}).await;
        let (good, _) = register(server, &ada.client).await;
        let wrong = |change: fn(&mut Authenticator)| {
            let mut authenticator = good.clone();
            change(&mut authenticator);
            authenticator
        };
        let mut unknown = authenticator(server);
        unknown.user_handle = good.user_handle.clone();
        let mut claimed = good.clone();
        claimed.user_handle = Some(bob.claims.user.uuid().as_bytes().to_vec());
        let mut other_key = authenticator(server);
        (other_key.credential_id, other_key.user_handle) =
            (good.credential_id.clone(), good.user_handle.clone());
        for (what, mut authenticator) in [
            ("another origin", wrong(|a| a.origin = "http://evil.example".into())),
            ("a port that is not ours", wrong(|a| a.origin = "http://localhost:1".into())),
            ("another relying party", wrong(|a| a.rp_id = Some("evil.example".into()))),
            ("a user that was not verified", wrong(|a| a.verifies_user = false)),
            ("nobody named", wrong(|a| a.user_handle = None)),
            ("somebody else named", claimed),
            ("an unknown passkey", unknown),
            ("another key", other_key),
        ] {
            let answer = sign_in(server, &mut authenticator).await;
            assert_eq!(answer.status.as_u16(), 401, "{what}: {}", answer.text);
            refused(answer);
        }
        let (token, options) = sign_in_options(server).await;
        for garbage in [json!({}), json!("x"), json!([1]), json!({"id": "x", "rawId": "x"})] {
            refused(answer(server, &token, &garbage).await);
        }
        refused(answer(server, &token, &good.clone().get(&options)).await);
        // A challenge of another user's browser, and one that was never issued.
        let (mine, _) = sign_in_options(server).await;
        let (_, theirs) = sign_in_options(server).await;
        refused(answer(server, &mine, &good.clone().get(&theirs)).await);
        refused(answer(server, "never given", &good.clone().get(&theirs)).await);
        assert_eq!(answer(server, "", &Value::Null).await.fields(), ["challengeToken", "credential"]);
        sign_in(server, &mut good.clone()).await.expect(200);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cloned_passkey_is_refused_and_told_of() {
    TestServer::on_each_database(async |server| {
        let ada = Person::new(server, server.email("ada"), |_| {}).await;
        let (mut real, _) = register(server, &ada.client).await;
        let mut clone = real.clone();
        sign_in(server, &mut real).await.expect(200);
        sign_in(server, &mut real).await.expect(200);
        refused(sign_in(server, &mut clone).await);
        let path = ada.client.t("/audit?limit=100");
        let trail = ada.client.get(&path).await.expect(200);
        let cloned = trail["items"].as_array().unwrap().iter();
        assert_eq!(cloned.filter(|entry| entry["type"] == "session.passkey_cloned").count(), 1);
        // Both at once, with the same counter.
        clone.counter = real.counter;
        let mut bodies = Vec::new();
        for authenticator in [&mut real, &mut clone] {
            let (token, options) = sign_in_options(server).await;
            bodies.push(json!({"challengeToken": token, "credential": authenticator.get(&options)}));
        }
        let client = server.client();
        let answers = at_once(2, |number| {
            let (client, body) = (client.clone(), bodies[number].clone());
            async move { client.post("/api/v1/auth/passkeys/sign-in", body).await.status.as_u16() }
        })
        .await;
        assert_eq!(answers.into_iter().filter(|status| *status == 200).count(), 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_answer_sent_twenty_times_at_once_makes_one_session() {
    TestServer::on_each_database(async |server| {
        let ada = Person::new(server, server.email("ada"), |_| {}).await;
        let (mut passkey, _) = register(server, &ada.client).await;
        // Without a counter, as passkeys that are synchronised have it: only the challenge is in the way.
        passkey.counter = 0;
        let mut synchronised = authenticator(server);
        synchronised.counter = 0;
        let options = registration_options(&ada.client).await;
        add(&ada.client, &synchronised.create(&options)).await.expect(201);
        let (token, options) = sign_in_options(server).await;
        let body = json!({"challengeToken": token, "credential": synchronised.get(&options)});
        let client = server.client();
        let answers = at_once(20, |_| {
            let (client, body) = (client.clone(), body.clone());
            async move { client.post("/api/v1/auth/passkeys/sign-in", body).await.status.as_u16() }
        })
        .await;
        assert_eq!(answers.iter().filter(|status| **status == 200).count(), 1, "{answers:?}");
        sign_in(server, &mut synchronised).await.expect(200);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_registered_must_answer_the_options_of_the_session() {
    TestServer::shared(async |server| {
        let mut ada = Person::new(server, server.email("ada"), |_| {}).await;
        let bob = Person::new(server, server.email("bob"), |_| {}).await;
        let mut passkey = authenticator(server);
        let options = registration_options(&ada.client).await;
        let credential = passkey.create(&options);
        assert_eq!(add(&bob.client, &credential).await.expect(409)["code"], "challenge_expired");
        let first = ada.client.clone();
        ada.sign_in(server).await;
        assert_eq!(
            add(&ada.client, &credential).await.expect(409)["code"],
            "challenge_expired",
            "another session"
        );
        for change in [
            (|a| a.origin = "http://evil.example".into()) as fn(&mut Authenticator),
            |a| a.rp_id = Some("evil.example".into()),
            |a| a.verifies_user = false,
        ] {
            let mut wrong = passkey.clone();
            change(&mut wrong);
            let options = registration_options(&ada.client).await;
            let answer = add(&ada.client, &wrong.create(&options)).await;
            assert_eq!((answer.status.as_u16(), answer.fields()), (422, vec!["credential".to_owned()]));
            let again = add(&ada.client, &passkey.create(&options)).await.expect(409);
            assert_eq!(again["code"], "challenge_expired", "used up by the wrong answer");
        }
        add(&first, &credential).await.expect(201);
        // The same authenticator for another account, as if it ignored `excludeCredentials`.
        let options = registration_options(&bob.client).await;
        assert_eq!(
            add(&bob.client, &passkey.clone().create(&options)).await.expect(409)["code"],
            "duplicate"
        );
        assert_eq!(add(&bob.client, &Value::Null).await.fields(), ["credential"]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_passkey_is_a_second_factor_too() {
    TestServer::shared(async |server| {
        let ada = Person::new(server, server.email("ada"), |_| {}).await;
        let bob = Person::new(server, server.email("bob"), |_| {}).await;
        let (mut own, added) = register(server, &ada.client).await;
        let (mut foreign, _) = register(server, &bob.client).await;
        let options = async |token: &str| {
            let body = json!({"mfaToken": token});
            server.client().post("/api/v1/auth/mfa/passkey-options", body).await
        };
        let go_on = async |token: &str, credential: Value| {
            let body = json!({"mfaToken": token, "credential": credential});
            server.client().post("/api/v1/auth/mfa/passkey", body).await
        };
        let token = mfa_token(server, server.email("ada")).await;
        refused(go_on(&token, json!({})).await);
        let asked = options(&token).await.expect(200)["options"].clone();
        assert_eq!(asked["publicKey"]["allowCredentials"].as_array().unwrap().len(), 1);
        assert_eq!(asked["publicKey"]["userVerification"], "required");
        refused(go_on(&token, foreign.get(&asked)).await);
        refused(go_on(&token, own.get(&asked)).await);
        let asked = options(&token).await.expect(200)["options"].clone();
        // Authenticators without discoverable credentials return no user handle.
        own.user_handle = None;
        let tokens = go_on(&token, own.get(&asked)).await.expect(200);
        assert_eq!(tokens["user"]["email"], server.email("ada"));
        assert_eq!(options(&token).await.expect(401)["code"], "invalid_mfa_token");

        let token = mfa_token(server, server.email("ada")).await;
        let (_, elsewhere) = sign_in_options(server).await;
        for _ in 0..5 {
            refused(go_on(&token, own.get(&elsewhere)).await);
        }
        assert_eq!(options(&token).await.expect(401)["code"], "invalid_mfa_token");
        assert_eq!(go_on(&token, json!({})).await.expect(401)["code"], "invalid_mfa_token");
        let recovery = added["recoveryCodes"][0].as_str().unwrap();
        let token = mfa_token(server, server.email("ada")).await;
        let body = json!({"mfaToken": token, "code": recovery});
        server.client().post("/api/v1/auth/mfa/verify", body).await.expect(200);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_passkey_makes_a_session_fresh_and_the_last_one_stays() {
    TestServer::shared(async |server| {
        let ada = Person::new(server, server.email("ada"), |_| {}).await;
        let bob = Person::new(server, server.email("bob"), |_| {}).await;
        let (mut own, added) = register(server, &ada.client).await;
        let (mut foreign, others) = register(server, &bob.client).await;
        make_stale(server, &ada).await;
        let path = format!("/api/v1/auth/passkeys/{}", text(&added, "id"));
        assert_eq!(ada.client.delete(&path).await.expect(403)["code"], "reauthentication_required");
        let prove = async |authenticator: &mut Authenticator| {
            let options =
                ada.client.post_empty("/api/v1/auth/reauthenticate/passkey-options").await.expect(200);
            let body = json!({"credential": authenticator.get(&options["options"])});
            (ada.client.post("/api/v1/auth/reauthenticate", body.clone()).await, body)
        };
        assert_eq!(prove(&mut foreign).await.0.fields(), ["credential"]);
        let (proven, body) = prove(&mut own).await;
        proven.expect(204);
        let replayed = ada.client.post("/api/v1/auth/reauthenticate", body).await.expect(409);
        assert_eq!(replayed["code"], "challenge_expired");
        let not_mine = format!("/api/v1/auth/passkeys/{}", text(&others, "id"));
        ada.client.delete(&not_mine).await.expect(404);
        ada.client.put(&not_mine, json!({"name": "Mine"})).await.expect(404);

        set_password(server, ada.claims.user, None).await;
        assert_eq!(ada.client.delete(&path).await.expect(409)["code"], "last_sign_in_method");
        let (_, second) = register(server, &ada.client).await;
        ada.client.delete(&path).await.expect(204);
        let last = format!("/api/v1/auth/passkeys/{}", text(&second, "id"));
        ada.client.delete(&last).await.expect(409);
    })
    .await;
}

async fn set_password(
    server: &TestServer,
    user: UserId,
    password: Option<portico_identity::ports::PasswordHash>,
) {
    let mut work = server.app.core.begin().await.unwrap();
    work.users().set_password(user, password).await.unwrap();
    work.commit().await.unwrap();
}
