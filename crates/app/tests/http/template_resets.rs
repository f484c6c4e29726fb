//! What was customised of a template is told, and goes back to what the template has.

use portico_testkit::server::{TestServer, at_once};
use serde_json::{Value, json};

use crate::{
    fixture::{Person, text},
    sites::{column, events, site},
    templates::staff,
    wizard,
};

#[tokio::test(flavor = "multi_thread")]
async fn what_was_customised_is_told_and_taken_back() {
    TestServer::shared(async |server| {
        let client = server.unverified(server.email("luz")).await;
        let template = wizard::template(server, false).await;
        site(&client, "Luz").await;
        let page = client.post(&client.t("/pages"), json!({"title": "Home"})).await.expect(201);
        let path = client.t(&format!("/pages/{}", text(&page, "id")));
        let none = client.get(&format!("{path}/template")).await.expect(200);
        assert_eq!((&none["templateId"], &none["isCustomised"]), (&Value::Null, &json!(false)));
        assert_eq!(
            client.post(&format!("{path}/reset"), json!({})).await.expect(409)["code"],
            "not_from_template"
        );

        let old = json!({"type": "text", "content": {"html": "<p>Old</p>"}});
        client.post(&format!("{path}/sections"), old).await.expect(201);
        let apply = format!("/api/v1/templates/{}/apply", template.id);
        let applied = client.post(&apply, json!({"pageId": page["id"]})).await.expect(200);
        assert_eq!((&applied["replacedSections"], &applied["sections"]), (&json!(1), &json!(2)));
        assert_eq!(applied["pages"][0]["templateId"], json!(template.id));
        assert_eq!(applied["pages"][0]["title"], "Home", "the title stays the customer's");
        let state = client.get(&format!("{path}/template")).await.expect(200);
        let named = (&state["templateName"], &state["templatePage"], &state["isCustomised"]);
        assert_eq!(named, (&json!("Loaf"), &json!("home"), &json!(false)));

        let hero = text(&state["sections"][0], "sectionId");
        let section = format!("{path}/sections/{hero}");
        let first = client.get(&section).await;
        let tag = first.header("etag").to_owned();
        let mine = json!({"content": {"heading": "Mine", "ctaLabel": "Ask", "ctaUrl": "/contact"}});
        client.put(&section, mine).await.expect(200);
        let state = client.get(&format!("{path}/template")).await.expect(200);
        assert_eq!(
            (&state["isCustomised"], &state["sections"][0]["fields"]),
            (&json!(true), &json!(["heading"]))
        );
        // Changes by staff, or time, do not affect it.
        let staff = staff(server).await;
        let pages = json!({"pages": [{"key": "home", "title": "Other", "sections": [
            {"key": "hero", "type": "hero", "content": {"heading": "Newer"}}]}]});
        staff.put(&format!("/api/v1/templates/{}", template.id), pages).await.expect(200);

        let field = json!({"sectionId": hero, "field": "heading"});
        client.with("if-match", &tag).post(&format!("{path}/reset"), field.clone()).await.expect(412);
        let state = client.post(&format!("{path}/reset"), field).await.expect(200);
        assert_eq!(state["isCustomised"], false);
        let now = client.get(&section).await;
        assert_ne!(now.header("etag"), tag, "the version goes up, though the content is as it was");
        assert_eq!(now.expect(200)["content"]["heading"], "Example bread");

        for (body, fields) in [
            (json!({"field": "heading"}), vec!["sectionId"]),
            (json!({"sectionId": hero, "field": "nothing"}), vec!["field"]),
            (json!({"sectionId": "x", "colour": 1}), vec!["colour", "sectionId"]),
        ] {
            let answer = client.post(&format!("{path}/reset"), body).await;
            let mut found = answer.fields();
            found.sort();
            assert_eq!(
                (answer.status.as_u16(), found),
                (422, fields.into_iter().map(str::to_owned).collect())
            );
        }
        client
            .post(&format!("{path}/reset"), json!({"sectionId": server.app.core.env.random_uuid()}))
            .await
            .expect(404);

        client.delete(&section).await.expect(204);
        client
            .post(
                &format!("{path}/sections"),
                json!({"type": "cta", "content": {"heading": "A", "label": "B", "url": "/c"}}),
            )
            .await
            .expect(201);
        staff.delete(&format!("/api/v1/templates/{}", template.id)).await.expect(204);
        let state = client.get(&format!("{path}/template")).await.expect(200);
        assert_eq!(
            (&state["templateName"], &state["removed"][0]["sectionKey"]),
            (&Value::Null, &json!("hero"))
        );
        assert_eq!(state["sections"][1]["state"], "added");
        let state = client.post_empty(&format!("{path}/reset")).await.expect(200);
        assert_eq!((&state["isCustomised"], state["sections"].as_array().unwrap().len()), (&json!(false), 2));
        let sections = client.get(&format!("{path}/sections")).await.expect(200);
        assert_eq!(column(&sections, "type"), ["hero", "features"]);
        assert_eq!(sections["items"][0]["content"]["heading"], "Example bread");
        assert_eq!(events(&client, "page.reset_to_template").await, 2);
        let viewer = Person::new(server, server.email("viewer"), |_| {}).await;
        viewer.join(server, &client.tenant, portico_kernel::TenantRole::Viewer).await;
        viewer.client.get(&format!("{path}/template")).await.expect(200);
        viewer.client.post(&format!("{path}/reset"), json!({})).await.expect(403);
    })
    .await;
}

/// Resets of different sections, and a change, at the same moment: each is done, and positions stay whole.
#[tokio::test(flavor = "multi_thread")]
async fn resets_at_once_leave_a_whole_page() {
    TestServer::on_each_database(async |server| {
        let client = server.unverified(server.email("luz")).await;
        let template = wizard::template(server, false).await;
        site(&client, "Luz").await;
        let page = client.post(&client.t("/pages"), json!({"title": "Home"})).await.expect(201);
        let path = client.t(&format!("/pages/{}", text(&page, "id")));
        let apply = format!("/api/v1/templates/{}/apply", template.id);
        client.post(&apply, json!({"pageId": page["id"]})).await.expect(200);
        let state = client.get(&format!("{path}/template")).await.expect(200);
        for section in state["sections"].as_array().unwrap() {
            client.delete(&format!("{path}/sections/{}", text(section, "sectionId"))).await.expect(204);
        }
        let answers = at_once(8, |_| {
            let (client, path) = (client.clone(), path.clone());
            async move { client.post_empty(&format!("{path}/reset")).await.status.as_u16() }
        })
        .await;
        assert_eq!(answers, [200; 8]);
        let sections = client.get(&format!("{path}/sections")).await.expect(200);
        assert_eq!(column(&sections, "type"), ["hero", "features"]);
        assert_eq!(column(&sections, "position"), ["0", "1"]);
        assert_eq!(events(&client, "page.reset_to_template").await, 1, "seven found nothing to do");
    })
    .await;
}
