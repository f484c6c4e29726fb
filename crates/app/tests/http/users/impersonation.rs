//! Staff who act as a customer.

use std::time::Duration;

use portico_kernel::PlatformRole;
use portico_testkit::server::{Client, PASSWORD, TestServer};
use serde_json::json;

use super::{NEW_PASSWORD, login, path, refused, staff, super_admin};
use crate::{fixture::Person, profile_and_sessions::ends_within};

async fn impersonate(server: &TestServer, staff: &Person, customer: &Person) -> Client {
    let body = json!({"reason": "Ticket 4711: the navigation"});
    let answer = staff.client.post(&path(customer, "/impersonate"), body).await;
    assert_eq!(answer.header("cache-control"), "no-store");
    let tokens = answer.expect(200);
    assert_eq!(tokens["user"]["id"], customer.claims.user.to_string());
    assert!(tokens.get("refresh_token").is_none(), "{tokens}");
    assert!((3590..=3600).contains(&tokens["expires_in"].as_i64().unwrap()), "{tokens}");
    let mut client = server.client();
    client.sign(&tokens);
    client.tenant = customer.client.tenant.clone();
    client
}

#[tokio::test(flavor = "multi_thread")]
async fn staff_act_as_a_customer_with_both_in_every_entry() {
    TestServer::shared(async |server| {
        let root = super_admin(server).await;
        let staff = staff(server).await;
        let ada = Person::new(server, server.email("ada"), |_| {}).await;
        let acting = impersonate(server, &staff, &ada).await;
        assert_eq!(acting.get("/api/v1/profile").await.expect(200)["email"], server.email("ada"));
        let page = acting.post("/api/v1/sites", json!({"name": "Helped"})).await.expect(201);

        let trail = ada.client.get(&ada.client.t("/audit?limit=100")).await.expect(200);
        let entries = trail["items"].as_array().unwrap();
        let find = |kind: &str| entries.iter().find(|entry| entry["type"] == kind).unwrap();
        let begun = find("session.impersonated");
        assert_eq!(begun["actor"]["id"], staff.claims.user.to_string());
        assert_eq!(begun["after"]["reason"], "Ticket 4711: the navigation");
        assert_eq!(begun["after"]["userId"], ada.claims.user.to_string());
        let made = find("site.created");
        assert_eq!(made["resource"]["id"], page["id"]);
        assert_eq!(made["actor"]["id"], ada.claims.user.to_string());
        assert!(made.to_string().contains(&staff.claims.user.to_string()), "both actors: {made}");

        let sessions = ada.client.get("/api/v1/auth/sessions").await.expect(200);
        let shown: Vec<_> =
            sessions["items"].as_array().unwrap().iter().map(|s| &s["impersonated"]).collect();
        assert_eq!(shown.iter().filter(|shown| ***shown == json!(true)).count(), 1, "{sessions}");
        assert_eq!(ada.client.get("/api/v1/profile").await.expect(200)["lastLoginAt"], {
            let user = root.client.get(&path(&ada, "")).await.expect(200);
            user["lastLoginAt"].clone()
        });

        acting.post_empty("/api/v1/auth/logout").await.expect(204);
        assert_eq!(acting.get("/api/v1/profile").await.status.as_u16(), 401);
        ada.client.get("/api/v1/profile").await.expect(200);
        staff.client.get("/api/v1/profile").await.expect(200);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_acts_as_a_customer_cannot_do_what_only_they_should() {
    TestServer::alone(async |server| {
        let staff = staff(server).await;
        let ada = Person::new(server, server.email("ada"), |_| {}).await;
        let acting = impersonate(server, &staff, &ada).await;
        let own = path(&ada, "");
        let session = format!("/api/v1/auth/sessions/{}", ada.claims.session);
        let change = json!({"currentPassword": PASSWORD, "newPassword": NEW_PASSWORD});
        let invitation = json!({"email": server.email("friend"), "role": "owner"});
        let key = json!({"name": "Mine", "permissions": ["tenant:read"]});
        for (what, answer) in [
            ("password", acting.post("/api/v1/auth/change-password", change.clone()).await),
            ("password by id", acting.put(&path(&ada, "/password"), change).await),
            ("session", acting.delete(&session).await),
            ("account", acting.delete(&own).await),
            ("erasure", acting.post_empty("/api/v1/profile/erase").await),
            ("export", acting.get("/api/v1/profile/export").await),
            ("key", acting.post(&acting.t("/api-keys"), key).await),
            ("member", acting.post(&acting.t("/invitations"), invitation).await),
            ("tenant", acting.delete(&acting.t("")).await),
            ("message", acting.post_empty("/api/v1/auth/resend-verification").await),
        ] {
            assert_eq!(
                (answer.status.as_u16(), &answer.json["code"]),
                (403, &json!("impersonated")),
                "{what}: {}",
                answer.text
            );
        }
        for answer in [
            acting.get("/api/v1/users").await,
            acting.get("/api/v1/admin/jobs").await,
            acting.post(&path(&staff, "/impersonate"), json!({"reason": "further on"})).await,
        ] {
            refused(&answer, 403, "forbidden");
        }
        login(server, server.email("ada"), PASSWORD).await.expect(200);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn acting_as_somebody_has_bounds_and_ends_with_the_right_to_it() {
    TestServer::alone(async |server| {
        let root = super_admin(server).await;
        let staff = staff(server).await;
        let colleague =
            Person::new(server, server.email("colleague"), |user| user.role = PlatformRole::Staff).await;
        let ada = Person::new(server, server.email("ada"), |_| {}).await;
        let reason = json!({"reason": "Ticket 4711"});
        let ask = async |by: &Person, whom: &Person| {
            by.client.post(&path(whom, "/impersonate"), reason.clone()).await
        };
        refused(&ask(&ada, &colleague).await, 403, "forbidden");
        refused(&ask(&staff, &staff).await, 409, "own_account");
        refused(&ask(&staff, &colleague).await, 403, "role_too_high");
        refused(&ask(&staff, &root).await, 403, "role_too_high");
        ask(&root, &colleague).await.expect(200);
        for body in [json!({}), json!({"reason": " x "}), json!({"reason": "x".repeat(501)})] {
            assert_eq!(staff.client.post(&path(&ada, "/impersonate"), body).await.fields(), ["reason"]);
        }
        let no_account = format!("/api/v1/users/{}/impersonate", ada.client.tenant);
        refused(&staff.client.post(&no_account, reason.clone()).await, 404, "not_found");

        // An impersonated super admin has no rights of the platform; their tenants are theirs alone.
        let acting = impersonate(server, &root, &staff).await;
        refused(&acting.get("/api/v1/admin/jobs").await, 403, "forbidden");

        // Ends with the suspension of the impersonator, with their demotion, their password, and with the customer's suspension.
        let acting = impersonate(server, &staff, &ada).await;
        acting.get("/api/v1/profile").await.expect(200);
        root.client.put(&path(&staff, ""), json!({"status": "suspended"})).await.expect(200);
        ends_within(Duration::from_secs(1), &acting).await;
        root.client.put(&path(&staff, ""), json!({"status": "active"})).await.expect(200);
        assert_eq!(acting.get("/api/v1/profile").await.status.as_u16(), 401, "for good");

        let acting = impersonate(server, &colleague, &ada).await;
        root.client.put(&path(&colleague, ""), json!({"role": "customer"})).await.expect(200);
        ends_within(Duration::from_secs(1), &acting).await;
        root.client.put(&path(&colleague, ""), json!({"role": "staff"})).await.expect(200);

        let acting = impersonate(server, &colleague, &ada).await;
        let change = json!({"currentPassword": PASSWORD, "newPassword": NEW_PASSWORD});
        colleague.client.post("/api/v1/auth/change-password", change).await.expect(204);
        ends_within(Duration::from_secs(1), &acting).await;

        let acting = impersonate(server, &colleague, &ada).await;
        root.client.put(&path(&ada, ""), json!({"status": "suspended"})).await.expect(200);
        ends_within(Duration::from_secs(1), &acting).await;
        refused(&ask(&colleague, &ada).await, 409, "account_not_active");
    })
    .await;
}
