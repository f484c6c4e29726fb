//! Nothing is published that nobody wrote or confirmed.

use portico_testkit::server::{Client, TestServer, eventually};
use serde_json::{Value, json};

use crate::{
    fixture::text,
    publishing::PATIENCE,
    sites::{column, events},
    wizard,
};

/// A site of a template, all of it published: the customer, the path of the site, the answer to the application.
async fn sample_site(server: &TestServer, name: &str) -> (Client, String, Value) {
    let client = server.customer(server.email(name)).await;
    let template = wizard::template(server, false).await;
    let path = format!("/api/v1/templates/{}/apply", template.slug);
    let made =
        client.post(&path, json!({"siteName": "Panadería Luz", "status": "published"})).await.expect(201);
    let site = format!("/api/v1/sites/{}", text(&made, "siteId"));
    (client, site, made)
}

/// The path of a section.
fn section(client: &Client, place: &Value) -> String {
    client.t(&format!("/pages/{}/sections/{}", text(place, "pageId"), text(place, "sectionId")))
}

/// Where the last deployment was refused for.
async fn refused(client: &Client, site: &str) -> Vec<Value> {
    let answer = client.post_empty(&format!("{site}/deploy")).await.expect(409);
    assert_eq!(answer["code"], "sample_content");
    answer["sampleContent"].as_array().unwrap().clone()
}

async fn live(client: &Client, site: &str) -> Value {
    let done = eventually(PATIENCE, async || {
        let status = client.get(&format!("{site}/status")).await.expect(200);
        assert_ne!(status["status"], "failed", "{status}");
        (status["status"] == "live").then_some(status)
    });
    done.await.expect("the site is live")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_example_is_published_once_each_of_its_sections_is_written_confirmed_or_deleted() {
    TestServer::on_each_database(async |server| {
        let (client, site, made) = sample_site(server, "samples").await;
        let places = refused(&client, &site).await;
        assert_eq!(json!(places), made["sampleContent"], "told when it is made, and when it is refused");
        let told: Vec<_> = places
            .iter()
            .map(|place| (text(place, "pageTitle"), text(place, "type"), text(place, "provenance")))
            .collect();
        let sample = |page: &str, kind: &str| (page.to_owned(), kind.to_owned(), "sample".to_owned());
        assert_eq!(
            told,
            [
                sample("Home", "hero"),
                sample("Home", "features"),
                sample("About", "text"),
                sample("Contact", "contact")
            ]
        );
        let status = client.get(&format!("{site}/status")).await.expect(200);
        assert_eq!((&status["status"], &status["progress"]), (&json!("not_deployed"), &json!(0)));
        assert!(!status["sampleContent"].as_array().unwrap().is_empty(), "{status}");

        // Written, confirmed as it is, hidden, deleted; one by one and several at once.
        let hero = section(&client, &places[0]);
        let moved = client.put(&hero, json!({"visible": true, "confirm": false})).await.expect(200);
        assert_eq!(moved["provenance"], "sample");
        let written = client.put(&hero, json!({"content": {"heading": "Our bread"}})).await.expect(200);
        assert_eq!(written["provenance"], "own");
        let page = text(&places[1], "pageId");
        let bulk = client.t(&format!("/pages/{page}/sections/bulk"));
        let confirm = json!({"update": [{"id": places[1]["sectionId"], "confirm": true}]});
        let confirmed = client.post(&bulk, confirm).await.expect(200);
        assert_eq!(column(&confirmed, "provenance"), ["own", "own"]);
        client.put(&section(&client, &places[2]), json!({"visible": false})).await.expect(200);
        assert_eq!(refused(&client, &site).await, places[3..]);
        client.delete(&section(&client, &places[3])).await.expect(204);
        client.post_empty(&format!("{site}/deploy")).await.expect(202);
        let status = live(&client, &site).await;
        assert_eq!(status["sampleContent"], json!([]));

        // What is reset to the example, or shown again, keeps the next deployment from being made; the live site stays.
        client.put(&section(&client, &places[2]), json!({"visible": true})).await.expect(200);
        let reset = client.t(&format!("/pages/{page}/reset"));
        client.post(&reset, json!({"sectionId": places[0]["sectionId"]})).await.expect(200);
        let status = client.get(&format!("{site}/status")).await.expect(200);
        assert_eq!(
            (&status["status"], &status["sampleContent"]),
            (&json!("live"), &json!([places[0], places[2]]))
        );
        assert_eq!(refused(&client, &site).await.len(), 2);
        assert_eq!(events(&client, "deployment.created").await, 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_may_confirm_all_of_it() {
    TestServer::on_each_database(async |server| {
        let (client, site, made) = sample_site(server, "confirm").await;
        let place = made["sampleContent"][0].clone();
        let before = client.get(&section(&client, &place)).await;
        let tag = before.header("etag").to_owned();
        for (body, field) in [
            (json!({"confirmSampleContent": "yes"}), "confirmSampleContent"),
            (json!({"confirm": true}), "confirm"),
        ] {
            let answer = client.post(&format!("{site}/deploy"), body).await;
            assert_eq!((answer.status.as_u16(), answer.fields()), (422, vec![field.to_owned()]));
        }
        let no = json!({"confirmSampleContent": false});
        assert_eq!(client.post(&format!("{site}/deploy"), no).await.expect(409)["code"], "sample_content");

        // Nobody else can.
        let stranger = server.customer(server.email("stranger")).await;
        let yes = json!({"confirmSampleContent": true});
        stranger.post(&format!("{site}/deploy"), yes.clone()).await.expect(404);
        assert_eq!(refused(&client, &site).await.len(), 4);

        client.post(&format!("{site}/deploy"), yes).await.expect(202);
        let confirmed = client.get(&section(&client, &place)).await;
        assert_ne!(confirmed.header("etag"), tag, "an older copy of it is refused");
        assert_eq!(confirmed.expect(200)["provenance"], "own");
        assert_eq!(live(&client, &site).await["sampleContent"], json!([]));
        let host = made["site"]["url"].as_str().unwrap().trim_start_matches("http://").to_owned();
        assert!(server.client().with("host", &host).get("/").await.text.contains("Example bread"));
        let trail = client.get(&client.t("/audit?type=site.content_confirmed")).await.expect(200);
        assert_eq!(trail["items"][0]["after"]["sampleContent"], made["sampleContent"]);
        assert_eq!(trail["items"].as_array().unwrap().len(), 1);
        // From now on it is their own.
        client.post_empty(&format!("{site}/deploy")).await.expect(202);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_version_of_a_page_is_as_much_of_an_example_as_it_was() {
    TestServer::shared(async |server| {
        let (client, site, made) = sample_site(server, "restore").await;
        let place = &made["sampleContent"][0];
        client.put(&section(&client, place), json!({"content": {"heading": "Our bread"}})).await.expect(200);
        let versions = client.t(&format!("/pages/{}/versions", text(place, "pageId")));
        let list = client.get(&versions).await.expect(200);
        let first = list["items"].as_array().unwrap().last().unwrap()["id"].as_str().unwrap().to_owned();
        client.post_empty(&format!("{versions}/{first}/restore")).await.expect(200);
        assert_eq!(refused(&client, &site).await.len(), 4);
    })
    .await;
}
