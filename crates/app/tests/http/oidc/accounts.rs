//! Whose account a sign-in leads to, and accounts that it leads to no more.

use portico_identity::user::UserStatus;
use portico_testkit::server::{Answer, PASSWORD, TestServer};
use serde_json::{Value, json};

use super::{IDENTITIES, alone, refused, sign_in, verified, with_tokens};
use crate::fixture::{Person, change_user};

async fn login(server: &TestServer, email: &str) -> Answer {
    server.client().post("/api/v1/auth/login", json!({"email": email, "password": PASSWORD})).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_verified_address_links_the_account_that_has_proven_it() {
    alone(async |server| {
        let ada = server.customer(server.email("ada")).await;
        let own = ada.get("/api/v1/profile").await.expect(200);
        let tokens = sign_in(&server.client(), verified("1", server.email("ADA"))).await.expect(200);
        assert_eq!(tokens["user"]["id"], own["id"]);
        ada.get("/api/v1/profile").await.expect(200);
        login(server, server.email("ada")).await.expect(200);
        // From now on the subject decides, whatever the address.
        let tokens = sign_in(&server.client(), verified("1", server.email("elsewhere"))).await.expect(200);
        assert_eq!(
            (&tokens["user"]["id"], &tokens["user"]["email"]),
            (&own["id"], &json!(server.email("ada")))
        );
    })
    .await;
}

/// A stranger registers with the address of another person, and waits for that person to sign in with a provider.
#[tokio::test(flavor = "multi_thread")]
async fn an_account_made_by_a_stranger_is_closed_and_not_taken_over() {
    alone(async |server| {
        let stranger = server.unverified(server.email("ada")).await;
        let second = server.unverified(server.email("ada")).await;
        let strangers = stranger.get("/api/v1/profile").await.expect(200);
        let refresh = login(server, server.email("ada")).await.expect(200)["refresh_token"].clone();

        let tokens = sign_in(&server.client(), verified("1", server.email("ada"))).await.expect(200);
        assert_ne!(tokens["user"]["id"], strangers["id"]);
        assert_eq!(tokens["user"]["emailVerified"], true);
        for client in [&stranger, &second] {
            client.get("/api/v1/profile").await.expect(401);
        }
        refused(login(server, server.email("ada")).await, 401, "invalid_credentials");
        let again = server.client().post("/api/v1/auth/refresh", json!({ "refresh_token": refresh })).await;
        refused(again, 401, "invalid_refresh_token");
        let ada = with_tokens(server, &tokens);
        assert_eq!(ada.get("/api/v1/tenants").await.expect(200)["total"], 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unverified_address_links_nothing() {
    alone(async |server| {
        let ada = server.customer(server.email("ada")).await;
        let own = ada.get("/api/v1/profile").await.expect(200);
        for (subject, says) in [("1", json!(false)), ("2", Value::Null), ("3", json!("false"))] {
            let claims = json!({"sub": subject, "email": server.email("ada"), "email_verified": says});
            let tokens = sign_in(&server.client(), claims).await.expect(200);
            assert_ne!(tokens["user"]["id"], own["id"]);
            assert_eq!(tokens["user"]["emailVerified"], false);
        }
        ada.get("/api/v1/profile").await.expect(200);
        for claims in [json!({"sub": "4"}), json!({"sub": "5", "email": "nonsense", "email_verified": true})]
        {
            refused(sign_in(&server.client(), claims).await, 422, "email_required");
        }
    })
    .await;
}

/// A stranger signs in with a provider that lets users enter any address, enters Ada's, and waits for her.
#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_a_stranger_left_does_not_lead_into_an_account_whose_owner_came_by_mail() {
    alone(async |server| {
        let claims = json!({"sub": "eve", "email": server.email("ada"), "email_verified": false});
        let tokens = sign_in(&server.client(), claims.clone()).await.expect(200);
        let eve = with_tokens(server, &tokens);
        refused(eve.get("/api/v1/auth/oidc/fake?link=true").await, 403, "email_unverified");

        server
            .client()
            .post("/api/v1/auth/forgot-password", json!({"email": server.email("ada")}))
            .await
            .expect(202);
        let token = server.mail_token(server.email("ada"), "reset-password").await;
        let reset = json!({"token": token, "password": PASSWORD});
        server.client().post("/api/v1/auth/reset-password", reset).await.expect(204);
        let ada = login(server, server.email("ada")).await.expect(200);
        assert_eq!(ada["user"]["id"], tokens["user"]["id"], "it is hers now");
        refused(eve.get("/api/v1/profile").await, 401, "unauthenticated");
        let again = sign_in(&server.client(), claims).await.expect(200);
        assert_ne!(again["user"]["id"], ada["user"]["id"]);
        let links = with_tokens(server, &ada).get(IDENTITIES).await.expect(200);
        assert_eq!(links["total"], 0, "{links}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn suspended_and_deleted_accounts_stay_out() {
    alone(async |server| {
        let ada = Person::new(server, server.email("ada"), |_| {}).await;
        sign_in(&server.client(), verified("1", server.email("ada"))).await.expect(200);
        change_user(server, &ada.claims, |user| user.status = UserStatus::Suspended).await;
        refused(
            sign_in(&server.client(), verified("1", server.email("ada"))).await,
            403,
            "account_suspended",
        );
        refused(
            sign_in(&server.client(), verified("2", server.email("ada"))).await,
            403,
            "account_suspended",
        );
        change_user(server, &ada.claims, |user| user.status = UserStatus::Deleted).await;
        refused(
            sign_in(&server.client(), verified("1", server.email("ada"))).await,
            401,
            "invalid_credentials",
        );
    })
    .await;
}
