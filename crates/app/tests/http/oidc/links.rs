//! Identities at providers that somebody who is signed in adds and takes away.

use portico_testkit::server::{Answer, Client, at_once};
use serde_json::Value;

use super::{CALLBACK, IDENTITIES, alone, on_each_database, refused, sign_in, verified, with_tokens};
use crate::{
    factors::make_stale,
    fixture::{Person, linked, text},
    provider::FakeProvider,
};

async fn link(client: &Client, claims: Value) -> Answer {
    let begun = client.get("/api/v1/auth/oidc/fake?link=true").await.expect(200);
    let back = FakeProvider::approve(&text(&begun, "authorizationUrl"), &claims);
    client.post(CALLBACK, back.body()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn links_are_made_and_taken_away_while_signed_in() {
    alone(async |server| {
        let ada = server.customer(server.email("ada")).await;
        let own = ada.get("/api/v1/profile").await.expect(200);
        refused(server.client().get("/api/v1/auth/oidc/fake?link=true").await, 401, "unauthenticated");
        let tokens = link(&ada, verified("1", server.email("lovelace"))).await.expect(200);
        assert_eq!(tokens["user"]["id"], own["id"]);
        with_tokens(server, &tokens).get("/api/v1/profile").await.expect(200);
        let sessions = ada.get("/api/v1/auth/sessions").await.expect(200);
        assert_eq!(sessions["total"], 1, "linking is no second sign-in");
        link(&ada, verified("1", server.email("lovelace"))).await.expect(200);
        let tokens = sign_in(&server.client(), verified("1", server.email("lovelace"))).await.expect(200);
        assert_eq!(tokens["user"]["id"], own["id"]);

        let eve = server.customer(server.email("eve")).await;
        refused(link(&eve, verified("1", server.email("lovelace"))).await, 409, "identity_taken");
        let links = ada.get(IDENTITIES).await.expect(200);
        assert_eq!(links["total"], 1);
        let path = format!("{IDENTITIES}/{}", text(&links["items"][0], "id"));
        refused(eve.delete(&path).await, 404, "not_found");
        refused(server.client().delete(&path).await, 401, "unauthenticated");
        assert_eq!(ada.delete(&path).await.status.as_u16(), 204);
        refused(ada.delete(&path).await, 404, "not_found");
        let other = sign_in(&server.client(), verified("1", server.email("lovelace"))).await.expect(200);
        assert_ne!(other["user"]["id"], own["id"], "it does not lead to Ada any more");
        let audit = ada.get(&ada.t("/audit?type=user.identity_unlinked")).await.expect(200);
        assert_eq!(audit["items"].as_array().unwrap().len(), 1, "{audit}");
        assert_eq!(audit["items"][0]["after"]["provider"], "fake");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn links_want_a_fresh_proof() {
    alone(async |server| {
        let mut ada = Person::new(server, server.email("ada"), |_| {}).await;
        let path = format!("{IDENTITIES}/{}", linked(server, &ada).await);
        make_stale(server, &ada).await;
        let begun = ada.client.get("/api/v1/auth/oidc/fake?link=true").await;
        refused(begun, 403, "reauthentication_required");
        refused(ada.client.delete(&path).await, 403, "reauthentication_required");
        ada.sign_in(server).await;
        link(&ada.client, verified("1", server.email("x"))).await.expect(200);
        assert_eq!(ada.client.delete(&path).await.status.as_u16(), 204);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_to_link_belongs_to_who_began_it() {
    alone(async |server| {
        let (ada, eve) =
            (server.customer(server.email("ada")).await, server.customer(server.email("eve")).await);
        let begun = ada.get("/api/v1/auth/oidc/fake?link=true").await.expect(200);
        let back =
            FakeProvider::approve(&text(&begun, "authorizationUrl"), &verified("1", server.email("x")));
        refused(eve.post(CALLBACK, back.body()).await, 422, "invalid_state");
        refused(server.client().post(CALLBACK, back.body()).await, 401, "unauthenticated");
        ada.post(CALLBACK, back.body()).await.expect(200);
        assert_eq!(eve.get(IDENTITIES).await.expect(200)["total"], 0);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_way_to_sign_in_stays_also_under_two_requests_at_once() {
    on_each_database(async |server| {
        let tokens = sign_in(&server.client(), verified("1", server.email("ada"))).await.expect(200);
        let ada = with_tokens(server, &tokens);
        link(&ada, verified("2", server.email("ada.other"))).await.expect(200);
        let links = ada.get(IDENTITIES).await.expect(200);
        let paths: Vec<_> = links["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|link| format!("{IDENTITIES}/{}", text(link, "id")))
            .collect();
        assert_eq!(paths.len(), 2);
        let answers = at_once(2, |number| {
            let (ada, path) = (ada.clone(), paths[number].clone());
            async move { ada.delete(&path).await }
        })
        .await;
        let mut codes: Vec<_> = answers.iter().map(|answer| answer.status.as_u16()).collect();
        codes.sort_unstable();
        assert_eq!(codes, [204, 409], "{answers:?}");
        assert!(answers.iter().any(|answer| answer.json["code"] == "last_sign_in_method"));
    })
    .await;
}
