//! Sites: within the plan, found again, changed with care, gone for good.

use portico_kernel::Meter;
use std::collections::BTreeSet;

use portico_billing::plan::catalogue;
use portico_testkit::server::{Client, TestServer, at_once};
use serde_json::{Value, json};

/// A new site of the client's tenant.
pub async fn site(client: &Client, name: &str) -> Value {
    client.post("/api/v1/sites", json!({ "name": name })).await.expect(201)
}

/// Lets the free plan include so many sites.
pub async fn allow_sites(server: &TestServer, limit: u64) {
    let mut plan = catalogue().swap_remove(0);
    plan.limits.insert(Meter::Sites, limit);
    let mut work = server.app.core.begin().await.unwrap_or_else(|error| panic!("{error}"));
    work.plans().upsert(&plan).await.unwrap_or_else(|error| panic!("{error}"));
    work.commit().await.unwrap_or_else(|error| panic!("{error}"));
}

/// How many events of a kind the tenant's audit trail has.
pub async fn events(client: &Client, kind: &str) -> usize {
    let trail = client.get(&client.t(&format!("/audit?type={kind}&limit=100"))).await.expect(200);
    trail["items"].as_array().map_or(0, Vec::len)
}

/// The values of a field in the items of a list, in their order.
pub fn column(list: &Value, field: &str) -> Vec<String> {
    let items = list["items"].as_array().cloned().unwrap_or_default();
    items
        .iter()
        .map(|item| item[field].as_str().map_or_else(|| item[field].to_string(), str::to_owned))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_lives_from_creation_to_deletion() {
    TestServer::alone(async |server| {
        let client = server.unverified(server.email("life")).await;
        let answer =
            client.post("/api/v1/sites", json!({"name": "  Panadería Luz ", "subdomain": "luz"})).await;
        let (location, tag) = (answer.header("location").to_owned(), answer.header("etag").to_owned());
        let created = answer.expect(201);
        assert_eq!(location, format!("/api/v1/sites/{}", created["id"].as_str().unwrap()));
        assert_eq!(created["name"], "Panadería Luz");
        assert_eq!(created["tenantId"], client.tenant.as_str());
        assert_eq!(created["status"], "draft");
        assert_eq!(created["liveDeploymentId"], Value::Null);
        let port = server.url.rsplit_once(':').unwrap().1;
        assert_eq!(created["url"], format!("http://luz.localhost:{port}"));

        assert_eq!(client.get(&location).await.expect(200), created);
        assert_eq!(client.with("if-none-match", &tag).get(&location).await.status.as_u16(), 304);

        let changed = client.with("if-match", &tag).put(&location, json!({"name": "Luz"})).await.expect(200);
        assert_eq!((&changed["name"], &changed["subdomain"]), (&json!("Luz"), &json!("luz")));
        let stale = client.with("if-match", &tag).put(&location, json!({"name": "Sombra"})).await.expect(412);
        assert_eq!(stale["code"], "precondition_failed");
        client.with("if-match", &tag).delete(&location).await.expect(412);
        let wrong = client.put(&location, json!({"name": "", "subdomain": "-x", "color": 1})).await;
        assert_eq!((wrong.status.as_u16(), wrong.fields()), (422, vec!["color".to_owned()]));
        let wrong = client.put(&location, json!({"name": " ", "subdomain": "admin"})).await;
        assert_eq!(
            (wrong.status.as_u16(), wrong.fields()),
            (422, vec!["name".to_owned(), "subdomain".to_owned()])
        );
        assert_eq!(client.get(&location).await.expect(200)["name"], "Luz");

        let full = client.post("/api/v1/sites", json!({"name": "Second"})).await.expect(402);
        assert_eq!(full["used"], 1);
        client.delete(&location).await.expect(204);
        client.get(&location).await.expect(404);
        client.delete(&location).await.expect(404);
        // The second 404 released no quota: there is room for one again, not for two.
        site(&client, "Second").await;
        client.post("/api/v1/sites", json!({"name": "Third"})).await.expect(402);
        for (kind, count) in [("site.created", 2), ("site.updated", 1), ("site.deleted", 1)] {
            assert_eq!(events(&client, kind).await, count, "{kind}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_are_searched_filtered_sorted_and_paged() {
    TestServer::on_each_database(async |server| {
        allow_sites(server, 10).await;
        let client = server.unverified(server.email("list")).await;
        let mut ids = Vec::new();
        for name in ["Cherry", "apple", "Banana 100%", "Elderberry"] {
            ids.push(site(&client, name).await["id"].as_str().unwrap().to_owned());
        }
        let other = server.unverified(server.email("other")).await;
        site(&other, "Apple of another tenant").await;

        let list = async |query: &str| client.get(&format!("/api/v1/sites{query}")).await.expect(200);
        let all = list("").await;
        assert_eq!((&all["page"], &all["limit"], &all["total"]), (&json!(1), &json!(20), &json!(4)));
        let newest_first: Vec<String> = ids.iter().rev().cloned().collect();
        assert_eq!(column(&all, "id"), newest_first);
        assert_eq!(column(&list("?sort=createdAt").await, "id"), ids);
        for (query, names) in [
            ("?sort=name", vec!["apple", "Banana 100%", "Cherry", "Elderberry"]),
            ("?sort=-name", vec!["Elderberry", "Cherry", "Banana 100%", "apple"]),
            ("?sort=createdAt&page=2&limit=3", vec!["Elderberry"]),
            ("?sort=createdAt&page=3&limit=3", vec![]),
            ("?q=BANANA", vec!["Banana 100%"]),
            ("?q=100%25", vec!["Banana 100%"]),
            ("?q=%25", vec!["Banana 100%"]),
            ("?q=_", vec![]),
            ("?q=rry&sort=name", vec!["Cherry", "Elderberry"]),
            ("?status=published", vec![]),
            ("?status=draft&q=apple", vec!["apple"]),
        ] {
            assert_eq!(column(&list(query).await, "name"), names, "{query}");
        }
        assert_eq!(list("?limit=1").await["total"], 4);
        for (query, field) in [
            ("?sort=color", "sort"),
            ("?status=lost", "status"),
            ("?colour=red", "colour"),
            ("?page=0", "page"),
            ("?page=1000000000000000000", "page"),
            ("?limit=101", "limit"),
        ] {
            let answer = client.get(&format!("/api/v1/sites{query}")).await;
            assert_eq!((answer.status.as_u16(), answer.fields()), (422, vec![field.to_owned()]), "{query}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subdomain_belongs_to_one_site() {
    TestServer::on_each_database(async |server| {
        allow_sites(server, 50).await;
        let (one, other) =
            (server.unverified(server.email("one")).await, server.unverified(server.email("two")).await);
        let clients = [one.clone(), other.clone()];
        // Twenty of two tenants at once: one has it.
        let answers = at_once(20, |number| {
            let client = clients[number % 2].clone();
            async move { client.post("/api/v1/sites", json!({"name": "Wish", "subdomain": "wish"})).await }
        })
        .await;
        let made = answers.iter().filter(|answer| answer.status.as_u16() == 201).count();
        let codes: BTreeSet<String> = answers
            .iter()
            .filter(|answer| answer.status.as_u16() != 201)
            .map(|answer| format!("{} {}", answer.status.as_u16(), answer.json["code"]))
            .collect();
        assert_eq!((made, codes), (1, BTreeSet::from(["409 \"subdomain_taken\"".to_owned()])));

        let mine = site(&one, "Mine").await;
        let path = format!("/api/v1/sites/{}", mine["id"].as_str().unwrap());
        let taken = one.put(&path, json!({"subdomain": "wish"})).await.expect(409);
        assert_eq!(taken["code"], "subdomain_taken");
        // To another tenant the site does not exist.
        for method in
            [other.get(&path).await, other.put(&path, json!({"name": "x"})).await, other.delete(&path).await]
        {
            assert_eq!((method.status.as_u16(), &method.json["code"]), (404, &json!("not_found")));
        }
        // A subdomain made from the name avoids those that are taken.
        for name in ["Mine", "Admin", "Wish", "¡¡¡"] {
            for client in [&one, &other] {
                let made = site(client, name).await;
                let subdomain = made["subdomain"].as_str().unwrap();
                assert!(!["mine", "admin", "wish"].contains(&subdomain), "{name}: {subdomain}");
                assert!(
                    subdomain.starts_with(&name.to_lowercase()) || subdomain.starts_with("site"),
                    "{subdomain}"
                );
            }
        }
        // Also when both ask at the same moment.
        for round in 0..8 {
            let name = format!("Corner Shop {round}");
            let answers = at_once(2, |number| {
                let (client, name) = (clients[number].clone(), name.clone());
                async move { client.post("/api/v1/sites", json!({"name": name})).await }
            })
            .await;
            assert!(answers.iter().all(|answer| answer.status.as_u16() == 201), "{answers:?}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sixty_four_at_once_make_one_site_on_the_free_plan() {
    TestServer::on_each_database(async |server| {
        let client = server.unverified(server.email("many")).await;
        let answers = at_once(64, |number| {
            let client = client.clone();
            async move { client.post("/api/v1/sites", json!({"name": format!("Site {number}")})).await }
        })
        .await;
        let (made, refused): (Vec<_>, Vec<_>) =
            answers.iter().partition(|answer| answer.status.as_u16() == 201);
        assert_eq!((made.len(), refused.len()), (1, 63));
        for answer in refused {
            let problem = answer.clone().expect(402);
            let reported =
                [&problem["code"], &problem["meter"], &problem["limit"], &problem["used"], &problem["plan"]];
            assert_eq!(
                reported,
                [&json!("quota_exceeded"), &json!("sites"), &json!(1), &json!(1), &json!("starter")]
            );
        }
        assert_eq!(client.get("/api/v1/sites").await.expect(200)["total"], 1);
        assert_eq!(events(&client, "site.created").await, 1, "no event of what did not happen");
        // Deleted by many at once, its quota is released once.
        let id = made[0].json["id"].as_str().unwrap().to_owned();
        let answers = at_once(8, |_| {
            let (client, path) = (client.clone(), format!("/api/v1/sites/{id}"));
            async move { client.delete(&path).await.status.as_u16() }
        })
        .await;
        assert_eq!(answers.iter().filter(|status| **status == 204).count(), 1, "{answers:?}");
        assert!(answers.iter().all(|status| matches!(status, 204 | 404)), "{answers:?}");
        site(&client, "Again").await;
        client.post("/api/v1/sites", json!({"name": "Too many"})).await.expect(402);
    })
    .await;
}
