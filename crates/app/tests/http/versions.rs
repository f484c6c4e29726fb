//! Versions of pages: listed, compared, restored.

use portico_testkit::server::{Client, TestServer, at_once};
use serde_json::{Value, json};

use crate::sites::{column, events, site};

/// A customer with a page.
async fn page(server: &TestServer, email: &str) -> (Client, String) {
    let client = server.customer(email).await;
    site(&client, "Panadería Luz").await;
    let page = client.post(&client.t("/pages"), json!({"title": "Bread", "slug": "bread"})).await.expect(201);
    let path = client.t(&format!("/pages/{}", page["id"].as_str().unwrap()));
    (client, path)
}

async fn versions(client: &Client, page: &str) -> Vec<Value> {
    let list = client.get(&format!("{page}/versions?limit=100")).await.expect(200);
    list["items"].as_array().unwrap().clone()
}

async fn text(client: &Client, page: &str, html: &str) -> String {
    let section = json!({"type": "text", "content": {"html": html}});
    let made = client.post(&format!("{page}/sections"), section).await.expect(201);
    format!("{page}/sections/{}", made["id"].as_str().unwrap())
}

fn id(version: &Value) -> &str {
    version["id"].as_str().unwrap()
}

/// What of a page can be restored.
async fn state(client: &Client, page: &str) -> Value {
    let found = client.get(page).await.expect(200);
    let sections = client.get(&format!("{page}/sections")).await.expect(200);
    let shown =
        |section: &Value| json!([section["id"], section["type"], section["content"], section["visible"]]);
    let list = if sections.is_array() { sections } else { sections["items"].clone() };
    let sections: Vec<Value> = list.as_array().unwrap().iter().map(shown).collect();
    let seo = client.get(&format!("{page}/seo")).await.json;
    json!({"title": found["title"], "slug": found["slug"], "sections": sections, "seo": [seo["title"], seo["description"], seo["keywords"]]})
}

#[tokio::test(flavor = "multi_thread")]
async fn every_change_leaves_a_version_that_can_be_restored() {
    TestServer::shared(async |server| {
        let (client, page) = page(server, server.email("versions")).await;
        let first = text(&client, &page, "<p>One</p>").await;
        text(&client, &page, "<p>Two</p>").await;
        client
            .put(&format!("{page}/seo"), json!({"title": "Best bread", "keywords": ["bread"]}))
            .await
            .expect(200);
        client.put(&first, json!({"content": {"html": "<p>1</p>"}})).await.expect(200);
        let kept = state(&client, &page).await;
        let all = versions(&client, &page).await;
        assert_eq!(
            column(&json!({"items": all}), "summary"),
            [
                "1 section changed",
                "Search engine texts changed",
                "1 section added",
                "1 section added",
                "Page created",
            ]
        );
        assert_eq!(column(&json!({"items": all}), "number"), ["5", "4", "3", "2", "1"]);
        assert_eq!(all[0]["author"]["kind"], "user");
        assert_eq!(all[0]["author"]["name"], "Test Person");
        let full = client.get(&format!("{page}/versions/{}", id(&all[0]))).await.expect(200);
        assert_eq!((&full["page"]["title"], &full["seo"]["title"]), (&json!("Bread"), &json!("Best bread")));
        assert_eq!(full["sections"][0]["content"]["html"], "<p>1</p>");

        // In pieces.
        let piece = client.get(&format!("{page}/versions?limit=2")).await.expect(200);
        let next = piece["nextCursor"].as_str().unwrap();
        let rest = client.get(&format!("{page}/versions?limit=3&cursor={next}")).await.expect(200);
        assert_eq!(
            (column(&rest, "number"), &rest["nextCursor"]),
            (vec!["3".into(), "2".into(), "1".into()], &Value::Null)
        );

        // The sections and the SEO metadata are deleted, and the page is published under another name.
        let ids: Vec<_> =
            full["sections"].as_array().unwrap().iter().map(|section| section["id"].clone()).collect();
        client.post(&format!("{page}/sections/bulk"), json!({"delete": ids})).await.expect(200);
        client.delete(&format!("{page}/seo")).await.expect(204);
        client.put(&page, json!({"title": "Cake", "slug": "cake", "status": "published"})).await.expect(200);
        text(&client, &page, "<p>Three</p>").await;
        let thrown = state(&client, &page).await;
        assert_ne!(thrown, kept);

        let restored = client.post_empty(&format!("{page}/versions/{}/restore", id(&all[0]))).await;
        assert!(restored.header("etag").starts_with("\"v"));
        let restored = restored.expect(200);
        assert_eq!(
            (&restored["title"], &restored["slug"], &restored["status"]),
            (&json!("Bread"), &json!("bread"), &json!("published"))
        );
        assert_eq!(state(&client, &page).await, kept);
        assert_eq!(events(&client, "page.restored").await, 1);
        let now = versions(&client, &page).await;
        assert_eq!((&now[0]["summary"], &now[0]["restoredFrom"]), (&json!("Version 5 restored"), &json!(5)));
        assert_eq!(now.len(), all.len() + 5);
        // And back again: what was there just before was not lost.
        client.post_empty(&format!("{page}/versions/{}/restore", id(&now[1]))).await.expect(200);
        assert_eq!(state(&client, &page).await, thrown);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_are_compared_field_by_field() {
    let server = TestServer::start().await;
    let (client, page) = page(&server, server.email("compare")).await;
    let first = text(&client, &page, "<p>One</p>").await;
    let second = text(&client, &page, "<p>Two</p>").await;
    let before = versions(&client, &page).await[0].clone();
    client.put(&first, json!({"content": {"html": "<p>1</p>"}, "visible": false})).await.expect(200);
    client.delete(&second).await.expect(204);
    text(&client, &page, "<p>Three</p>").await;
    client.put(&page, json!({"title": "Cake"})).await.expect(200);

    let path = format!("{page}/versions/compare?from={}", id(&before));
    let found = client.get(&path).await.expect(200);
    assert_eq!(found["page"], json!([{"field": "title", "before": "Bread", "after": "Cake"}]));
    assert_eq!(found["seo"], json!([]));
    let sections = found["sections"].as_array().unwrap();
    assert_eq!(
        sections.iter().map(|section| section["changes"].clone()).collect::<Vec<_>>(),
        [json!(["changed"]), json!(["added"]), json!(["removed"])]
    );
    assert_eq!(
        sections[0]["fields"],
        json!([{"field": "content.html", "before": "<p>One</p>", "after": "<p>1</p>"}, {"field": "visible", "before": true, "after": false}])
    );
    assert_eq!(
        (&found["from"]["number"], &found["to"]["number"]),
        (&before["number"], &versions(&client, &page).await[0]["number"])
    );
    let same = client.get(&format!("{path}&to={}", id(&before))).await.expect(200);
    assert_eq!((&same["page"], &same["sections"]), (&json!([]), &json!([])));

    // The last change.
    let last = client.get(&format!("{page}/versions/compare")).await.expect(200);
    assert_eq!((last["page"].as_array().unwrap().len(), &last["sections"]), (1, &json!([])));
    let unknown = "0199f3c2-6d4e-7c3a-9d7c-5a8e1f2b3c4d";
    client.get(&format!("{page}/versions/compare?from={unknown}")).await.expect(404);
    client.get(&format!("{path}&to={unknown}")).await.expect(404);
    assert_eq!(client.get(&format!("{page}/versions/compare?from=x")).await.status.as_u16(), 422);
    assert_eq!(client.get(&format!("{page}/versions?cursor=x")).await.fields(), ["cursor"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_belong_to_their_page_and_tenant() {
    TestServer::shared(async |server| {
        let (client, page) = page(server, server.email("mine")).await;
        let other = client.post(&client.t("/pages"), json!({"title": "Other"})).await.expect(201);
        let other = client.t(&format!("/pages/{}", other["id"].as_str().unwrap()));
        let version = versions(&client, &page).await[0].clone();
        let (read, restore) =
            (format!("versions/{}", id(&version)), format!("versions/{}/restore", id(&version)));
        client.get(&format!("{other}/{read}")).await.expect(404);
        client.post_empty(&format!("{other}/{restore}")).await.expect(404);
        client
            .get(&format!(
                "{page}/versions/compare?from={}&to={}",
                id(&version),
                id(&versions(&client, &other).await[0])
            ))
            .await
            .expect(404);

        let stranger = server.customer(server.email("stranger")).await;
        for path in ["versions".to_owned(), read.clone(), format!("versions/compare?from={}", id(&version))] {
            // In the tenant of the page, and in that of the stranger.
            stranger.get(&format!("{page}/{path}")).await.expect(404);
            let page = page.replace(&client.tenant, &stranger.tenant);
            stranger.get(&format!("{page}/{path}")).await.expect(404);
        }
        stranger.post_empty(&format!("{page}/{restore}")).await.expect(404);

        // Another page has the slug by now.
        client.put(&page, json!({"slug": "cake"})).await.expect(200);
        client.put(&other, json!({"slug": "bread"})).await.expect(200);
        let path = format!("{page}/{restore}");
        assert_eq!(client.post_empty(&path).await.expect(409)["code"], "slug_taken");
        assert_eq!(client.get(&page).await.expect(200)["slug"], "cake", "nothing of it was done");
        client.with("if-match", "\"v1\"").post_empty(&path).await.expect(412);
        // They go with their page.
        client.delete(&page).await.expect(204);
        client.get(&format!("{page}/versions")).await.expect(404);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn simultaneous_changes_each_leave_their_version() {
    TestServer::on_each_database(async |server| {
        let (client, page) = page(server, server.email("race")).await;
        let answers = at_once(8, |number| {
            let (client, page) = (client.clone(), page.clone());
            async move {
                let section = json!({"type": "text", "content": {"html": format!("<p>{number}</p>")}});
                client.post(&format!("{page}/sections"), section).await.status.as_u16()
            }
        })
        .await;
        assert_eq!(answers, [201; 8]);
        let all = versions(&client, &page).await;
        assert_eq!(column(&json!({"items": all}), "number"), ["9", "8", "7", "6", "5", "4", "3", "2", "1"]);
        // Each is the one before with one section more, and the newest is the page as it is.
        for pair in all.windows(2) {
            let path = format!("{page}/versions/compare?from={}&to={}", id(&pair[1]), id(&pair[0]));
            let found = client.get(&path).await.expect(200);
            if pair[1]["number"] != 1 || pair[0]["number"] == 2 {
                assert_eq!(found["sections"].as_array().unwrap().len(), 1, "{found}");
            }
        }
        let newest = client.get(&format!("{page}/versions/{}", id(&all[0]))).await.expect(200);
        assert_eq!(newest["sections"].as_array().unwrap().len(), 8);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_history_of_a_page_is_bounded() {
    let server = TestServer::start().await;
    let (client, page) = page(&server, server.email("bounded")).await;
    for number in 0..105 {
        client.put(&page, json!({"title": format!("Title {number}")})).await.expect(200);
    }
    let all = versions(&client, &page).await;
    assert!((90..=101).contains(&all.len()), "{}", all.len());
    assert_eq!((&all[0]["number"], &all.last().unwrap()["number"]), (&json!(106), &json!(1)));
}
