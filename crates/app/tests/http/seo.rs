//! SEO metadata (what search engines show of a page), from the API to the published page.

use std::time::Duration;

use portico_testkit::server::{TestServer, eventually};
use serde_json::{Value, json};

use crate::sites::{events, site};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_set_is_in_the_published_page() {
    TestServer::shared(async |server| {
        let client = server.customer(server.email("seo")).await;
        let site = site(&client, "Millstone").await;
        let path = format!("/api/v1/sites/{}", site["id"].as_str().unwrap());
        let industry = json!({"industry": "bakery", "language": "es"});
        client.put(&path, industry).await.expect(200);
        let bad =
            client.put(&path, json!({"industry": "witchcraft", "language": "Spanish"})).await.expect(422);
        let fields: Vec<_> = bad["errors"].as_array().unwrap().iter().map(|error| &error["field"]).collect();
        assert_eq!(fields, ["language", "industry"]);

        let pages = client.t("/pages");
        let home = json!({"title": "Pan", "status": "published", "isHome": true});
        let home = client.post(&pages, home).await.expect(201);
        let english = json!({
            "title": "Bread", "status": "published", "language": "en", "translationOf": home["id"],
        });
        let english = client.post(&pages, english).await.expect(201);
        assert_eq!(english["translationOf"], home["id"]);
        let seo = format!("{pages}/{}/seo", home["id"].as_str().unwrap());
        let nothing = client.get(&seo).await;
        assert_eq!(nothing.header("etag"), "\"v0\"");
        assert_eq!(nothing.expect(200)["title"], Value::Null);

        let wish = json!({"title": "Pan de masa madre", "description": "Cada <mañana>", "keywords": ["pan"]});
        let first = client.with("if-match", "\"v0\"").put(&seo, wish).await;
        let tag = first.header("etag").to_owned();
        first.expect(200);
        client.with("if-match", "\"v0\"").put(&seo, json!({"title": "Tarde"})).await.expect(412);
        assert_eq!(client.with("if-none-match", &tag).get(&seo).await.status.as_u16(), 304);
        let wrong = json!({"canonicalUrl": "javascript:alert(1)", "robots": "whatever", "colour": 1});
        client.put(&seo, wrong).await.expect(422);

        client.post(&format!("{path}/deploy"), Value::Null).await.expect(202);
        let host = site["url"].as_str().unwrap().trim_start_matches("http://").to_owned();
        let visitor = server.client().with("host", &host);
        let answered = async || {
            let answer = visitor.get("/").await;
            (answer.status.as_u16() == 200).then_some(answer.text)
        };
        let html = eventually(Duration::from_secs(15), answered).await.unwrap();
        for part in [
            "<html lang=\"es\">",
            "<title>Pan de masa madre</title>",
            "content=\"Cada &lt;mañana&gt;\"",
            "hreflang=\"en\"",
            "\"@type\":\"Bakery\"",
        ] {
            assert!(html.contains(part), "{part} in {html}");
        }
        assert!(visitor.get("/bread/").await.text.contains("<html lang=\"en\">"));
        assert!(visitor.get("/sitemap.xml").await.text.contains("hreflang=\"es\""));

        client.delete(&seo).await.expect(204);
        client.delete(&seo).await.expect(204);
        assert_eq!((events(&client, "seo.updated").await, events(&client, "seo.deleted").await), (1, 1));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn translations_are_of_the_same_site_and_tenant() {
    TestServer::shared(async |server| {
        let (client, other) =
            (server.customer(server.email("a")).await, server.customer(server.email("b")).await);
        site(&client, "Ours").await;
        site(&other, "Theirs").await;
        let page = client.post(&client.t("/pages"), json!({"title": "One"})).await.expect(201);
        let theirs = other.post(&other.t("/pages"), json!({"title": "Two"})).await.expect(201);
        let path = client.t(&format!("/pages/{}", page["id"].as_str().unwrap()));
        for (wrong, code) in [(&theirs["id"], "unknown_page"), (&page["id"], "own_translation")] {
            let problem = client.put(&path, json!({"translationOf": wrong})).await.expect(422);
            assert_eq!(problem["errors"][0]["code"], code);
        }
        let foreign = client.t(&format!("/pages/{}/seo", theirs["id"].as_str().unwrap()));
        client.get(&foreign).await.expect(404);
        client.put(&foreign, json!({"title": "Mine"})).await.expect(404);
        client.delete(&foreign).await.expect(404);
    })
    .await;
}
