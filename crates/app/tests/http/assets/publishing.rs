//! Pictures on pages and on deployed sites.

use super::*;

/// A site with a page that shows uploaded pictures, as the answers to the uploads and the id of the site.
pub(super) async fn illustrated(client: &Client) -> (Value, Value, String) {
    let picture = uploaded(client, "oven.png", &png(1500, 900, 3)).await;
    let logo = uploaded(client, "logo.png", &png(200, 100, 5)).await;
    let described = client.t(&format!("/assets/{}", text(&picture, "id")));
    client.put(&described, json!({"altText": "Our oven"})).await.expect(200);
    let site = text(&client.post("/api/v1/sites", json!({"name": "Bakery"})).await.expect(201), "id");
    let page = json!({"title": "Home", "status": "published"});
    let page = text(&client.post(&client.t("/pages"), page).await.expect(201), "id");
    let sections = client.t(&format!("/pages/{page}/sections"));
    let id = &picture["id"];
    for section in [
        json!({"type": "hero", "content": {"heading": "Bread", "imageAssetId": id}}),
        json!({"type": "gallery", "content": {"images": [{"imageAssetId": id, "alt": "The oven at night"}]}}),
        json!({"type": "features", "content": {"items": [{"title": "Warm", "imageAssetId": id}]}}),
        json!({"type": "testimonials", "content": {"items": [{"quote": "Good", "author": "Ana", "imageAssetId": id}]}}),
    ] {
        client.post(&sections, section).await.expect(201);
    }
    let branding = json!({"logoAssetId": logo["id"], "faviconAssetId": logo["id"]});
    client.put(&client.t("/branding"), branding).await.expect(200);
    let seo = json!({"openGraph": {"imageAssetId": id}});
    client.put(&client.t(&format!("/pages/{page}/seo")), seo).await.expect(200);
    (picture, logo, site)
}

pub(super) async fn deploy(client: &Client, site: &str) {
    client.post_empty(&format!("/api/v1/sites/{site}/deploy")).await.expect(202);
    let live = eventually(Duration::from_secs(30), async || {
        let status = client.get(&format!("/api/v1/sites/{site}/status")).await.expect(200);
        assert_ne!(status["status"], "failed", "{status}");
        (status["status"] == "live").then_some(())
    });
    live.await.expect("the site is deployed");
}

/// A client that asks as a visitor of the site.
pub(super) async fn visitor(server: &TestServer, client: &Client, site: &str) -> Client {
    let site = client.get(&format!("/api/v1/sites/{site}")).await.expect(200);
    server.client().with("host", text(&site, "url").trim_start_matches("http://"))
}

/// Every address of a file in a page.
pub(super) fn assets_in(html: &str) -> Vec<String> {
    let mut found: Vec<String> = html
        .split("/assets/")
        .skip(1)
        .map(|rest| rest.split(|c: char| !c.is_ascii_alphanumeric() && c != '.').next().unwrap())
        .map(|name| format!("/assets/{name}"))
        .filter(|name| name.ends_with(".webp") || name.ends_with(".png"))
        .collect();
    found.sort();
    found.dedup();
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployed_site_shows_its_own_copies_of_pictures() {
    TestServer::shared(async |server| {
        let ada = Person::new(server, server.email("ada"), |_| {}).await;
        let client = &ada.client;
        let (picture, logo, site) = illustrated(client).await;
        deploy(client, &site).await;
        let visitor = visitor(server, client, &site).await;
        let home = visitor.get("/").await;
        assert_eq!(home.status.as_u16(), 200, "{}", home.text);
        let html = home.text;
        assert_eq!(html.matches("320w, /assets/").count(), 4, "{html}");
        assert!(
            html.contains("alt=\"Our oven\" width=\"1500\" height=\"900\" fetchpriority=\"high\""),
            "{html}"
        );
        assert!(html.contains("alt=\"The oven at night\" width=\"1500\" height=\"900\" loading=\"lazy\""));
        assert!(html.contains("<link rel=\"icon\" href=\"/assets/") && html.contains("type=\"image/png\""));
        assert!(html.contains("alt=\"Bakery\" width=\"200\" height=\"100\""));
        let shared = html.split("property=\"og:image\" content=\"").nth(1).unwrap();
        assert!(shared.starts_with("http") && shared.split('"').next().unwrap().contains("/assets/"));
        let files = assets_in(&html);
        assert_eq!(files.len(), 4 + 2, "{files:?}");
        for file in &files {
            let answer = visitor.get(file).await;
            assert_eq!(answer.status.as_u16(), 200, "{file}");
            assert!(answer.header("content-type").starts_with("image/"), "{file}");
            assert!(answer.header("cache-control").contains("immutable"), "{file}");
        }

        // In use: the answer says where. With force it goes, and the published site keeps its copies.
        let address = client.t(&format!("/assets/{}", text(&picture, "id")));
        let refused = client.delete(&address).await.expect(409);
        assert_eq!(
            (&refused["code"], refused["pages"].as_array().unwrap().len()),
            (&json!("asset_in_use"), 1)
        );
        let icon = client.t(&format!("/assets/{}", text(&logo, "id")));
        let refused = client.delete(&icon).await.expect(409);
        assert_eq!((&refused["pages"], &refused["branding"]), (&json!([]), &json!(true)));
        client.delete(&format!("{address}?force=true")).await.expect(204);
        for file in &files {
            assert_eq!(visitor.get(file).await.status.as_u16(), 200, "{file}");
        }
        deploy(client, &site).await;
        let html = visitor.get("/").await.text;
        assert!(!html.contains("320w") && html.contains("Bread") && html.contains("rel=\"icon\""), "{html}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_refers_to_files_that_are_no_pictures_of_the_tenant() {
    TestServer::shared(async |server| {
        let ada = Person::new(server, server.email("ada"), |_| {}).await;
        let bob = Person::new(server, server.email("bob"), |_| {}).await;
        let client = &ada.client;
        let document = uploaded(client, "a.pdf", PDF).await;
        let foreign = uploaded(&bob.client, "a.png", &png(10, 10, 0)).await;
        client.post("/api/v1/sites", json!({"name": "Bakery"})).await.expect(201);
        let page = text(&client.post(&client.t("/pages"), json!({"title": "Home"})).await.expect(201), "id");
        for (id, code) in [(&document["id"], "not_a_picture"), (&foreign["id"], "unknown_asset")] {
            let wrong = json!({"logoAssetId": id, "colors": {"primary": "red"}});
            let wrong = client.put(&client.t("/branding"), wrong).await;
            assert_eq!(wrong.fields(), ["colors.primary", "logoAssetId"], "{}", wrong.text);
            let seo = json!({"openGraph": {"imageAssetId": id}});
            let seo = client.put(&client.t(&format!("/pages/{page}/seo")), seo).await;
            assert_eq!(
                (seo.fields(), &seo.json["errors"][0]["code"]),
                (vec!["openGraph.imageAssetId".to_owned()], &json!(code))
            );
            let hero = json!({"type": "hero", "content": {"heading": "x", "imageAssetId": id}});
            let hero = client.post(&client.t(&format!("/pages/{page}/sections")), hero).await;
            assert_eq!(
                (hero.fields(), &hero.json["errors"][0]["code"]),
                (vec!["content.imageAssetId".to_owned()], &json!(code))
            );
        }
        assert_eq!(client.get(&client.t("/branding")).await.expect(200)["logoAssetId"], Value::Null);
    })
    .await;
}
