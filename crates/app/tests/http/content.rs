//! Pages, sections and navigation.

mod page_sections;

use std::collections::BTreeSet;

use portico_testkit::server::{Client, TestServer, at_once};
use serde_json::{Value, json};

use self::page_sections::{text, texts};
use crate::sites::{allow_sites, column, events, site};

/// A page of the client's primary site.
async fn page(client: &Client, body: Value) -> Value {
    client.post(&client.t("/pages"), body).await.expect(201)
}

/// The id of a resource.
fn id(thing: &Value) -> &str {
    let Some(id) = thing["id"].as_str() else { panic!("no id in {thing}") };
    id
}

/// Where the sections of a page are.
fn sections(client: &Client, page: &Value) -> String {
    client.t(&format!("/pages/{}/sections", id(page)))
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_get_slugs_and_dates() {
    TestServer::shared(async |server| {
        let client = server.unverified(server.email("pages")).await;
        for answer in [
            client.get(&client.t("/pages")).await,
            client.post(&client.t("/pages"), json!({"title": "Early"})).await,
            client.get(&client.t("/navigation")).await,
            client.post(&client.t("/navigation"), json!({"label": "Early"})).await,
        ] {
            assert_eq!((answer.status.as_u16(), &answer.json["code"]), (409, &json!("no_site")));
        }
        site(&client, "Bakery").await;

        let draft = page(&client, json!({"title": " Über uns & more! "})).await;
        assert_eq!((&draft["title"], &draft["slug"]), (&json!("Über uns & more!"), &json!("uber-uns-more")));
        assert_eq!((&draft["status"], &draft["isHome"]), (&json!("draft"), &json!(false)));
        assert_eq!(draft["publishedAt"], Value::Null);
        let path = client.t(&format!("/pages/{}", id(&draft)));
        let published = client.put(&path, json!({"status": "published"})).await.expect(200);
        let at = published["publishedAt"].clone();
        assert!(at.is_string(), "{published}");
        assert_eq!(client.put(&path, json!({"title": "About us"})).await.expect(200)["publishedAt"], at);
        let archived = client.put(&path, json!({"status": "archived"})).await.expect(200);
        assert_eq!((&archived["slug"], &archived["publishedAt"]), (&json!("uber-uns-more"), &at));
        let again = client.put(&path, json!({"status": "published"})).await.expect(200);
        assert!(again["publishedAt"].as_str() > at.as_str(), "published once more: {again}");

        let answer = client.get(&client.t("/pages/slug/uber-uns-more")).await;
        let tag = answer.header("etag").to_owned();
        assert_eq!(answer.expect(200), again);
        let by_slug = client.with("if-none-match", &tag).get(&client.t("/pages/slug/uber-uns-more")).await;
        assert_eq!(by_slug.status.as_u16(), 304);
        client.get(&client.t("/pages/slug/nothing")).await.expect(404);

        let taken = client
            .post(&client.t("/pages"), json!({"title": "x", "slug": "uber-uns-more"}))
            .await
            .expect(409);
        assert_eq!(taken["code"], "slug_taken");
        let wrong = client.post(&client.t("/pages"), json!({"title": "", "slug": "Not A Slug"})).await;
        assert_eq!(
            (wrong.status.as_u16(), wrong.fields()),
            (422, vec!["slug".to_owned(), "title".to_owned()])
        );
        let wrong =
            client.post(&client.t("/pages"), json!({"title": 7, "status": "lost", "colour": 1})).await;
        assert_eq!(wrong.fields(), ["colour", "status", "title"]);
        let stale = client.with("if-match", "\"v1\"").put(&path, json!({"title": "Stale"})).await.expect(412);
        assert_eq!(stale["code"], "precondition_failed");
        assert_eq!(events(&client, "page.created").await, 1);
        assert_eq!(events(&client, "page.published").await, 2);
        client.delete(&path).await.expect(204);
        client.get(&path).await.expect(404);
        client.get(&client.t("/pages/slug/uber-uns-more")).await.expect(404);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_are_copied_with_their_sections() {
    TestServer::on_each_database(async |server| {
        let client = server.unverified(server.email("copy")).await;
        site(&client, "Bakery").await;
        let original = page(&client, json!({"title": "Menu", "status": "published", "isHome": true})).await;
        for html in ["<p>a</p>", "<p>b</p>"] {
            client.post(&sections(&client, &original), text(html)).await.expect(201);
        }
        let path = client.t(&format!("/pages/{}/duplicate", id(&original)));
        let copy = client.post_empty(&path).await.expect(201);
        assert_eq!((&copy["slug"], &copy["title"]), (&json!("menu-copy"), &json!("Menu (copy)")));
        assert_eq!((&copy["status"], &copy["isHome"]), (&json!("draft"), &json!(false)));
        assert_eq!(copy["publishedAt"], Value::Null);
        assert_eq!(texts(&client, &sections(&client, &copy)).await, ["<p>a</p>", "<p>b</p>"]);
        // The copy has sections of its own.
        let mine = client.get(&sections(&client, &copy)).await.expect(200);
        client.delete(&format!("{}/{}", sections(&client, &copy), id(&mine["items"][0]))).await.expect(204);
        assert_eq!(texts(&client, &sections(&client, &original)).await, ["<p>a</p>", "<p>b</p>"]);
        // Eight at once: eight different slugs.
        let answers = at_once(8, |_| {
            let (client, path) = (client.clone(), path.clone());
            async move { client.post_empty(&path).await.expect(201)["slug"].as_str().map(str::to_owned) }
        })
        .await;
        let slugs: BTreeSet<String> = answers.into_iter().flatten().collect();
        assert_eq!(slugs, (2..10).map(|number| format!("menu-copy-{number}")).collect());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_page_is_home() {
    TestServer::on_each_database(async |server| {
        let client = server.unverified(server.email("home")).await;
        site(&client, "Bakery").await;
        let homes = async || {
            let list = client.get(&client.t("/pages?limit=100")).await.expect(200);
            let items = list["items"].as_array().cloned().unwrap_or_default();
            let homes = items.iter().filter(|item| item["isHome"] == true);
            homes.map(|item| item["slug"].as_str().unwrap_or_default().to_owned()).collect::<Vec<_>>()
        };
        let first = page(&client, json!({"title": "First", "isHome": true})).await;
        let second = page(&client, json!({"title": "Second", "isHome": true})).await;
        assert_eq!(homes().await, ["second"]);
        let (first, second) =
            (client.t(&format!("/pages/{}", id(&first))), client.t(&format!("/pages/{}", id(&second))));
        client.put(&first, json!({"isHome": true})).await.expect(200);
        assert_eq!(homes().await, ["first"]);
        let refused = client.put(&first, json!({"status": "archived"})).await;
        assert_eq!((refused.status.as_u16(), refused.fields()), (422, vec!["status".to_owned()]));
        let answers = at_once(10, |number| {
            let (client, path) = (client.clone(), client.t("/pages"));
            let existing = if number % 2 == 0 { Some(second.clone()) } else { None };
            async move {
                match existing {
                    Some(path) => client.put(&path, json!({"isHome": true})).await,
                    None => client.post(&path, json!({"title": format!("P{number}"), "isHome": true})).await,
                }
            }
        })
        .await;
        for answer in &answers {
            assert!(matches!(answer.status.as_u16(), 200 | 201 | 409), "{answer:?}");
        }
        assert!(answers.iter().any(|answer| answer.status.is_success()));
        assert_eq!(homes().await.len(), 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn paths_mean_the_primary_site_unless_another_is_named() {
    TestServer::alone(async |server| {
        allow_sites(server, 5).await;
        let client = server.unverified(server.email("two-sites")).await;
        let (first, second) = (site(&client, "First").await, site(&client, "Second").await);
        let there = client.t(&format!("/pages?siteId={}", id(&second)));
        let here = page(&client, json!({"title": "Same"})).await;
        let other = client.post(&there, json!({"title": "Same"})).await.expect(201);
        assert_eq!((&here["siteId"], &other["siteId"]), (&first["id"], &second["id"]));
        assert_eq!(column(&client.get(&client.t("/pages")).await.expect(200), "id"), [id(&here)]);
        assert_eq!(column(&client.get(&there).await.expect(200), "id"), [id(&other)]);
        let by_slug = client.t(&format!("/pages/slug/same?siteId={}", id(&second)));
        assert_eq!(client.get(&by_slug).await.expect(200)["id"], other["id"]);
        assert_eq!(client.get(&client.t("/pages/slug/same")).await.expect(200)["id"], here["id"]);
        let nav = client.t(&format!("/navigation?siteId={}", id(&second)));
        let item = client.post(&nav, json!({"label": "There", "pageId": other["id"]})).await.expect(201);
        assert_eq!(item["siteId"], second["id"]);
        let wrong = client.post(&client.t("/navigation"), json!({"label": "x", "pageId": other["id"]})).await;
        assert_eq!((wrong.status.as_u16(), wrong.fields()), (422, vec!["pageId".to_owned()]));

        let stranger = server.unverified(server.email("stranger")).await;
        site(&stranger, "Elsewhere").await;
        for path in ["/pages", "/navigation"] {
            let foreign = stranger.t(&format!("{path}?siteId={}", id(&second)));
            stranger.get(&foreign).await.expect(404);
            client
                .get(&client.t(&format!("{path}?siteId=0199f3c2-6d4e-7c3a-9d7c-5a8e1f2b3c4d")))
                .await
                .expect(404);
            let no_id = client.get(&client.t(&format!("{path}?siteId=first"))).await;
            assert_eq!((no_id.status.as_u16(), no_id.fields()), (422, vec!["siteId".to_owned()]));
        }
        stranger
            .post(&stranger.t(&format!("/pages?siteId={}", id(&second))), json!({"title": "x"}))
            .await
            .expect(404);
        stranger.get(&stranger.t(&format!("/pages/{}", id(&here)))).await.expect(404);
        stranger.get(&sections(&stranger, &here)).await.expect(404);
        stranger.post(&sections(&stranger, &here), text("x")).await.expect(404);
        stranger.delete(&stranger.t(&format!("/navigation/{}", id(&item)))).await.expect(404);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn navigation_is_nested_and_stays_sound() {
    TestServer::shared(async |server| {
        let client = server.unverified(server.email("nav")).await;
        site(&client, "Bakery").await;
        let about = page(&client, json!({"title": "About"})).await;
        let nav = client.t("/navigation");
        let item = async |body: Value| client.post(&nav, body).await.expect(201);
        let at = |item: &Value| format!("{nav}/{}", id(item));
        let top = item(json!({"label": " Shop "})).await;
        assert_eq!((&top["label"], &top["position"], &top["parentId"]), (&json!("Shop"), &json!(0), &Value::Null));
        let middle = item(json!({"label": "Bread", "parentId": top["id"], "url": "/bread"})).await;
        let leaf = item(json!({"label": "Rye", "parentId": middle["id"], "url": "https://example.com/", "opensNewTab": true}))
            .await;
        assert_eq!(leaf["opensNewTab"], true);
        let page_item = item(json!({"label": "About", "pageId": about["id"], "position": 0})).await;
        assert_eq!(page_item["position"], 0);
        assert_eq!(client.get(&at(&top)).await.expect(200)["position"], 1);

        let refused = async |answer: portico_testkit::server::Answer, field: &str, code: &str| {
            assert_eq!(answer.status.as_u16(), 422, "{}", answer.text);
            assert_eq!((&answer.json["errors"][0]["field"], &answer.json["errors"][0]["code"]), (&json!(field), &json!(code)));
        };
        refused(client.post(&nav, json!({"label": "Deep", "parentId": leaf["id"]})).await, "parentId", "too_deep").await;
        refused(client.put(&at(&top), json!({"parentId": leaf["id"]})).await, "parentId", "cycle").await;
        refused(client.put(&at(&top), json!({"parentId": top["id"]})).await, "parentId", "cycle").await;
        refused(client.put(&at(&top), json!({"parentId": page_item["id"]})).await, "parentId", "too_deep").await;
        refused(client.put(&at(&leaf), json!({"url": "javascript:alert(1)"})).await, "url", "invalid_url").await;
        let both = json!({"label": "x", "pageId": about["id"], "url": "/x"});
        refused(client.post(&nav, both).await, "url", "exclusive").await;
        let unknown = json!({"label": "x", "parentId": "0199f3c2-6d4e-7c3a-9d7c-5a8e1f2b3c4d"});
        refused(client.post(&nav, unknown).await, "parentId", "not_found").await;
        assert_eq!(client.get(&nav).await.expect(200)["total"], 4, "nothing refused was stored");

        let cleared = client.put(&at(&leaf), json!({"url": null, "parentId": null})).await.expect(200);
        assert_eq!((&cleared["url"], &cleared["parentId"], &cleared["position"]), (&Value::Null, &Value::Null, &json!(2)));
        client.put(&at(&leaf), json!({"parentId": middle["id"], "url": "/rye"})).await.expect(200);

        let order = client.t("/navigation/reorder");
        let place = |item: &Value, parent: &Value, position: u32| json!({"id": item["id"], "parentId": parent["id"], "position": position});
        let none = Value::Null;
        let circle = json!({"items": [place(&top, &middle, 0), place(&middle, &top, 0), place(&leaf, &none, 0), place(&page_item, &none, 1)]});
        assert_eq!(client.put(&order, circle).await.fields(), ["items[0].parentId", "items[1].parentId"]);
        let partial = json!({"items": [place(&top, &none, 0)]});
        assert_eq!(client.put(&order, partial).await.fields(), ["items"]);
        let flat = json!({"items": [place(&leaf, &none, 0), place(&top, &none, 1), place(&middle, &none, 2), place(&page_item, &middle, 0)]});
        client.put(&order, flat).await.expect(200);
        let list = client.get(&nav).await.expect(200);
        let labels: BTreeSet<(String, String)> = column(&list, "label").into_iter().zip(column(&list, "position")).collect();
        let wanted = [("Rye", "0"), ("Shop", "1"), ("Bread", "2"), ("About", "0")];
        assert_eq!(labels, wanted.into_iter().map(|(label, position)| (label.to_owned(), position.to_owned())).collect());

        // The page is deleted with the items that link to it and everything under those; positions close up; the trail records it.
        let first = item(json!({"label": "About, too", "pageId": about["id"], "position": 0})).await;
        item(json!({"label": "Team", "parentId": first["id"], "url": "/team"})).await;
        client.delete(&client.t(&format!("/pages/{}", id(&about)))).await.expect(204);
        client.get(&at(&page_item)).await.expect(404);
        let list = client.get(&nav).await.expect(200);
        assert_eq!(column(&list, "label"), ["Rye", "Shop", "Bread"]);
        assert_eq!(column(&list, "position"), ["0", "1", "2"]);
        assert_eq!(events(&client, "navigation.deleted").await, 3);
        client.put(&at(&leaf), json!({"parentId": top["id"]})).await.expect(200);
        client.delete(&at(&top)).await.expect(204);
        assert_eq!(column(&client.get(&nav).await.expect(200), "label"), ["Bread"], "with everything under it");
        assert_eq!(client.get(&at(&middle)).await.expect(200)["position"], 0);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_of_everything_at_once_do_not_get_in_each_others_way() {
    TestServer::on_each_database(async |server| {
        let client = server.unverified(server.email("traffic")).await;
        let site = site(&client, "Bakery").await;
        let site = format!("/api/v1/sites/{}", id(&site));
        for round in 0..3 {
            let page = page(&client, json!({"title": format!("Round {round}")})).await;
            let (path, page) = (client.t(&format!("/pages/{}", id(&page))), page["id"].clone());
            client
                .post(&client.t("/navigation"), json!({"label": "There", "pageId": page}))
                .await
                .expect(201);
            let answers = at_once(28, |number| {
                let (client, path, page, site) = (client.clone(), path.clone(), page.clone(), site.clone());
                async move {
                    match number % 7 {
                        0 => {
                            client.post(&client.t("/navigation"), json!({"label": "x", "pageId": page})).await
                        }
                        1 => client.post(&format!("{path}/sections"), text("<p>x</p>")).await,
                        2 => client.post_empty(&format!("{path}/duplicate")).await,
                        3 => client.put(&path, json!({"isHome": true})).await,
                        4 => client.put(&site, json!({"name": format!("Bakery {number}")})).await,
                        5 if number == 12 => client.delete(&path).await,
                        _ => {
                            client
                                .post(&client.t("/pages"), json!({"title": format!("{round} {number}")}))
                                .await
                        }
                    }
                }
            })
            .await;
            for answer in &answers {
                assert!(matches!(answer.status.as_u16(), 200..=204 | 404 | 409 | 422), "{answer:?}");
            }
            client.get(&path).await.expect(404);
        }
        let list = client.get(&client.t("/navigation")).await.expect(200);
        assert_eq!(list["total"], 0, "no item leads to a page that is gone: {list}");
    })
    .await;
}
