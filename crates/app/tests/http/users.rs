//! Managing accounts: lists, creation, changes, suspension, deletion, impersonation, and the export of personal data.
//! Erasing is in `erasure.rs`.

mod impersonation;

use std::time::Duration;

use portico_kernel::{PlatformRole, TenantRole};
use portico_testkit::server::{Answer, PASSWORD, TestServer, at_once};
use serde_json::{Value, json};

use crate::{
    fixture::{Person, text},
    profile_and_sessions::ends_within,
};

const NEW_PASSWORD: &str = "Another-Horse-8";

async fn super_admin(server: &TestServer) -> Person {
    Person::new(server, server.email("root"), |user| user.role = PlatformRole::SuperAdmin).await
}

async fn staff(server: &TestServer) -> Person {
    Person::new(server, server.email("staff"), |user| user.role = PlatformRole::Staff).await
}

pub fn path(person: &Person, rest: &str) -> String {
    format!("/api/v1/users/{}{rest}", person.claims.user)
}

#[track_caller]
pub fn refused(answer: &Answer, status: u16, code: &str) {
    assert_eq!(
        (answer.status.as_u16(), answer.json["code"].as_str()),
        (status, Some(code)),
        "{}",
        answer.text
    );
}

async fn login(server: &TestServer, email: &str, password: &str) -> Answer {
    server.client().post("/api/v1/auth/login", json!({"email": email, "password": password})).await
}

fn emails(list: &Value) -> Vec<&str> {
    list["items"].as_array().unwrap().iter().map(|user| user["email"].as_str().unwrap()).collect()
}

/// The events of a kind, newest first, as super admins read them.
async fn events(root: &Person, kind: &str) -> Vec<Value> {
    let list = root.client.get(&format!("/api/v1/audit?type={kind}&limit=100")).await.expect(200);
    list["items"].as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_are_listed_searched_filtered_and_sorted() {
    TestServer::on_each_database(async |server| {
        let root = super_admin(server).await;
        let ada =
            Person::new(server, server.email("ada"), |user| user.full_name = "Óscar Lovelace".into()).await;
        let staff = staff(server).await;
        server.unverified(server.email("zoe")).await;
        let list = async |query: &str| root.client.get(&format!("/api/v1/users{query}")).await.expect(200);

        let all = list("").await;
        assert_eq!(
            emails(&all),
            [server.email("zoe"), server.email("staff"), server.email("ada"), server.email("root")]
        );
        assert_eq!((&all["total"], &all["page"], &all["limit"]), (&json!(4), &json!(1), &json!(20)));
        for (query, expected) in [
            (
                "?sort=email",
                vec![server.email("ada"), server.email("root"), server.email("staff"), server.email("zoe")],
            ),
            ("?sort=createdAt&limit=2", vec![server.email("root"), server.email("ada")]),
            ("?sort=-email&limit=1&page=2", vec![server.email("staff")]),
            ("?q=ADA%40T", vec![server.email("ada")]),
            ("?q=%C3%B3scar", vec![server.email("ada")]),
            ("?q=100%25", vec![]),
            ("?role=super_admin", vec![server.email("root")]),
            ("?role=customer&emailVerified=true", vec![server.email("ada")]),
            ("?emailVerified=false", vec![server.email("zoe")]),
            ("?status=suspended", vec![]),
        ] {
            assert_eq!(emails(&list(query).await), expected, "{query}");
        }
        let by_login = list("?sort=lastLoginAt").await;
        let backwards = list("?sort=-lastLoginAt").await;
        let mut reversed = emails(&backwards);
        reversed.reverse();
        assert_eq!(emails(&by_login), reversed);

        root.client.delete(&path(&ada, "")).await.expect(204);
        assert_eq!(list("").await["total"], 3);
        assert_eq!(emails(&list("?status=deleted").await), [server.email("ada")]);

        for query in [
            "?sort=name",
            "?status=gone",
            "?role=boss",
            "?page=0",
            "?limit=101",
            "?email=x",
            "?emailVerified=maybe",
        ] {
            assert_eq!(
                root.client.get(&format!("/api/v1/users{query}")).await.status.as_u16(),
                422,
                "{query}"
            );
        }
        refused(&staff.client.get("/api/v1/users").await, 403, "forbidden");
        assert_eq!(server.client().get("/api/v1/users").await.status.as_u16(), 401);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_made_for_somebody_is_theirs_once_they_used_the_link() {
    TestServer::alone(async |server| {
        let root = super_admin(server).await;
        let body =
            json!({"email": server.email("New").replace("example", "Example"), "fullName": "New Person", "role": "staff", "language": "es"});
        let made = root.client.post("/api/v1/users", body).await;
        let location = made.header("location").to_owned();
        let user = made.expect(201);
        assert_eq!(location, format!("/api/v1/users/{}", text(&user, "id")));
        assert_eq!(
            (&user["email"], &user["emailVerified"], &user["role"], &user["language"]),
            (&json!(server.email("new")), &json!(false), &json!("staff"), &json!("es"))
        );
        assert_eq!(login(server, server.email("new"), PASSWORD).await.status.as_u16(), 401, "no password yet");

        let token = server.mail_token(server.email("new"), "reset-password").await;
        let reset = json!({"token": token, "password": NEW_PASSWORD});
        server.client().post("/api/v1/auth/reset-password", reset).await.expect(204);
        let mut client = server.client();
        client.sign(&login(server, server.email("new"), NEW_PASSWORD).await.expect(200));
        let profile = client.get("/api/v1/profile").await.expect(200);
        assert_eq!((&profile["emailVerified"], &profile["package"]["plan"]), (&json!(true), &json!("free")));
        assert_eq!(profile["tenants"][0]["role"], "owner");
        assert_eq!(profile["tenants"].as_array().unwrap().len(), 1);

        let again = json!({"email": server.email("new"), "fullName": "Other"});
        refused(&root.client.post("/api/v1/users", again).await, 409, "email_taken");
        let with = json!({"email": server.email("two"), "fullName": "Two", "password": PASSWORD});
        root.client.post("/api/v1/users", with).await.expect(201);
        login(server, server.email("two"), PASSWORD).await.expect(200);
        server.mail_token(server.email("two"), "verify-email").await;

        let wrong =
            json!({"email": "x", "fullName": "", "phone": "x", "password": "short", "language": "xx"});
        let wrong = root.client.post("/api/v1/users", wrong).await;
        assert_eq!(wrong.status.as_u16(), 422);
        let mut fields = wrong.fields();
        fields.dedup();
        assert_eq!(fields, ["email", "fullName", "language", "password", "phone"]);
        let created = events(&root, "user.created").await;
        assert_eq!(created.len(), 2);
        assert_eq!(created[0]["actor"]["id"], root.claims.user.to_string());
        assert!(!created[0].to_string().contains(PASSWORD));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn people_see_and_change_their_own_account_and_super_admins_all() {
    TestServer::alone(async |server| {
        let root = super_admin(server).await;
        let ada = Person::new(server, server.email("ada"), |_| {}).await;
        let eve = Person::new(server, server.email("eve"), |_| {}).await;
        let own = ada.client.get(&path(&ada, "")).await;
        let tag = own.header("etag").to_owned();
        assert_eq!(own.expect(200)["email"], server.email("ada"));
        let same = ada.client.with("if-none-match", &tag).get(&path(&ada, "")).await;
        assert_eq!(same.status.as_u16(), 304);
        refused(&eve.client.get(&path(&ada, "")).await, 404, "not_found");
        refused(&eve.client.put(&path(&ada, ""), json!({"company": "Eve's"})).await, 404, "not_found");
        refused(&eve.client.delete(&path(&ada, "")).await, 404, "not_found");
        refused(&root.client.get(&format!("/api/v1/users/{}", ada.client.tenant)).await, 404, "not_found");

        let changed =
            ada.client.with("if-match", &tag).put(&path(&ada, ""), json!({"company": "Engines"})).await;
        assert_eq!(changed.expect(200)["company"], "Engines");
        let stale = ada.client.with("if-match", &tag).put(&path(&ada, ""), json!({"company": "X"})).await;
        refused(&stale, 412, "precondition_failed");
        for body in [json!({"role": "super_admin"}), json!({"status": "active"})] {
            refused(&ada.client.put(&path(&ada, ""), body).await, 403, "forbidden");
        }
        for body in
            [json!({"status": "deleted"}), json!({"role": "boss"}), json!({"email": server.email("x")})]
        {
            assert_eq!(root.client.put(&path(&ada, ""), body.clone()).await.status.as_u16(), 422, "{body}");
        }
        let promoted = root.client.put(&path(&ada, ""), json!({"role": "staff"})).await.expect(200);
        assert_eq!((&promoted["role"], &promoted["company"]), (&json!("staff"), &json!("Engines")));
        for body in [json!({"role": "staff"}), json!({"status": "suspended"})] {
            refused(&root.client.put(&path(&root, ""), body).await, 409, "own_account");
        }
        refused(&root.client.delete(&path(&root, "")).await, 409, "last_super_admin");
        refused(&root.client.post_empty(&path(&root, "/erase")).await, 409, "last_super_admin");
        let updated = &events(&root, "user.updated").await[0];
        assert_eq!(
            (&updated["before"]["role"], &updated["after"]["role"]),
            (&json!("customer"), &json!("staff"))
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspension_over_http_ends_a_running_session_and_keys_within_a_second() {
    TestServer::shared(async |server| {
        let root = super_admin(server).await;
        let ada = Person::new(server, server.email("ada"), |_| {}).await;
        let key = json!({"name": "Shop", "permissions": ["tenant:read"]});
        let key = ada.client.post(&ada.client.t("/api-keys"), key).await.expect(201);
        let program = server.client().with("x-api-key", &text(&key, "key"));
        let tenant = ada.client.t("");
        program.get(&tenant).await.expect(200);
        ada.client.get("/api/v1/profile").await.expect(200);

        root.client.put(&path(&ada, ""), json!({"status": "suspended"})).await.expect(200);
        ends_within(Duration::from_secs(1), &ada.client).await;
        let refresh = json!({"refresh_token": ada.tokens["refresh_token"]});
        assert_eq!(server.client().post("/api/v1/auth/refresh", refresh.clone()).await.status.as_u16(), 401);
        refused(&login(server, server.email("ada"), PASSWORD).await, 403, "account_suspended");
        program.get(&tenant).await.expect(401);

        root.client.put(&path(&ada, ""), json!({"status": "active"})).await.expect(200);
        program.get(&tenant).await.expect(200);
        assert_eq!(
            server.client().post("/api/v1/auth/refresh", refresh).await.status.as_u16(),
            401,
            "what was ended stays so"
        );
        login(server, server.email("ada"), PASSWORD).await.expect(200);
        for (kind, status) in [("user.suspended", "suspended"), ("user.reinstated", "active")] {
            let event = &events(&root, kind).await[0];
            assert_eq!(event["after"]["status"], status);
            assert_eq!(event["actor"]["id"], root.claims.user.to_string());
        }
    })
    .await;
}

/// Two super admins take each other's role at the same moment, again and again: one is always left.
#[tokio::test(flavor = "multi_thread")]
async fn of_two_super_admins_who_demote_each_other_one_stays() {
    TestServer::on_each_database(async |server| {
        for round in 0..5 {
            let make = async |name: &str| {
                let email = server.email(&format!("{name}{round}"));
                Person::new(server, email, |user| user.role = PlatformRole::SuperAdmin).await
            };
            let (one, two) = (make("one").await, make("two").await);
            let calls = [(one.clone(), two.clone()), (two.clone(), one.clone())];
            let answers = at_once(2, move |number| {
                let (actor, other) = calls[number].clone();
                let body = match round % 2 {
                    0 => json!({"role": "customer"}),
                    _ => json!({"status": "suspended"}),
                };
                async move { actor.client.put(&path(&other, ""), body).await }
            })
            .await;
            let statuses: Vec<_> = answers.iter().map(|answer| answer.status.as_u16()).collect();
            assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{answers:?}");
            assert!(
                statuses.iter().all(|status| matches!(status, 200 | 401 | 403 | 404 | 409)),
                "{statuses:?}"
            );
            let (winner, loser) = if statuses[0] == 200 { (&one, &two) } else { (&two, &one) };
            let list = winner.client.get("/api/v1/users?role=super_admin&status=active").await.expect(200);
            assert_eq!(emails(&list), [winner.email.as_str()]);
            assert_ne!(loser.client.get("/api/v1/users").await.status.as_u16(), 200);
            // Makes room for the next two.
            let heir = Person::new(server, server.email(&format!("heir{round}")), |user| {
                user.role = PlatformRole::SuperAdmin;
            })
            .await;
            heir.client.delete(&path(winner, "")).await.expect(204);
            let gone =
                crate::fixture::change_user(server, &heir.claims, |user| user.role = PlatformRole::Customer);
            gone.await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deleting_an_account_takes_its_own_tenants_along_and_strands_nobody() {
    TestServer::shared(async |server| {
        let root = super_admin(server).await;
        let ada = Person::new(server, server.email("ada"), |_| {}).await;
        let eve = Person::new(server, server.email("eve"), |_| {}).await;
        eve.join(server, &ada.client.tenant, TenantRole::Editor).await;
        ada.join(server, &eve.client.tenant, TenantRole::Viewer).await;
        let held = ada.client.delete(&path(&ada, "")).await;
        refused(&held, 409, "last_owner");
        assert_eq!(held.json["tenants"][0]["id"], ada.client.tenant);
        assert_eq!(held.json["tenants"].as_array().unwrap().len(), 1);
        refused(&root.client.delete(&path(&ada, "")).await, 409, "last_owner");
        refused(&root.client.post_empty(&path(&ada, "/erase")).await, 409, "last_owner");
        refused(&ada.client.post_empty("/api/v1/profile/erase").await, 409, "last_owner");
        ada.client.get("/api/v1/profile").await.expect(200);
        assert!(events(&root, "user.deleted").await.is_empty(), "a refusal leaves nothing behind");

        // The tenant continues with another owner.
        let membership = ada.client.t(&format!("/members/{}", eve.claims.user));
        ada.client.put(&membership, json!({"role": "owner"})).await.expect(200);
        let alone = ada.client.post("/api/v1/tenants", json!({"name": "Alone"})).await.expect(201);
        ada.client.delete(&path(&ada, "")).await.expect(204);
        assert_eq!(ada.client.get("/api/v1/profile").await.status.as_u16(), 401, "the very next request");
        assert_eq!(login(server, server.email("ada"), PASSWORD).await.status.as_u16(), 401);
        let tenants = eve.client.get("/api/v1/profile").await.expect(200)["tenants"].clone();
        assert_eq!(tenants.as_array().unwrap().len(), 2, "both of eve's are there: {tenants}");
        let deleted = events(&root, "tenant.deleted").await;
        assert_eq!(deleted.len(), 1);
        assert_eq!(deleted[0]["resource"]["id"], alone["id"]);
        let left = events(&root, "member.deleted").await;
        assert_eq!(left.len(), 2);
        assert!(left.iter().all(|event| event["before"]["userId"] == ada.claims.user.to_string()));
        refused(
            &root.client.put(&path(&ada, ""), json!({"status": "active"})).await,
            409,
            "account_not_active",
        );
        refused(&root.client.delete(&path(&ada, "")).await, 404, "not_found");

        // The address is free for another account.
        let again = server.customer(server.email("ada")).await;
        let profile = again.get("/api/v1/profile").await.expect(200);
        assert_ne!(profile["id"], ada.claims.user.to_string());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_set_with_the_current_one_or_by_a_super_admin() {
    TestServer::shared(async |server| {
        let root = super_admin(server).await;
        let ada = Person::new(server, server.email("ada"), |_| {}).await;
        let eve = Person::new(server, server.email("eve"), |_| {}).await;
        let set = json!({"newPassword": NEW_PASSWORD});
        assert_eq!(ada.client.put(&path(&ada, "/password"), set.clone()).await.fields(), ["currentPassword"]);
        let wrong = json!({"currentPassword": "Wrong-Horse-7", "newPassword": NEW_PASSWORD});
        let wrong = ada.client.put(&path(&ada, "/password"), wrong).await;
        assert_eq!(wrong.json["errors"][0]["code"], "wrong_password");
        refused(&eve.client.put(&path(&ada, "/password"), set.clone()).await, 404, "not_found");
        assert_eq!(
            root.client.put(&path(&ada, "/password"), json!({"newPassword": "x"})).await.fields()[0],
            "newPassword"
        );
        assert_eq!(
            root.client.put(&path(&root, "/password"), set.clone()).await.fields(),
            ["currentPassword"]
        );

        let own = json!({"currentPassword": PASSWORD, "newPassword": NEW_PASSWORD});
        ada.client.put(&path(&ada, "/password"), own).await.expect(204);
        ada.client.get("/api/v1/profile").await.expect(200);
        login(server, server.email("ada"), NEW_PASSWORD).await.expect(200);
        root.client
            .put(&path(&ada, "/password"), json!({"newPassword": "Third-Horse-99!"}))
            .await
            .expect(204);
        assert_eq!(ada.client.get("/api/v1/profile").await.status.as_u16(), 401, "signed out everywhere");
        login(server, server.email("ada"), "Third-Horse-99!").await.expect(200);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_takes_their_own_data_away_without_secrets() {
    TestServer::shared(async |server| {
        let ada = Person::new(server, server.email("ada"), |_| {}).await;
        for number in 0..3 {
            ada.client.put("/api/v1/profile", json!({"notes": format!("Note {number}")})).await.expect(200);
        }
        let eve = Person::new(server, server.email("eve"), |_| {}).await;
        eve.client.put("/api/v1/profile", json!({"notes": "nobody's business"})).await.expect(200);
        let answer = ada.client.get("/api/v1/profile/export").await;
        assert!(answer.header("content-disposition").starts_with("attachment; filename=\"portico-"));
        assert_eq!(answer.header("content-type"), "application/json");
        let export = answer.clone().expect(200);
        assert_eq!(export["user"]["email"], server.email("ada"));
        assert_eq!(export["memberships"][0]["role"], "owner");
        assert_eq!(export["sessions"].as_array().unwrap().len(), 2);
        for list in ["identities", "passkeys", "devices", "invitationsSent", "invitationsReceived"] {
            assert!(export[list].is_array(), "{list}: {export}");
        }
        let entries = export["auditEntries"].as_array().unwrap();
        assert_eq!(
            (&entries[0]["type"], &entries[0]["after"]["notes"]),
            (&json!("user.updated"), &json!("Note 2"))
        );
        assert!(
            entries.windows(2).all(|pair| pair[0]["id"].as_str() > pair[1]["id"].as_str()),
            "newest first"
        );
        for secret in ["nobody's business", server.email("eve"), "argon2", "hash", "password_hash"] {
            assert!(!answer.text.contains(secret), "{secret}");
        }
        assert_eq!(server.client().get("/api/v1/profile/export").await.status.as_u16(), 401);
    })
    .await;
}
