//! Erasing a person: nothing about them is left in any table, and the audit trail still holds.

use std::time::Duration;

use portico_kernel::{PlatformRole, RequestInfo, Scope};
use portico_tenancy::chain::Chains;
use portico_testkit::server::{Client, PASSWORD, TestServer, eventually};
use reqwest::Method;
use serde_json::json;

use crate::{
    fixture::{PICTURE, Person},
    users::{path, refused},
};

const EMAIL: &str = "quetzalcoatl.ixchel@example.com";
const NAME: &str = "Quetzalcoatl Ixchel";
const PHONE: &str = "+502 7755 3311";
const AGENT: &str = "Quetzal-Phone/7";

/// A user who leaves every kind of trace: their client, their id, and the path of their picture.
async fn traced_user(server: &TestServer, root: &Person) -> (Client, String, String) {
    let client = server.client().with("user-agent", AGENT);
    let body = json!({"email": EMAIL, "password": PASSWORD, "fullName": NAME, "phone": PHONE});
    let mut client = {
        let tokens = client.post("/api/v1/auth/register", body).await.expect(201);
        let mut client = client;
        client.sign(&tokens);
        client
    };
    let token = server.mail_token(EMAIL, "verify-email").await;
    client.post("/api/v1/auth/verify-email", json!({"token": token})).await.expect(200);
    let profile = client.get("/api/v1/profile").await.expect(200);
    client.tenant = profile["activeTenantId"].as_str().unwrap().to_owned();
    let change =
        json!({"address": "7 Calle Poniente, Antigua", "notes": "feathered", "company": "Serpents Ltd"});
    client.put("/api/v1/profile", change).await.expect(200);
    let picture = Some(PICTURE.to_vec());
    let shown = client.send(Method::PUT, "/api/v1/profile/avatar", picture, "image/gif").await.expect(200);
    let shown =
        shown["avatarUrl"].as_str().unwrap().strip_prefix(&*server.app.api.public_url).unwrap().to_owned();
    assert_eq!(server.client().get(&shown).await.status.as_u16(), 200);
    // A failed and a good sign-in, another tenant, a renamed one, an invitation, a change by an admin.
    let anonymous = server.client().with("user-agent", AGENT);
    anonymous
        .post("/api/v1/auth/login", json!({"email": EMAIL, "password": "Wrong-Horse-7"}))
        .await
        .expect(401);
    anonymous.post("/api/v1/auth/login", json!({"email": EMAIL, "password": PASSWORD})).await.expect(200);
    client.post("/api/v1/tenants", json!({"name": format!("{NAME}'s shop")})).await.expect(201);
    root.client
        .post(&root.client.t("/invitations"), json!({"email": EMAIL, "role": "viewer"}))
        .await
        .expect(201);
    let id = profile["id"].as_str().unwrap().to_owned();
    root.client.put(&format!("/api/v1/users/{id}"), json!({"mobile": "+502 7755 3312"})).await.expect(200);
    (client, id, shown)
}

/// Waits until no table has anything of the person.
async fn nothing_left(server: &TestServer) {
    let mut left = Vec::new();
    let gone = eventually(Duration::from_secs(30), async || {
        left.clear();
        for trace in [
            EMAIL,
            NAME,
            "quetzalcoatl-ixchel",
            "7755 3311",
            "7755 3312",
            "Calle Poniente",
            "feathered",
            "Serpents",
            AGENT,
        ] {
            for place in server.places_of(trace).await {
                left.push(format!("{trace} in {place}"));
            }
        }
        left.is_empty().then_some(())
    })
    .await;
    assert!(gone.is_some(), "{left:?}");
}

/// The chain of a tenant's trail, deleted or not, holds, and so many of its entries at least were redacted.
async fn verified(server: &TestServer, tenant: &str, redacted: u64) {
    let scope = Scope::system(Some(tenant.parse().unwrap()), RequestInfo::default());
    let found = eventually(Duration::from_secs(10), async || {
        let verification = Chains::new(&mut *server.app.core.reader(), &scope).verify().await.unwrap();
        (verification.unsealed == 0).then_some(verification)
    });
    let found = found.await.expect("everything is sealed");
    assert!(found.intact && found.redacted >= redacted, "{found:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_an_erased_person_is_left_in_any_table() {
    TestServer::alone(async |server| {
        let root =
            Person::new(server, server.email("root"), |user| user.role = PlatformRole::SuperAdmin).await;
        let (client, id, picture) = traced_user(server, &root).await;
        assert!(!server.places_of(EMAIL).await.is_empty());
        assert!(server.places_of(NAME).await.iter().any(|place| place == "tenants.name"));
        let before = root.client.get(&format!("/api/v1/audit?actorId={id}&limit=100")).await.expect(200);

        client.post_empty("/api/v1/profile/erase").await.expect(202);
        assert_eq!(client.get("/api/v1/profile").await.status.as_u16(), 401, "the very next request");
        nothing_left(server).await;

        let user = root.client.get(&format!("/api/v1/users/{id}")).await.expect(200);
        assert_eq!((&user["fullName"], &user["status"]), (&json!("Erased person"), &json!("deleted")));
        assert_eq!(user["email"], format!("{id}@erased.invalid"));
        // What they did stays, and the audit chain still verifies.
        let after = root.client.get(&format!("/api/v1/audit?actorId={id}&limit=100")).await.expect(200);
        let ids = |list: &serde_json::Value| {
            list["items"].as_array().unwrap().iter().map(|entry| entry["id"].clone()).collect::<Vec<_>>()
        };
        assert!(ids(&before).iter().all(|entry| ids(&after).contains(entry)), "entries are missing");
        assert!(after.to_string().contains("[erased]"));
        assert_eq!(server.client().get(&picture).await.status.as_u16(), 404, "the picture is gone");
        verified(server, &client.tenant, 5).await;
        verified(server, &root.client.tenant, 0).await;

        // Again is no error, and the address is free.
        root.client.post_empty(&format!("/api/v1/users/{id}/erase")).await.expect(202);
        let again = server.unverified(EMAIL).await;
        // The mailbox still has the message to the account that is gone, whose link is invalid.
        let proven = eventually(Duration::from_secs(20), async || {
            let token = server.mail_token(EMAIL, "verify-email").await;
            let answer = again.post("/api/v1/auth/verify-email", json!({"token": token})).await;
            (answer.status.as_u16() == 200).then_some(())
        });
        proven.await.expect("the address is free");
        let profile = again.get("/api/v1/profile").await.expect(200);
        assert_ne!(profile["id"], id);
        assert_eq!(root.client.get(&format!("/api/v1/users/{id}")).await.expect(200), user);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_account_can_be_erased_by_a_super_admin_later() {
    TestServer::alone(async |server| {
        let root =
            Person::new(server, server.email("root"), |user| user.role = PlatformRole::SuperAdmin).await;
        let staff = Person::new(server, server.email("staff"), |user| user.role = PlatformRole::Staff).await;
        let (client, id, _) = traced_user(server, &root).await;
        client.delete(&format!("/api/v1/users/{id}")).await.expect(204);
        assert!(server.places_of(NAME).await.contains(&"users.full_name".to_owned()), "only deleted");
        refused(&staff.client.post_empty(&format!("/api/v1/users/{id}/erase")).await, 403, "forbidden");
        root.client.post_empty(&format!("/api/v1/users/{id}/erase")).await.expect(202);
        nothing_left(server).await;
        refused(&root.client.post_empty(&path(&root, "/erase")).await, 409, "last_super_admin");
    })
    .await;
}

/// A stranger who registers with another person's address and is erased takes nothing from that person.
#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_who_claimed_an_address_erases_nothing_of_its_owner() {
    TestServer::alone(async |server| {
        let root =
            Person::new(server, server.email("root"), |user| user.role = PlatformRole::SuperAdmin).await;
        let invited = json!({"email": server.email("ada"), "role": "viewer"});
        root.client.post(&root.client.t("/invitations"), invited).await.expect(201);
        let stranger = server.unverified(server.email("ada")).await;
        let id = stranger.get("/api/v1/profile").await.expect(200)["id"].as_str().unwrap().to_owned();
        stranger.post_empty("/api/v1/profile/erase").await.expect(202);
        let done = eventually(Duration::from_secs(20), async || {
            let places = server.places_of("user.erase").await;
            (!places.contains(&"jobs.kind".to_owned())).then_some(())
        })
        .await;
        assert!(done.is_some());
        let invitations = root.client.get(&root.client.t("/invitations")).await.expect(200);
        assert_eq!(invitations["items"][0]["email"], server.email("ada"), "{invitations}");
        let user = root.client.get(&format!("/api/v1/users/{id}")).await.expect(200);
        assert_eq!(user["fullName"], "Erased person");
    })
    .await;
}
