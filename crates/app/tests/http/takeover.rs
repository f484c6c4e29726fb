//! A stranger makes an account with another person's address, adds credentials to it, and waits for that person.

use portico_identity::token::TokenPurpose;
use portico_testkit::{
    authenticator::Authenticator,
    server::{Answer, Client, PASSWORD, TestServer},
};
use serde_json::json;

use crate::{
    factor_stage,
    fixture::{Person, change_user, link, linked, text},
    passkeys::{register, sign_in_options},
};

const NEW_PASSWORD: &str = "Another-Horse-8";

async fn by_passkey(server: &TestServer, passkey: &mut Authenticator) -> Answer {
    let (token, options) = sign_in_options(server).await;
    let body = json!({"challengeToken": token, "credential": passkey.get(&options)});
    server.client().post("/api/v1/auth/passkeys/sign-in", body).await
}

async fn login(server: &TestServer, email: &str, password: &str) -> Answer {
    server.client().post("/api/v1/auth/login", json!({"email": email, "password": password})).await
}

/// The owner of an address asks for a link, and sets a password with it.
async fn reset(server: &TestServer, email: &str) {
    server.client().post("/api/v1/auth/forgot-password", json!({"email": email})).await.expect(202);
    let token = server.mail_token(email, "reset-password").await;
    let body = json!({"token": token, "password": NEW_PASSWORD});
    server.client().post("/api/v1/auth/reset-password", body).await.expect(204);
}

/// An account with an unverified address and one of everything, as it could be made before a verified address was required.
async fn equipped(server: &TestServer, email: &str) -> (Person, Authenticator, Client) {
    let stranger = Person::new(server, email, |_| {}).await;
    let (passkey, _) = register(server, &stranger.client).await;
    factor_stage::enrol(server, stranger.claims.user).await;
    linked(server, &stranger).await;
    let key = json!({"name": "Key", "permissions": ["sites:read"]});
    let key = stranger.client.post(&stranger.client.t("/api-keys"), key).await.expect(201);
    change_user(server, &stranger.claims, |user| user.email_verified = false).await;
    (stranger, passkey, server.client().with("x-api-key", &text(&key, "key")))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_with_an_unverified_address_adds_nothing_that_one_gets_in_by() {
    TestServer::shared(async |server| {
        let stranger = server.unverified(server.email("ada")).await;
        let credential = json!({"id": "x", "rawId": "eA", "type": "public-key", "response": {}});
        for (path, body) in [
            ("/api/v1/auth/passkeys/registration-options".to_owned(), json!({})),
            ("/api/v1/auth/passkeys".to_owned(), json!({"name": "Laptop", "credential": credential})),
            ("/api/v1/auth/totp".to_owned(), json!({})),
            ("/api/v1/auth/totp/confirm".to_owned(), json!({"code": "123456"})),
            ("/api/v1/auth/recovery-codes".to_owned(), json!({})),
            ("/api/v1/auth/change-email".to_owned(), json!({"newEmail": server.email("eve")})),
            (stranger.t("/api-keys"), json!({"name": "Key", "permissions": ["pages:read"]})),
        ] {
            let answer = match body == json!({}) {
                true => stranger.post_empty(&path).await,
                false => stranger.post(&path, body).await,
            };
            assert_eq!(answer.expect(403)["code"], "email_unverified", "{path}");
        }
        // Signing in and out, and the password, are all that it has.
        let change = json!({"currentPassword": PASSWORD, "newPassword": NEW_PASSWORD});
        stranger.post("/api/v1/auth/change-password", change).await.expect(204);
        login(server, server.email("ada"), NEW_PASSWORD).await.expect(200);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_reset_of_an_unverified_account_locks_out_whoever_made_it() {
    TestServer::shared(async |server| {
        let (stranger, mut passkey, key) = equipped(server, server.email("ada")).await;
        by_passkey(server, &mut passkey).await.expect(200);
        key.get("/api/v1/sites").await.expect(200);
        reset(server, server.email("ada")).await;
        key.get("/api/v1/sites").await.expect(401);

        assert_eq!(by_passkey(server, &mut passkey).await.expect(401)["code"], "invalid_passkey");
        stranger.client.get("/api/v1/profile").await.expect(401);
        login(server, server.email("ada"), PASSWORD).await.expect(401);
        // No second factor of the stranger keeps the owner out either.
        let ada = login(server, server.email("ada"), NEW_PASSWORD).await.expect(200);
        assert_eq!(ada["user"]["emailVerified"], true);
        let mut client = server.client();
        client.sign(&ada);
        assert_eq!(client.get("/api/v1/auth/identities").await.expect(200)["total"], 0);
        let factors = client.get("/api/v1/auth/second-factors").await.expect(200);
        assert_eq!(factors, json!({"totp": null, "passkeys": [], "recoveryCodesLeft": 0}));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_reset_of_a_verified_account_does_not_get_past_its_second_factor() {
    TestServer::shared(async |server| {
        let ada = Person::new(server, server.email("ada"), |_| {}).await;
        let (mut passkey, _) = register(server, &ada.client).await;
        reset(server, server.email("ada")).await;
        ada.client.get("/api/v1/profile").await.expect(401);
        let answer = login(server, server.email("ada"), NEW_PASSWORD).await.expect(403);
        assert_eq!(answer["code"], "second_factor_required");
        by_passkey(server, &mut passkey).await.expect(200);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_contested_address_that_its_reader_verifies_is_theirs_alone() {
    TestServer::shared(async |server| {
        server.unverified(server.email("ada")).await;
        let (stranger, mut passkey, key) = equipped(server, server.email("ada")).await;
        // Of two similar mails, the owner follows the link of the stranger's.
        let token = link(server, &stranger, TokenPurpose::EmailVerification).await;
        let verified = server.client().post("/api/v1/auth/verify-email", json!({"token": token})).await;
        assert_eq!(verified.expect(200)["passwordRequired"], true);
        stranger.client.get("/api/v1/profile").await.expect(401);
        key.get("/api/v1/sites").await.expect(401);
        assert_eq!(by_passkey(server, &mut passkey).await.expect(401)["code"], "invalid_passkey");
        // The other account that claims the address is the other stranger's, and unverified.
        let other = login(server, server.email("ada"), PASSWORD).await.expect(200);
        assert_ne!(text(&other["user"], "id"), stranger.claims.user.to_string());
        assert_eq!(other["user"]["emailVerified"], false);
        // The link to set a password is sent without being asked for.
        let token = server.mail_token(server.email("ada"), "reset-password").await;
        let body = json!({"token": token, "password": NEW_PASSWORD});
        server.client().post("/api/v1/auth/reset-password", body).await.expect(204);
        let ada = login(server, server.email("ada"), NEW_PASSWORD).await.expect(200);
        assert_eq!(text(&ada["user"], "id"), stranger.claims.user.to_string(), "it is hers now");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_opens_an_uncontested_link_on_another_device_stays_signed_in() {
    TestServer::shared(async |server| {
        let ada = server.unverified(server.email("ada")).await;
        let token = server.mail_token(server.email("ada"), "verify-email").await;
        let verified = server.client().post("/api/v1/auth/verify-email", json!({"token": token})).await;
        assert_eq!(verified.expect(200)["passwordRequired"], false);
        assert_eq!(ada.get("/api/v1/profile").await.expect(200)["emailVerified"], true);
        login(server, server.email("ada"), PASSWORD).await.expect(200);
    })
    .await;
}
