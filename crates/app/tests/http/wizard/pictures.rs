//! Pictures of the owner in place of the drawings of a template.

use portico_testkit::server::{Client, TestServer};
use reqwest::Method;
use serde_json::{Value, json};

use super::{filled, live};
use crate::{
    assets::{FORM, form_of, png},
    sites::column,
};

/// A field of each item.
fn named(items: &Value, field: &str) -> Vec<String> {
    column(&json!({"items": items}), field)
}

/// Uploads a picture. Its id.
async fn picture(client: &Client, seed: u8) -> Value {
    let file = form_of(&format!("photo{seed}.png"), &png(480, 320, seed));
    let made = client.send(Method::POST, &client.t("/assets/upload"), Some(file), FORM).await.expect(201);
    made["items"][0]["id"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn pictures_of_the_owner_are_published_in_place_of_drawings() {
    TestServer::on_each_database(async |server| {
        let (client, path, _) = filled(server, server.email("photos")).await;
        let templates = client.get("/api/v1/templates?limit=100").await.expect(200);
        let all = templates["items"].as_array().unwrap();
        let template = all.iter().find(|template| template["slug"] == "millstone-bakery").unwrap();
        let parts = json!({"templateId": template["id"], "content": {"mode": "own"}});
        client.put(&path, parts).await.expect(200);
        let pages: Vec<Value> =
            template["pages"].as_array().unwrap().iter().map(|page| json!({"key": page["key"]})).collect();
        client.put(&path, json!({"pages": pages})).await.expect(200);

        let (hero, other) = (picture(&client, 3).await, picture(&client, 4).await);
        let stranger = server.customer(server.email("stranger")).await;
        let foreign = picture(&stranger, 5).await;
        let preferences = format!("{path}/design-preferences");
        for (photos, field) in [
            (json!([foreign]), "photoAssetIds[0]"),
            (json!([hero, other, hero]), "photoAssetIds[2]"),
            (json!(vec![hero.clone(); 13]), "photoAssetIds"),
            (json!("all"), "photoAssetIds"),
        ] {
            let refused = client.post(&preferences, json!({"photoAssetIds": photos})).await;
            assert_eq!(refused.status.as_u16(), 422, "{}", refused.text);
            assert!(refused.fields().contains(&field.to_owned()), "{}", refused.text);
        }
        client
            .put(&client.t(&format!("/assets/{}", hero.as_str().unwrap())), json!({"altText": "Warm loaves"}))
            .await
            .expect(200);
        let saved = client.post(&preferences, json!({"photoAssetIds": [hero, other]})).await.expect(200);
        assert_eq!(saved["design"]["photoAssetIds"], json!([hero, other]));

        let made = client.post_empty(&format!("{path}/complete")).await.expect(201);
        assert_eq!(made["sampleContent"], json!([]));
        // Another page of this template opens with a drawing.
        let stock = &made["stockPictures"];
        assert_eq!(named(stock, "field"), ["imageUrl"], "{stock}");
        assert_eq!(
            (named(stock, "type"), named(stock, "pageSlug")),
            (vec!["hero".to_owned()], vec!["about".to_owned()])
        );
        let again = client.post_empty(&format!("{path}/complete")).await.expect(200);
        let site = format!("/api/v1/sites/{}", made["siteId"].as_str().unwrap());
        let status = client.get(&format!("{site}/status")).await.expect(200);
        assert_eq!((&again["stockPictures"], &status["stockPictures"]), (stock, stock));

        let used =
            client.delete(&client.t(&format!("/assets/{}", other.as_str().unwrap()))).await.expect(409);
        assert_eq!(
            (&used["code"], used["pages"].as_array().map(Vec::len)),
            (&json!("asset_in_use"), Some(1))
        );

        // A drawing keeps nothing from being deployed.
        client.post_empty(&format!("{site}/deploy")).await.expect(202);
        live(&client, made["siteId"].as_str().unwrap()).await;
        let host = made["url"].as_str().unwrap().trim_start_matches("http://");
        let visitor = server.client().with("host", host);
        let home = visitor.get("/").await.text;
        assert!(!home.contains("/library/") && !home.contains("millstone"), "{home}");
        for alt in ["Warm loaves", "Panadería Luz"] {
            let tag = home
                .split("<img")
                .find(|tag| tag.contains(&format!("alt=\"{alt}\"")))
                .unwrap_or_else(|| panic!("{alt} is in {home}"));
            let src = tag.split("src=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
            let shown = visitor.get(src).await;
            assert_eq!(shown.status.as_u16(), 200, "{src}");
            assert!(shown.header("content-type").starts_with("image/"), "{src}");
        }
        assert!(
            visitor.get("/about/").await.text.contains("millstone"),
            "the drawing stays where no picture is"
        );

        // The owner replaces it.
        let place = &stock[0];
        let section = format!(
            "/pages/{}/sections/{}",
            place["pageId"].as_str().unwrap(),
            place["sectionId"].as_str().unwrap()
        );
        let content = json!({"content": {"heading": "About", "imageAssetId": other}});
        client.put(&client.t(&section), content).await.expect(200);
        assert_eq!(client.get(&format!("{site}/status")).await.expect(200)["stockPictures"], json!([]));

        // The template as it is: every drawing is listed.
        let apply = json!({"siteId": made["siteId"], "templatePage": "home"});
        let applied = client.post("/api/v1/templates/millstone-bakery/apply", apply).await.expect(201);
        let fields = named(&applied["stockPictures"], "field");
        assert!(fields.len() > 1 && fields[0] == "imageUrl" && fields[1] == "images[0].url", "{applied}");
    })
    .await;
}
