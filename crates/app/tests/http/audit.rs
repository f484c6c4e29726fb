//! The audit trail: that everything is in it, who may read it, and what never gets into it.

use portico_kernel::{PlatformRole, TenantRole};
use portico_testkit::server::{Answer, Client, PASSWORD, TestServer};
use serde_json::{Value, json};

use crate::tenancy::{member, operator};

/// The items of a trail.
fn items(answer: Answer) -> Vec<Value> {
    answer.expect(200)["items"].as_array().expect("a list").clone()
}

fn kinds(items: &[Value]) -> Vec<&str> {
    items.iter().map(|item| item["type"].as_str().unwrap()).collect()
}

fn id(resource: &Value) -> &str {
    resource["id"].as_str().expect("an id")
}

/// Makes, changes and deletes one of everything, each in a request of its own name.
async fn change_everything(client: &Client) {
    let named = |name: &str| client.with("x-request-id", name);
    named("tenant.updated").put(&client.t(""), json!({"name": "Renamed"})).await.expect(200);
    named("branding.updated")
        .put(&client.t("/branding"), json!({"fonts": {"body": "slab"}}))
        .await
        .expect(200);
    named("user.updated").put("/api/v1/profile", json!({"company": "Engines"})).await.expect(200);
    let site = named("site.created").post("/api/v1/sites", json!({"name": "Acme"})).await.expect(201);
    let site = format!("/api/v1/sites/{}", id(&site));
    named("site.updated").put(&site, json!({"name": "Acme Bakery"})).await.expect(200);
    let page = named("page.created").post(&client.t("/pages"), json!({"title": "Home"})).await.expect(201);
    let page = client.t(&format!("/pages/{}", id(&page)));
    named("page.updated").put(&page, json!({"title": "Start"})).await.expect(200);
    let body = json!({"type": "text", "content": {"html": "<p>Hello</p>"}});
    let section = named("section.created").post(&format!("{page}/sections"), body).await.expect(201);
    let section = format!("{page}/sections/{}", id(&section));
    named("section.updated").put(&section, json!({"visible": false})).await.expect(200);
    named("section.deleted").delete(&section).await.expect(204);
    let body = json!({"label": "Home", "url": "https://example.com/"});
    let item = named("navigation.created").post(&client.t("/navigation"), body).await.expect(201);
    let item = client.t(&format!("/navigation/{}", id(&item)));
    named("navigation.updated").put(&item, json!({"label": "Start"})).await.expect(200);
    named("navigation.deleted").delete(&item).await.expect(204);
    named("page.deleted").delete(&page).await.expect(204);
    named("site.deleted").delete(&site).await.expect(204);
}

const CHANGES: [&str; 15] = [
    "tenant.updated",
    "branding.updated",
    "user.updated",
    "site.created",
    "site.updated",
    "page.created",
    "page.updated",
    "section.created",
    "section.updated",
    "section.deleted",
    "navigation.created",
    "navigation.updated",
    "navigation.deleted",
    "page.deleted",
    "site.deleted",
];

#[tokio::test(flavor = "multi_thread")]
async fn every_change_is_listed_with_who_what_and_from_where() {
    TestServer::shared(async |server| {
        let client = server.customer(server.email("ada")).await.with("user-agent", "Desk/1");
        let user = client.get("/api/v1/profile").await.expect(200);
        change_everything(&client).await;
        let trail = items(client.get(&client.t("/audit?limit=100")).await);
        for kind in CHANGES {
            let found: Vec<_> =
                trail.iter().filter(|item| item["requestId"] == kind && item["type"] == kind).collect();
            assert_eq!(found.len(), 1, "{kind}: {:?}", kinds(&trail));
            let entry = found[0];
            assert_eq!(
                entry["actor"],
                json!({"kind": "user", "id": user["id"], "name": "Test Person"}),
                "{kind}"
            );
            assert_eq!(
                (&entry["address"], &entry["userAgent"]),
                (&json!("127.0.0.1"), &json!("Desk/1")),
                "{kind}"
            );
            let (resource, verb) = kind.split_once('.').unwrap();
            assert_eq!(entry["resource"]["type"], resource);
            assert_eq!(
                (entry["before"].is_object(), entry["after"].is_object()),
                (verb != "created", verb != "deleted"),
                "{kind}"
            );
        }
        let of = |kind: &str| trail.iter().find(|item| item["type"] == kind).unwrap();
        assert_eq!(
            (&of("tenant.updated")["before"]["name"], &of("tenant.updated")["after"]["name"]),
            (&json!("Test Person"), &json!("Renamed"))
        );
        assert_eq!(
            (&of("page.updated")["before"]["title"], &of("page.updated")["after"]["title"]),
            (&json!("Home"), &json!("Start"))
        );
        assert_eq!(
            (&of("user.updated")["before"]["company"], &of("user.updated")["after"]["company"]),
            (&Value::Null, &json!("Engines"))
        );
        assert_eq!(of("tenant.updated")["resource"]["id"], client.tenant);
        for kind in [
            "tenant.created",
            "member.created",
            "branding.created",
            "user.registered",
            "session.started",
            "user.email_verified",
        ] {
            let entry = of(kind);
            assert_eq!(
                (&entry["actor"]["id"], &entry["address"]),
                (&user["id"], &json!("127.0.0.1")),
                "{kind}"
            );
        }
        // What was refused, or changed nothing, did not happen.
        let before = trail.len();
        client.put(&client.t(""), json!({"name": "Renamed"})).await.expect(200);
        client.put(&client.t(""), json!({"name": ""})).await.expect(422);
        client.with("if-match", "\"v1\"").put(&client.t(""), json!({"name": "Stale"})).await.expect(412);
        assert_eq!(items(client.get(&client.t("/audit?limit=100")).await).len(), before);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_trail_is_filtered() {
    TestServer::shared(async |server| {
        let client = server.customer(server.email("ada")).await;
        let other = member(server, server.email("bob"), &client.tenant, TenantRole::Admin).await;
        change_everything(&client).await;
        other.put(&client.t("/branding"), json!({"fonts": {"body": "mono"}})).await.expect(200);
        let all = items(client.get(&client.t("/audit?limit=100")).await);
        let path = |query: &str| client.t(&format!("/audit?limit=100&{query}"));
        let matching =
            |test: &dyn Fn(&Value) -> bool| all.iter().filter(|item| test(item)).cloned().collect::<Vec<_>>();

        let bob = other.get("/api/v1/profile").await.expect(200)["id"].as_str().unwrap().to_owned();
        let middle = all[all.len() / 2]["createdAt"].as_str().unwrap();
        // Times have a fixed form, so texts compare as the times do; but a zero at the end is left out.
        let time = |item: &Value| item["createdAt"].as_str().unwrap().trim_end_matches('Z').to_owned();
        let at = middle.trim_end_matches('Z');
        for (query, expected, least) in [
            ("resourceType=page".to_owned(), matching(&|item| item["resource"]["type"] == "page"), 3),
            ("type=branding.updated".to_owned(), matching(&|item| item["type"] == "branding.updated"), 2),
            (format!("actorId={bob}"), matching(&|item| item["actor"]["id"] == bob), 1),
            ("requestId=site.created".to_owned(), matching(&|item| item["requestId"] == "site.created"), 1),
            (
                format!("resourceId={}", client.tenant),
                matching(&|item| item["resource"]["id"] == client.tenant),
                4,
            ),
            (format!("from={middle}"), matching(&|item| time(item).as_str() >= at), 1),
            (format!("to={middle}"), matching(&|item| time(item).as_str() < at), 1),
            (
                format!("type=branding.updated&actorId={bob}"),
                matching(&|item| item["type"] == "branding.updated" && item["actor"]["id"] == bob),
                1,
            ),
            (format!("from={middle}&to={middle}"), vec![], 0),
            ("type=page.vanished".to_owned(), vec![], 0),
        ] {
            assert!(expected.len() >= least, "{query}: {}", expected.len());
            assert_eq!(items(client.get(&path(&query)).await), expected, "{query}");
        }
        for (query, field) in [
            ("resourceType=Page!", "resourceType"),
            ("actorId=bob", "actorId"),
            ("resourceId=1", "resourceId"),
            ("from=yesterday", "from"),
            ("from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z", "to"),
            ("cursor=2", "cursor"),
            ("page=2", "page"),
        ] {
            let answer = client.get(&path(query)).await;
            assert_eq!((answer.status.as_u16(), answer.fields()), (422, vec![field.to_owned()]), "{query}");
        }
        assert_eq!(client.get(&client.t("/audit?limit=101")).await.fields(), ["limit"]);
    })
    .await;
}

/// Reads a list to its end in pieces of three.
async fn in_pieces(client: &Client, path: &str) -> Vec<Value> {
    let (mut found, mut cursor) = (Vec::new(), String::new());
    loop {
        let piece = client.get(&format!("{path}?limit=3{cursor}")).await.expect(200);
        let items = piece["items"].as_array().unwrap();
        assert!(items.len() == 3 || piece["nextCursor"].is_null(), "{piece}");
        found.extend(items.iter().cloned());
        match piece["nextCursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return found,
        }
        assert!(found.len() < 1000, "it goes round and round");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_trail_is_read_piece_by_piece_without_gap_or_repeat() {
    TestServer::shared(async |server| {
        let client = server.customer(server.email("ada")).await;
        change_everything(&client).await;
        let other = server.customer(server.email("eve")).await;
        let whole = items(client.get(&client.t("/audit?limit=100")).await);
        assert!(whole.len() > 15);
        assert!(whole.windows(2).all(|pair| id(&pair[0]) > id(&pair[1])), "newest first");
        assert_eq!(in_pieces(&client, &client.t("/audit")).await, whole);
        // A cursor leads nowhere in another tenant's trail.
        let foreign = client
            .get(&client.t(&format!("/audit?cursor={}", id(&items(other.get(&other.t("/audit")).await)[0]))))
            .await;
        assert_eq!(items(foreign), Vec::<Value>::new());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trail_is_for_admins_and_the_whole_of_it_for_super_admins() {
    TestServer::alone(async |server| {
        let ada = server.unverified(server.email("ada")).await;
        let eve = server.unverified(server.email("eve")).await;
        for (role, status) in [(TenantRole::Viewer, 403), (TenantRole::Editor, 403), (TenantRole::Admin, 200)]
        {
            let email = server.email(role.as_str());
            let client = member(server, email, &ada.tenant, role).await;
            assert_eq!(client.get(&ada.t("/audit")).await.status.as_u16(), status, "{role:?}");
            assert_eq!(client.get("/api/v1/audit").await.status.as_u16(), 403, "{role:?}");
        }
        assert_eq!(eve.get(&ada.t("/audit")).await.status.as_u16(), 404);
        assert_eq!(server.client().get(&ada.t("/audit")).await.status.as_u16(), 401);
        assert_eq!(server.client().get("/api/v1/audit").await.status.as_u16(), 401);
        let root = operator(server, server.email("root"), PlatformRole::SuperAdmin).await;
        let whole = in_pieces(&root, "/api/v1/audit").await;
        for client in [&ada, &eve] {
            for entry in items(client.get(&client.t("/audit?limit=100")).await) {
                assert!(whole.contains(&entry), "{entry}");
            }
        }
        let mut ids: Vec<_> = whole.iter().map(id).collect();
        let count = ids.len();
        ids.dedup();
        assert_eq!(ids.len(), count);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_gets_into_the_trail() {
    TestServer::alone(async |server| {
        let (email, anonymous) = (server.email("ada"), server.client());
        let mut client = server.customer(email).await;
        let mut secrets = vec![server.mail_token(email, "verify-email").await];
        let passwords = [PASSWORD, "Battery-Staple-9", "Third-Horse-11", "Wrong-Horse-7"];
        let login = async |password: &str| {
            anonymous.post("/api/v1/auth/login", json!({"email": email, "password": password})).await
        };
        login(passwords[3]).await.expect(401);
        let tokens = login(passwords[0]).await.expect(200);
        let body = json!({"refresh_token": tokens["refresh_token"]});
        let next = anonymous.post("/api/v1/auth/refresh", body).await.expect(200);
        let change = json!({"currentPassword": passwords[0], "newPassword": passwords[1]});
        client.post("/api/v1/auth/change-password", change).await.expect(204);
        anonymous.post("/api/v1/auth/forgot-password", json!({"email": email})).await.expect(202);
        let link = server.mail_token(email, "reset-password").await;
        let body = json!({"token": link, "password": passwords[2]});
        anonymous.post("/api/v1/auth/reset-password", body).await.expect(204);
        let last = login(passwords[2]).await.expect(200);
        client.sign(&last);
        change_everything(&client).await;
        anonymous
            .post("/api/v1/auth/register", json!({"email": email, "password": PASSWORD, "fullName": "X"}))
            .await
            .expect(201);
        for answer in [&tokens, &next, &last] {
            secrets.extend(
                ["access_token", "refresh_token"].map(|name| answer[name].as_str().unwrap().to_owned()),
            );
        }
        secrets.push(link);

        let root = operator(server, server.email("root"), PlatformRole::SuperAdmin).await;
        let trail = Value::from(in_pieces(&root, "/api/v1/audit").await);
        let kinds = kinds(trail.as_array().unwrap());
        for kind in [
            "user.password_changed",
            "user.password_reset",
            "user.password_reset_requested",
            "session.started",
            "session.ended",
            "session.sign_in_failed",
        ] {
            assert!(kinds.contains(&kind), "{kind}: {kinds:?}");
        }
        let text = trail.to_string();
        for secret in secrets.iter().map(String::as_str).chain(passwords) {
            assert!(!secret.is_empty() && !text.contains(secret), "{secret}");
        }
        let text = text.to_lowercase();
        for name in ["$argon2", "hash", "password\":", "token\":", "secret", "generation"] {
            let at = text.find(name).map(|at| &text[at.saturating_sub(80)..(at + 80).min(text.len())]);
            assert_eq!(at, None, "{name}");
        }
    })
    .await;
}
