//! The last step: one site, whoever asks for it and however often.

use portico_testkit::server::{TestServer, at_once};
use reqwest::Method;
use serde_json::{Value, json};

use super::{filled, live, ready, used};
use crate::{
    assets::{FORM, form_of, png},
    sites::{allow_sites, events},
};

#[tokio::test(flavor = "multi_thread")]
async fn fifty_at_once_make_one_site_and_it_shows_what_was_said() {
    TestServer::on_each_database(async |server| {
        let (client, path, template) = filled(server, server.email("launch")).await;
        let file = form_of("logo.png", &png(40, 20, 7));
        let upload =
            client.send(Method::POST, &client.t("/assets/upload"), Some(file), FORM).await.expect(201);
        let logo = upload["items"][0]["id"].clone();
        let design = json!({"style": "elegant", "colors": {"primary": "#aa0000"}, "logoAssetId": logo});
        client.post(&format!("{path}/design-preferences"), design).await.expect(200);
        let answers = at_once(50, |_| {
            let (client, path) = (client.clone(), path.clone());
            async move { client.post_empty(&format!("{path}/complete")).await }
        })
        .await;
        let made: Vec<_> = answers.iter().filter(|answer| answer.status.as_u16() == 201).collect();
        assert_eq!(made.len(), 1);
        let site = made[0].json["siteId"].as_str().unwrap();
        assert_eq!(made[0].header("location"), format!("/api/v1/sites/{site}"));
        assert_eq!(made[0].json["sampleContent"], json!([]), "nothing of the example is in it");
        assert_eq!((&made[0].json["progress"], &made[0].json["status"]), (&json!(100), &json!("completed")));
        for other in answers.iter().filter(|answer| answer.status.as_u16() != 201) {
            assert_eq!(
                (other.status.as_u16(), other.json["siteId"].as_str()),
                (200, Some(site)),
                "{}",
                other.text
            );
        }
        assert_eq!(client.get("/api/v1/sites").await.expect(200)["total"], 1);
        assert_eq!(used(&client, "sites").await, 1);
        assert_eq!(
            (events(&client, "site.created").await, events(&client, "wizard.completed").await),
            (1, 1)
        );
        let late = client.put(&path, json!({"seo": {}})).await.expect(409);
        assert_eq!(late["code"], "wizard_completed");

        // The look of the first site is that of the tenant now: the template's, with the chosen colour.
        let branding = client.get(&client.t("/branding")).await.expect(200);
        assert_eq!(
            (&branding["colors"]["primary"], &branding["colors"]["text"]),
            (&json!("#aa0000"), &json!("#111111"))
        );
        assert_eq!(branding["logoAssetId"], logo);
        let stored = client.get(&format!("/api/v1/sites/{site}")).await.expect(200);
        assert_eq!((&stored["look"]["style"], &stored["look"]["colors"]), (&json!("elegant"), &Value::Null));
        assert_eq!((&stored["language"], &stored["name"]), (&json!("es"), &json!("Panadería Luz")));
        let mut work = server.app.core.begin().await.unwrap();
        assert_eq!(work.templates().find(template.id).await.unwrap().unwrap().popularity, 1);
        drop(work);

        client.post_empty(&format!("/api/v1/sites/{site}/deploy")).await.expect(202);
        live(&client, site).await;
        let host = stored["url"].as_str().unwrap().trim_start_matches("http://");
        let visitor = server.client().with("host", host);
        let home = visitor.get("/").await;
        for there in ["Pan &lt;fresco&gt;", "Luz: pan", "Quiénes somos", "/pedidos/", "lang=\"es\""] {
            assert!(home.text.contains(there), "{there} is in {}", home.text);
        }
        let about = visitor.get("/about/").await.text;
        assert!(about.contains("Bread through the night."), "{about}");
        for page in [&home.text, &about] {
            assert!(!page.contains("Example"), "{page}");
        }
        let orders = visitor.get("/pedidos/").await.text;
        assert!(orders.contains("Llame antes de las diez") && !orders.contains("steal"), "{orders}");
        let contact = visitor.get("/contact/").await.text;
        assert!(contact.contains("hola@luz.example") && contact.contains("+502 5555 1234"), "{contact}");
        assert!(!contact.contains(server.email("example")) && !contact.contains("555 0100"), "{contact}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_plan_leaves_nothing_behind_and_a_second_site_has_a_look_of_its_own() {
    TestServer::alone(async |server| {
        let (client, path, _) = filled(server, server.email("full")).await;
        client.post("/api/v1/sites", json!({"name": "The one site"})).await.expect(201);
        let before = client.get(&client.t("/audit?limit=1")).await.expect(200)["items"].clone();
        let refused = client.post_empty(&format!("{path}/complete")).await.expect(402);
        assert_eq!((&refused["code"], &refused["meter"]), (&json!("quota_exceeded"), &json!("sites")));
        assert_eq!(client.get("/api/v1/sites").await.expect(200)["total"], 1);
        let wizard = client.get(&path).await.expect(200);
        assert_eq!((&wizard["status"], &wizard["siteId"]), (&json!("in_progress"), &Value::Null));
        assert_eq!(client.get(&client.t("/audit?limit=1")).await.expect(200)["items"], before);

        allow_sites(server, 5).await;
        let made = client.post(&format!("{path}/complete"), json!({"deploy": true})).await.expect(201);
        assert_eq!(made["deployment"]["status"], "queued");
        let site = made["siteId"].as_str().unwrap();
        live(&client, site).await;
        let stored = client.get(&format!("/api/v1/sites/{site}")).await.expect(200);
        assert_eq!(stored["look"]["colors"]["primary"], "#aa0000");
        let branding = client.get(&client.t("/branding")).await.expect(200);
        assert_ne!(branding["colors"]["primary"], "#aa0000");
        client.delete(&format!("/api/v1/sites/{site}")).await.expect(204);
        client.get(&path).await.expect(404);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn publishing_along_with_it_wants_a_proven_address() {
    TestServer::shared(async |server| {
        let client = server.unverified(server.email("unproven")).await;
        let id = ready(server, &client.tenant, "unproven").await;
        let path = format!("/api/v1/wizard/{id}/complete");
        let refused = client.post(&path, json!({"deploy": true})).await.expect(403);
        assert_eq!(refused["code"], "email_unverified");
        assert_eq!(client.get("/api/v1/sites").await.expect(200)["total"], 0);
        client.post(&path, json!({"deploy": false})).await.expect(201);
    })
    .await;
}
