//! Members, their roles, leaving, and handing a tenant over.

use std::time::Duration;

use portico_kernel::{PlatformRole, TenantRole};
use portico_testkit::server::{Client, TestServer, at_once, eventually};
use serde_json::{Value, json};

use crate::{
    fixture::{Person, text},
    tenancy::{member, operator, tenant},
};

/// A user who is a member of a tenant.
async fn person(server: &TestServer, email: &str, tenant: &str, role: TenantRole) -> Person {
    let person = Person::new(server, email, |user| user.full_name = format!("Name of {email}")).await;
    person.join(server, tenant, role).await;
    person
}

fn path(tenant: &str, person: &Person) -> String {
    format!("/api/v1/tenants/{tenant}/members/{}", person.claims.user)
}

async fn owners(client: &Client, tenant: &str) -> u64 {
    let list = client.get(&format!("/api/v1/tenants/{tenant}/members?role=owner")).await.expect(200);
    list["total"].as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn members_are_listed_searched_and_change_roles() {
    TestServer::on_each_database(async |server| {
        let owner = Person::new(server, server.email("owner"), |_| {}).await;
        let client = &owner.client;
        let admin = person(server, server.email("admin"), &client.tenant, TenantRole::Admin).await;
        let viewer = person(server, server.email("viewer"), &client.tenant, TenantRole::Viewer).await;
        let elsewhere = Person::new(server, server.email("eve"), |_| {}).await;
        let list = viewer.client.get(&client.t("/members")).await.expect(200);
        let seen: Vec<_> =
            list["items"].as_array().unwrap().iter().map(|m| (&m["email"], &m["role"])).collect();
        let expected = [
            (json!(server.email("owner")), json!("owner")),
            (json!(server.email("admin")), json!("admin")),
            (json!(server.email("viewer")), json!("viewer")),
        ];
        assert_eq!(seen, expected.iter().map(|(email, role)| (email, role)).collect::<Vec<_>>());
        assert_eq!(list["items"][1]["userId"], admin.claims.user.to_string());
        assert_eq!(list["items"][1]["fullName"], format!("Name of {}", admin.email));
        assert!(list["items"][1]["joinedAt"].is_string());
        for (query, total) in [
            ("?q=OF%20ADMIN", 1),
            ("?q=example.com", 3),
            ("?role=viewer", 1),
            ("?role=viewer&q=admin", 0),
            ("?limit=2&page=2", 3),
            ("?q=%25", 0),
        ] {
            let found = client.get(&client.t(&format!("/members{query}"))).await.expect(200);
            assert_eq!(found["total"], total, "{query}: {found}");
        }
        client.get(&client.t("/members?role=king")).await.expect(422);
        elsewhere.client.get(&client.t("/members")).await.expect(404);

        let to = |role: &str| json!({"role": role});
        assert_eq!(
            admin.client.put(&path(&client.tenant, &viewer), to("editor")).await.expect(200)["role"],
            "editor"
        );
        assert_eq!(
            admin.client.put(&path(&client.tenant, &viewer), to("owner")).await.expect(403)["code"],
            "forbidden"
        );
        admin.client.put(&path(&client.tenant, &owner), to("viewer")).await.expect(403);
        admin.client.delete(&path(&client.tenant, &owner)).await.expect(403);
        viewer.client.put(&path(&client.tenant, &admin), to("viewer")).await.expect(403);
        client.put(&path(&client.tenant, &elsewhere), to("viewer")).await.expect(404);
        client.put(&path(&client.tenant, &viewer), json!({})).await.expect(422);
        client.put(&path(&client.tenant, &viewer), to("king")).await.expect(422);
        // At once: an editor who was demoted can no longer write.
        viewer.client.put(&client.t(""), json!({"name": "No"})).await.expect(403);
        client.put(&path(&client.tenant, &viewer), to("owner")).await.expect(200);
        viewer.client.put(&client.t(""), json!({"name": "Yes"})).await.expect(200);
        client.put(&path(&client.tenant, &viewer), to("viewer")).await.expect(200);
        viewer.client.put(&client.t(""), json!({"name": "No"})).await.expect(403);

        let trail = client.get(&client.t("/audit?type=member.updated")).await.expect(200);
        let newest = &trail["items"][0];
        assert_eq!(
            (&newest["before"]["role"], &newest["after"]["role"]),
            (&json!("owner"), &json!("viewer"))
        );
        assert_eq!(newest["resource"]["id"], viewer.claims.user.to_string());

        client.delete(&path(&client.tenant, &viewer)).await.expect(204);
        viewer.client.get(&client.t("")).await.expect(404);
        client.delete(&path(&client.tenant, &viewer)).await.expect(404);
        assert_eq!(client.get(&client.t("/members")).await.expect(200)["total"], 2);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_member_may_leave_but_the_last_owner() {
    TestServer::shared(async |server| {
        let owner = Person::new(server, server.email("owner"), |_| {}).await;
        let acme = tenant(&owner.client, "Acme").await;
        let viewer = person(server, server.email("viewer"), &acme, TenantRole::Viewer).await;
        viewer.client.delete(&path(&acme, &viewer)).await.expect(204);
        viewer.client.get(&format!("/api/v1/tenants/{acme}")).await.expect(404);
        viewer.client.delete(&path(&acme, &viewer)).await.expect(404);

        let refused = owner.client.delete(&path(&acme, &owner)).await.expect(409);
        assert_eq!(refused["code"], "last_owner");
        let refused = owner.client.put(&path(&acme, &owner), json!({"role": "admin"})).await.expect(409);
        assert_eq!(refused["code"], "last_owner");
        // Not even the operator leaves a tenant without an owner.
        let root = operator(server, server.email("root"), PlatformRole::SuperAdmin).await;
        assert_eq!(root.delete(&path(&acme, &owner)).await.expect(409)["code"], "last_owner");

        let heir = person(server, server.email("heir"), &acme, TenantRole::Owner).await;
        owner.client.delete(&path(&acme, &owner)).await.expect(204);
        assert_eq!(owners(&heir.client, &acme).await, 1);
        let trail =
            heir.client.get(&format!("/api/v1/tenants/{acme}/audit?type=member.deleted")).await.expect(200);
        assert_eq!(trail["items"][0]["before"]["role"], "owner");
        assert_eq!(trail["items"][0]["actor"]["id"], owner.claims.user.to_string());
    })
    .await;
}

/// Two who demote each other, and sixteen who all go, at the same moment: one owner is always left.
#[tokio::test(flavor = "multi_thread")]
async fn however_many_owners_go_at_once_one_is_left() {
    TestServer::on_each_database(async |server| {
        let root = operator(server, server.email("root"), PlatformRole::SuperAdmin).await;
        let first = Person::new(server, server.email("first"), |_| {}).await;
        for round in 0..3 {
            let acme = tenant(&first.client, "Acme").await;
            let second =
                person(server, server.email(&format!("second{round}")), &acme, TenantRole::Owner).await;
            let pair =
                [(first.client.clone(), path(&acme, &second)), (second.client.clone(), path(&acme, &first))];
            let answers = at_once(2, |number| {
                let (client, path) = pair[number].clone();
                async move { client.put(&path, json!({"role": "viewer"})).await.status.as_u16() }
            })
            .await;
            assert_eq!(answers.iter().filter(|status| **status == 200).count(), 1, "{answers:?}");
            assert!(answers.iter().all(|status| [200, 403, 409].contains(status)), "{answers:?}");
            assert_eq!(owners(&root, &acme).await, 1);
        }

        let acme = tenant(&first.client, "Crowd").await;
        let mut crowd = vec![first.clone()];
        for number in 1..16 {
            crowd.push(
                person(server, server.email(&format!("crowd{number}")), &acme, TenantRole::Owner).await,
            );
        }
        let leaving: Vec<_> =
            crowd.iter().map(|person| (person.client.clone(), path(&acme, person))).collect();
        let answers = at_once(16, |number| {
            let (client, path) = leaving[number].clone();
            async move {
                match number % 2 {
                    0 => client.delete(&path).await,
                    _ => client.put(&path, json!({"role": "admin"})).await,
                }
            }
        })
        .await;
        let refused: Vec<_> = answers.iter().filter(|answer| !answer.status.is_success()).collect();
        assert_eq!(refused.len(), 1, "{answers:?}");
        assert_eq!((refused[0].status.as_u16(), &refused[0].json["code"]), (409, &json!("last_owner")));
        assert_eq!(owners(&root, &acme).await, 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_is_handed_over_by_its_owner_in_person() {
    TestServer::shared(async |server| {
        let owner = Person::new(server, server.email("owner"), |_| {}).await;
        let acme = tenant(&owner.client, "Acme").await;
        let heir = person(server, server.email("heir"), &acme, TenantRole::Editor).await;
        let stranger = Person::new(server, server.email("eve"), |_| {}).await;
        let transfer = format!("/api/v1/tenants/{acme}/transfer-ownership");
        let to = |person: &Person| json!({"userId": person.claims.user});
        heir.client.post(&transfer, to(&heir)).await.expect(403);
        owner.client.post(&transfer, to(&stranger)).await.expect(404);
        owner.client.post(&transfer, json!({})).await.expect(422);
        let oneself = owner.client.post(&transfer, to(&owner)).await;
        assert_eq!((oneself.status.as_u16(), oneself.fields()), (422, vec!["userId".to_owned()]));

        // A caller with only the session of an owner, who cannot prove to be them, does not get the tenant.
        let session = owner.claims.session;
        let long_ago = server.app.core.env.now() - time::Duration::hours(1);
        let stale = async |at: portico_kernel::Timestamp| {
            let mut work = server.app.core.begin().await.unwrap();
            let mut found = work.sessions().find(session).await.unwrap().unwrap();
            found.id = server.app.core.env.new_id();
            found.authenticated_at = at;
            work.sessions().insert(&found).await.unwrap();
            work.commit().await.unwrap();
            let mut claims = owner.claims.clone();
            claims.session = found.id;
            let token = server.app.identity.tokens.access_token(&claims, server.app.core.env.now()).unwrap();
            owner.client.with("authorization", &format!("Bearer {token}"))
        };
        let refused = stale(long_ago).await.post(&transfer, to(&heir)).await.expect(403);
        assert_eq!(refused["code"], "reauthentication_required");

        let done = owner.client.post(&transfer, to(&heir)).await.expect(200);
        assert_eq!((&done["userId"], &done["role"]), (&to(&heir)["userId"], &json!("owner")));
        assert_eq!(owners(&heir.client, &acme).await, 1);
        let own = owner.client.get(&format!("/api/v1/tenants/{acme}/members?role=admin")).await.expect(200);
        assert_eq!(own["items"][0]["userId"], owner.claims.user.to_string());
        owner.client.post(&transfer, to(&heir)).await.expect(403);

        let keep = json!({"userId": owner.claims.user, "keepRole": true});
        heir.client.post(&transfer, keep).await.expect(200);
        assert_eq!(owners(&heir.client, &acme).await, 2);
        let trail = format!("/api/v1/tenants/{acme}/audit?type=member.updated");
        let trail = heir.client.get(&trail).await.expect(200);
        let steps: Vec<_> =
            trail["items"].as_array().unwrap().iter().map(|e| e["after"]["role"].clone()).collect();
        assert_eq!(steps, ["owner", "admin", "owner"], "the newest first");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_hands_a_tenant_over_in_somebody_elses_name() {
    TestServer::shared(async |server| {
        let owner = Person::new(server, server.email("owner"), |_| {}).await;
        let acme = tenant(&owner.client, "Acme").await;
        let heir = person(server, server.email("heir"), &acme, TenantRole::Editor).await;
        let staff = Person::new(server, server.email("staff"), |user| user.role = PlatformRole::Staff).await;
        let client = impersonated(server, &owner, &staff).await;
        client.get(&format!("/api/v1/tenants/{acme}")).await.expect(200);
        let transfer = format!("/api/v1/tenants/{acme}/transfer-ownership");
        let refused = client.post(&transfer, json!({"userId": heir.claims.user})).await.expect(403);
        assert_eq!(refused["code"], "impersonated");
        assert_eq!(owners(&owner.client, &acme).await, 1);
    })
    .await;
}

/// A client that acts as `whom`, being `who`.
pub async fn impersonated(server: &TestServer, whom: &Person, who: &Person) -> Client {
    let mut work = server.app.core.begin().await.unwrap();
    let mut session = work.sessions().find(whom.claims.session).await.unwrap().unwrap();
    session.id = server.app.core.env.new_id();
    session.impersonator = Some(who.claims.user);
    work.sessions().insert(&session).await.unwrap();
    work.commit().await.unwrap();
    let mut claims = whom.claims.clone();
    claims.session = session.id;
    let token = server.app.identity.tokens.access_token(&claims, server.app.core.env.now()).unwrap();
    whom.client.with("authorization", &format!("Bearer {token}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_switches_between_the_tenants_of_its_user() {
    TestServer::shared(async |server| {
        let mut person = Person::new(server, server.email("ada"), |_| {}).await;
        let home = person.client.tenant.clone();
        let acme = tenant(&person.client, "Acme").await;
        let foreign = server.unverified(server.email("eve")).await.tenant;
        let switch = "/api/v1/auth/switch-tenant";
        person.client.post(switch, json!({"tenantId": foreign})).await.expect(404);
        person.client.post(switch, json!({})).await.expect(422);
        person.client.post(switch, json!({"tenantId": "acme"})).await.expect(422);
        let refresh = text(&person.tokens, "refresh_token");
        let answer = person.client.post(switch, json!({"tenantId": acme})).await;
        assert_eq!(answer.header("cache-control"), "no-store");
        let switched = answer.expect(200);
        assert_eq!(switched["activeTenantId"], acme);
        assert_eq!(switched["refresh_token"], Value::Null, "an access token buys none");
        let active =
            async |client: &Client| client.get("/api/v1/profile").await.expect(200)["activeTenantId"].clone();
        let mut there = person.client.clone();
        there.sign(&switched);
        assert_eq!(active(&there).await, acme);
        assert_eq!(active(&person.client).await, home, "a token says where it acts as long as it lives");

        let renewed =
            server.client().post("/api/v1/auth/refresh", json!({"refresh_token": refresh})).await.expect(200);
        there.sign(&renewed);
        assert_eq!(active(&there).await, acme, "a refresh keeps it");
        person.sign_in(server).await;
        assert_eq!(active(&person.client).await, acme, "and the next sign-in begins there");

        // A user who is removed from the active tenant is back in their own.
        let heir = self::person(server, server.email("heir"), &acme, TenantRole::Owner).await;
        heir.client.delete(&path(&acme, &person)).await.expect(204);
        assert_eq!(active(&there).await, Value::Null);
        person.sign_in(server).await;
        assert_eq!(active(&person.client).await, home);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_owns_more_tenants_than_allowed_however_fast() {
    for database in [portico_testkit::server::Database::Sqlite, portico_testkit::server::Database::Postgres] {
        let server =
            TestServer::start_with(database, |settings| settings.tenancy.max_owned_tenants = 4).await;
        let client = server.unverified(server.email("ada")).await;
        let answers = at_once(16, |number| {
            let client = client.clone();
            async move { client.post("/api/v1/tenants", json!({"name": format!("Acme {number}")})).await }
        })
        .await;
        let made = answers.iter().filter(|answer| answer.status.as_u16() == 201).count();
        assert_eq!(made, 3, "the personal tenant counts: {answers:?}");
        let refused = answers.iter().filter(|answer| answer.json["code"] == "too_many_tenants").count();
        assert_eq!(refused, 13, "{answers:?}");
        assert_eq!(client.get("/api/v1/tenants").await.expect(200)["total"], 4);
        // Being a member of others does not count.
        let other = server.unverified(server.email("eve")).await;
        let joined = member(&server, server.email("bob"), &other.tenant, TenantRole::Admin).await;
        tenant(&joined, "One").await;
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_receives_a_tenant_hears_of_it_and_of_what_becomes_of_it() {
    TestServer::shared(async |server| {
        let owner = Person::new(server, server.email("owner"), |_| {}).await;
        let acme = tenant(&owner.client, "Acme Bakery").await;
        let root = operator(server, server.email("root"), PlatformRole::SuperAdmin).await;
        let reason = json!({"reason": "Unpaid"});
        root.post(&format!("/api/v1/tenants/{acme}/suspend"), reason).await.expect(200);
        let mailed = eventually(Duration::from_secs(20), async || {
            let mail = server
                .client()
                .with("accept", "application/json")
                .get(&format!("/dev/mailbox?to={}", server.email("owner")))
                .await;
            mail.text.contains("Acme Bakery is suspended").then_some(())
        })
        .await;
        assert!(mailed.is_some(), "no message about the suspension");
    })
    .await;
}
