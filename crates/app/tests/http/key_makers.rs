//! API keys and the account of the user who made them.

use portico_identity::{
    api_key::{ApiKey, KeyText, Mode},
    user::UserStatus,
};
use portico_kernel::{Permission, Permissions, TenantRole};
use portico_testkit::{
    redis::TestRedis,
    server::{Database, TestServer},
};
use secrecy::ExposeSecret;
use serde_json::json;

use crate::{
    api_keys::{READS, key_path, make, refused, with_key, within_a_second},
    fixture::{Person, change_user, text},
};

/// Runs a test on one instance while keys are shown at another one, on each database, without and with Redis.
async fn with_two_instances(test: impl AsyncFn(&TestServer, &TestServer)) {
    for (database, redis) in
        [(Database::Sqlite, false), (Database::Postgres, false), (Database::Postgres, true)]
    {
        let redis = if redis { Some(TestRedis::start().await) } else { None };
        let url = redis.as_ref().map(|redis| redis.url().into());
        let server = TestServer::start_with(database, |settings| settings.redis.url = url).await;
        let elsewhere = server.another_instance().await;
        test(&server, &elsewhere).await;
        elsewhere.stop().await;
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_survives_that_its_maker_leaves_the_tenant_and_not_their_suspension() {
    with_two_instances(async |server, elsewhere| {
        let owner = server.customer(server.email("owner")).await;
        let maker = Person::new(server, server.email("maker"), |_| {}).await;
        maker.join(server, &owner.tenant, TenantRole::Admin).await;
        let mut there = maker.client.clone();
        there.tenant = owner.tenant.clone();
        let key = make(&there, READS, json!({})).await;
        let client = with_key(elsewhere, &owner, &text(&key, "key"));
        let path = owner.t("");
        client.get(&path).await.expect(200);
        let member = owner.t(&format!("/members/{}", maker.claims.user));
        owner.put(&member, json!({"role": "viewer"})).await.expect(200);
        owner.delete(&member).await.expect(204);
        within_a_second(404, async || maker.client.get(&path).await).await;
        client.get(&path).await.expect(200);

        let status = async |status| change_user(server, &maker.claims, |user| user.status = status).await;
        status(UserStatus::Suspended).await;
        within_a_second(401, async || client.get(&path).await).await;
        status(UserStatus::Active).await;
        within_a_second(200, async || client.get(&path).await).await;
        status(UserStatus::Deleted).await;
        within_a_second(401, async || client.get(&path).await).await;

        // Another member rotates the key; the secret that its maker knows stays invalid.
        let rotated = owner.post_empty(&key_path(&owner, &key, "/rotate")).await.expect(200);
        let renewed = with_key(elsewhere, &owner, &text(&rotated, "key"));
        within_a_second(200, async || renewed.get(&path).await).await;
        client.get(&path).await.expect(401);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_publishes_only_while_the_address_of_its_maker_is_verified() {
    with_two_instances(async |server, elsewhere| {
        let owner = server.unverified(server.email("owner")).await;
        let site = owner.post("/api/v1/sites", json!({"name": "Site"})).await.expect(201);
        let body = json!({"title": "Home", "status": "published"});
        owner.post(&owner.t("/pages"), body).await.expect(201);
        let permissions = ["sites:read", "sites:write", "sites:deploy", "pages:write"];
        let body = json!({"name": "Deploy", "permissions": permissions});
        refused(&owner.post(&owner.t("/api-keys"), body.clone()).await, 403, "email_unverified");
        let deploy = format!("/api/v1/sites/{}/deploy", text(&site, "id"));
        let preview = format!("/api/v1/sites/{}/preview", text(&site, "id"));

        // By a colleague with an address that is verified now.
        let maker = Person::new(server, server.email("maker"), |_| {}).await;
        maker.join(server, &owner.tenant, TenantRole::Admin).await;
        let mut there = maker.client.clone();
        there.tenant = owner.tenant.clone();
        let key = make(&there, &permissions, json!({})).await;
        let client = with_key(elsewhere, &owner, &text(&key, "key"));
        client.post_empty(&preview).await.expect(201);
        let verified = async |is| change_user(server, &maker.claims, |user| user.email_verified = is).await;
        verified(false).await;
        within_a_second(403, async || client.post_empty(&preview).await).await;
        refused(&client.post_empty(&preview).await, 403, "email_unverified");
        refused(&client.post_empty(&deploy).await, 403, "email_unverified");
        let page = client.post(&owner.t("/pages"), json!({"title": "Drafts go on"})).await;
        page.expect(201);
        verified(true).await;
        within_a_second(201, async || client.post_empty(&preview).await).await;
        client.post_empty(&deploy).await.expect(202);
    })
    .await;
}

/// A key from before its maker was recorded, and whose audit trail is gone.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_for_which_nobody_answers_publishes_nothing() {
    TestServer::shared(async |server| {
        let owner = server.customer(server.email("owner")).await;
        let site = owner.post("/api/v1/sites", json!({"name": "Site"})).await.expect(201);
        let (tenant, now) = (owner.tenant.parse().unwrap(), server.app.core.env.now());
        let secret = KeyText::new(Mode::Live, &server.app.core.env);
        let key = ApiKey {
            id: server.app.core.env.new_id(),
            tenant,
            name: "Old".to_owned(),
            prefix: secret.prefix().to_owned(),
            permissions: Permissions::from_list(&[Permission::SitesRead, Permission::SitesWrite]),
            mode: Mode::Live,
            active: true,
            allowed_addresses: Vec::new(),
            rate_limit_per_minute: None,
            expires_at: None,
            previous_secret_expires_at: None,
            last_used_at: None,
            created_at: now,
            updated_at: now,
            revoked_at: None,
            made_by: None,
            version: 1,
        };
        let mut work = server.app.core.begin().await.unwrap();
        let digest = server.app.identity.tokens.digest(secret.secret());
        assert!(work.api_keys().insert(&key, digest, 100).await.unwrap());
        work.commit().await.unwrap();
        let client = with_key(server, &owner, secret.full().expose_secret());
        client.get("/api/v1/sites").await.expect(200);
        let preview = format!("/api/v1/sites/{}/preview", text(&site, "id"));
        refused(&client.post_empty(&preview).await, 403, "email_unverified");
        let path = owner.t(&format!("/api-keys/{}/rotate", key.id));
        let rotated = owner.post_empty(&path).await.expect(200);
        let renewed = with_key(server, &owner, &text(&rotated, "key"));
        within_a_second(201, async || renewed.post_empty(&preview).await).await;
        refused(&client.post_empty(&preview).await, 403, "email_unverified");
    })
    .await;
}
