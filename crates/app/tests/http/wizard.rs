//! The wizard: saved step by step, in any session, and one site in the end.

use std::time::Duration;

use portico_kernel::{TenantRole, name::Slug};
use portico_sites::{
    look::{Look, Style},
    section::SectionType,
    template::{Template, TemplatePage, TemplateSection},
    wizard::{Wizard, WizardUpdate},
};
use portico_testkit::server::{Client, PASSWORD, TestServer, at_once, eventually};
use serde_json::{Value, json};

use crate::{sites::events, tenancy::member};

mod generation;
mod launch;
mod library;
mod pictures;

const PATIENCE: Duration = Duration::from_secs(30);

fn section(key: &str, kind: SectionType, content: Value) -> TemplateSection {
    TemplateSection { key: key.to_owned(), kind, content }
}

fn page(key: &str, title: &str, sections: Vec<TemplateSection>) -> TemplatePage {
    TemplatePage {
        key: key.to_owned(),
        title: title.to_owned(),
        slug: Slug::trusted(key.to_owned()),
        is_home: key == "home",
        seo_title: None,
        seo_description: Some(format!("About {key}")),
        sections,
    }
}

/// A template of three pages that is stored.
pub async fn template(server: &TestServer, is_premium: bool) -> Template {
    let env = &server.app.core.env;
    let colors = serde_json::from_value(json!({
        "primary": "#112233", "secondary": "#f3efe6", "accent": "#c8651b", "background": "#ffffff", "text": "#111111"
    }));
    let hero = json!({"heading": "Example bread", "ctaLabel": "Ask", "ctaUrl": "/contact"});
    let contact = json!({"heading": "Write to us", "email": server.email("example"), "phone": "555 0100"});
    let template = Template {
        id: env.new_id(),
        name: "Loaf".to_owned(),
        slug: Slug::trusted(format!("loaf-{}", env.random_uuid().simple())),
        category: "food-and-drink".to_owned(),
        industry: "bakery".to_owned(),
        description: "For bakeries".to_owned(),
        language: "en".to_owned(),
        is_premium,
        is_featured: false,
        popularity: 0,
        look: Look { style: Style::Bold, colors: Some(colors.unwrap()), fonts: None },
        pages: vec![
            page(
                "home",
                "Home",
                vec![
                    section("hero", SectionType::Hero, hero),
                    section(
                        "features",
                        SectionType::Features,
                        json!({"items": [{"title": "Example feature"}]}),
                    ),
                ],
            ),
            page(
                "about",
                "About",
                vec![section("text", SectionType::Text, json!({"html": "<p>Example story</p>"}))],
            ),
            page("contact", "Contact", vec![section("contact", SectionType::Contact, contact)]),
        ],
        created_at: env.now(),
        updated_at: env.now(),
        version: 1,
    };
    let mut work = server.app.core.begin().await.unwrap();
    work.templates().insert(&template).await.unwrap();
    work.commit().await.unwrap();
    template
}

/// What the seven steps before the last one ask for.
fn parts(template: &Template) -> Vec<Value> {
    vec![
        json!({"businessInfo": {"name": "Panadería Luz", "industry": "bakery", "description": "Bread through the night."}}),
        json!({"goals": {"goals": ["bookings"], "audience": "Families", "tone": "friendly", "language": "es"}}),
        json!({"templateId": template.id}),
        json!({"design": {"style": "elegant", "colors": {"primary": "#aa0000"}}}),
        json!({"pages": [{"key": "home"}, {"key": "about", "title": "Quiénes somos"}, {"key": "contact"}, {"title": "Pedidos"}]}),
        json!({"content": {"mode": "own", "sections": [
            {"page": "home", "section": "hero", "content": {"heading": "Pan <fresco>"}},
            {"page": "pedidos", "type": "text", "content": {"html": "<p>Llame antes de las diez<script>steal()</script></p>"}},
        ]}}),
        json!({"seo": {"title": "Luz: pan", "keywords": ["pan"], "email": "hola@luz.example", "phone": "+502 5555 1234"}}),
    ]
}

/// A wizard of a tenant that lacks nothing but the last step, put into the store past every limit. Its id.
pub async fn ready(server: &TestServer, tenant: &str, marker: &str) -> String {
    let template = template(server, false).await;
    let mut all = json!({});
    for part in parts(&template) {
        all.as_object_mut().unwrap().extend(part.as_object().unwrap().clone());
    }
    all["businessInfo"]["name"] = json!(format!("Wizard {marker}"));
    let said: WizardUpdate = serde_json::from_value(all).unwrap();
    let env = &server.app.core.env;
    let wizard = Wizard {
        business_info: said.business_info,
        goals: said.goals,
        template_id: said.template_id,
        design: said.design,
        pages: said.pages,
        content: said.content,
        seo: said.seo,
        ..Wizard::empty(env.new_id(), tenant.parse().unwrap(), env.now())
    };
    let mut work = server.app.core.begin().await.unwrap();
    assert!(work.wizards().insert(&wizard, u64::MAX).await.unwrap());
    work.commit().await.unwrap();
    wizard.id.to_string()
}

/// A customer with a wizard that lacks nothing but the last step.
async fn filled(server: &TestServer, email: &str) -> (Client, String, Template) {
    let client = server.customer(email).await;
    let template = template(server, false).await;
    let path = start(&client).await;
    for part in parts(&template) {
        client.put(&path, part).await.expect(200);
    }
    (client, path, template)
}

/// The path of a new wizard.
async fn start(client: &Client) -> String {
    let started = client.post_empty("/api/v1/wizard/start").await;
    let location = started.header("location").to_owned();
    let started = started.expect(201);
    assert_eq!(location, format!("/api/v1/wizard/{}", started["id"].as_str().unwrap()));
    assert_eq!(
        (&started["status"], &started["step"], &started["progress"]),
        (&json!("in_progress"), &json!(1), &json!(0))
    );
    location
}

async fn used(client: &Client, meter: &str) -> u64 {
    let usage = client.get("/api/v1/billing/usage").await.expect(200);
    let meters = usage["items"].as_array().or(usage.as_array()).unwrap().clone();
    meters.iter().find(|entry| entry["meter"] == meter).unwrap()["used"].as_u64().unwrap()
}

/// Waits until the site has switched over.
async fn live(client: &Client, site: &str) {
    let done = eventually(PATIENCE, async || {
        let status = client.get(&format!("/api/v1/sites/{site}/status")).await.expect(200);
        assert_ne!(status["status"], "failed", "{status}");
        (status["status"] == "live").then_some(())
    });
    done.await.expect("the site is live");
}

#[tokio::test(flavor = "multi_thread")]
async fn steps_are_saved_in_any_order_and_another_session_goes_on() {
    TestServer::shared(async |server| {
        let owner = server.customer(server.email("order")).await;
        let template = template(server, false).await;
        let parts = parts(&template);
        for order in [[0, 1, 2, 3, 4, 5, 6], [6, 4, 2, 0, 5, 3, 1]] {
            let path = start(&owner).await;
            let mut progress = 0;
            for (position, part) in order.into_iter().enumerate() {
                // A new session each time, as on another device; in the second half an editor of the same tenant.
                let login = json!({"email": server.email("order"), "password": PASSWORD});
                let mut client = owner.clone();
                client.sign(&server.client().post("/api/v1/auth/login", login).await.expect(200));
                if position > 3 {
                    let email = server.email(&format!("editor{position}{part}{}", order[0]));
                    let editor = member(server, email, &owner.tenant, TenantRole::Editor).await;
                    client = editor.with("x-tenant-id", &owner.tenant);
                }
                let body = parts[part].clone();
                let saved = match part {
                    0 => client.post(&format!("{path}/business-info"), body["businessInfo"].clone()).await,
                    2 => client.post(&format!("{path}/template-selection"), body).await,
                    3 => client.post(&format!("{path}/design-preferences"), body["design"].clone()).await,
                    _ => client.put(&path, body).await,
                };
                let saved = saved.expect(200);
                let now = saved["progress"].as_u64().unwrap();
                assert!(now > progress && now < 100, "{saved}");
                progress = now;
            }
            let resumed = owner.get(&path).await.expect(200);
            assert_eq!((&resumed["step"], &resumed["progress"]), (&json!(8), &json!(87)));
            for field in ["businessInfo", "goals", "templateId", "design", "pages", "content", "seo"] {
                assert!(!resumed[field].is_null(), "{field} is in {resumed}");
            }
            // Back to an earlier step.
            let name = json!({"name": "Luz", "industry": "cafe"});
            let back = owner.post(&format!("{path}/business-info"), name).await.expect(200);
            assert_eq!((&back["businessInfo"]["name"], &back["progress"]), (&json!("Luz"), &json!(87)));
        }
        let list = owner.get("/api/v1/wizard?status=in_progress&limit=1").await.expect(200);
        assert_eq!((&list["total"], list["items"].as_array().unwrap().len()), (&json!(2), 1));
        assert_eq!(owner.get("/api/v1/wizard?status=completed").await.expect(200)["total"], 0);
        assert_eq!(owner.get("/api/v1/wizard?status=lost").await.fields(), ["status"]);
        assert_eq!(events(&owner, "wizard.started").await, 2);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_documented_paths_answer_and_versions_are_compared() {
    TestServer::shared(async |server| {
        let client = server.customer(server.email("paths")).await;
        let started = client.post("/customer/wizard/start", json!({"seo": {"title": "Luz"}})).await;
        let first = started.header("etag").to_owned();
        let started = started.expect(201);
        assert_eq!(started["seo"]["title"], "Luz");
        let path = format!("/customer/wizard/{}", started["id"].as_str().unwrap());
        let info = json!({"name": "Luz", "industry": "bakery"});
        let saved =
            client.with("if-match", &first).post(&format!("{path}/business-info"), info.clone()).await;
        let second = saved.header("etag").to_owned();
        saved.expect(200);
        for verb in ["post", "put", "delete"] {
            let late = client.with("if-match", &first);
            let answer = match verb {
                "post" => late.post(&format!("{path}/business-info"), info.clone()).await,
                "put" => late.put(&path, json!({"goals": {"goals": ["x"]}})).await,
                _ => late.delete(&path).await,
            };
            assert_eq!(answer.expect(412)["code"], "precondition_failed");
        }
        assert_eq!(client.with("if-none-match", &second).get(&path).await.status.as_u16(), 304);
        assert_eq!(client.get("/api/v1/customer/wizard").await.expect(200)["total"], 1);
        assert_eq!(client.get(&format!("{path}/content-status")).await.expect(200)["status"], "not_started");
        client.delete(&path).await.expect(204);
        client.get(&path).await.expect(404);
        assert_eq!(events(&client, "wizard.deleted").await, 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_error_is_named_and_nothing_is_half_saved() {
    TestServer::shared(async |server| {
        let client = server.customer(server.email("errors")).await;
        let path = start(&client).await;
        let bad = json!({"industry": "witchcraft", "services": [""]});
        let refused = client.post(&format!("{path}/business-info"), bad).await;
        assert_eq!(refused.fields(), ["industry", "name", "services[0]"]);
        let refused = client.post(&format!("{path}/template-selection"), json!({})).await;
        assert_eq!(refused.fields(), ["templateId"]);
        let unknown = json!({"templateId": server.app.core.env.random_uuid()});
        let refused = client.post(&format!("{path}/template-selection"), unknown).await;
        assert_eq!((refused.status.as_u16(), refused.fields()), (422, vec!["templateId".to_owned()]));
        let design = json!({"colors": {"text": "#ffffff", "background": "#fffffe"}, "fonts": {"body": "x"}, "style": "loud", "gloss": 1});
        let refused = client.post(&format!("{path}/design-preferences"), design).await;
        assert_eq!(refused.fields(), ["gloss", "style"]);
        let design = json!({"colors": {"text": "#ffffff", "background": "#fffffe"}, "fonts": {"body": "x"}, "logoAssetId": server.app.core.env.random_uuid()});
        let refused = client.post(&format!("{path}/design-preferences"), design).await;
        assert_eq!(refused.fields(), ["colors.text", "fonts.body", "logoAssetId"]);
        let mixed = json!({"businessInfo": {"name": "Luz", "industry": "bakery"}, "seo": {"email": "x", "subdomain": "API"}, "pages": []});
        let refused = client.put(&path, mixed).await;
        assert_eq!(refused.fields(), ["pages", "seo.email", "seo.subdomain"]);
        assert_eq!(client.get(&path).await.expect(200)["progress"], 0);

        let refused = client.post_empty(&format!("{path}/complete")).await;
        assert_eq!(refused.status.as_u16(), 422);
        assert_eq!(refused.fields(), ["businessInfo", "content", "design", "goals", "seo", "templateId"]);
        let refused = client.post_empty(&format!("{path}/generate-content")).await;
        assert_eq!(refused.fields(), ["businessInfo", "templateId"]);
        assert_eq!((used(&client, "sites").await, used(&client, "ai_generations").await), (0, 0));

        let other = server.customer(server.email("neighbour")).await;
        let taken = json!({"name": "Taken", "subdomain": "taken-by-neighbour"});
        other.post("/api/v1/sites", taken).await.expect(201);
        let wish = json!({"seo": {"subdomain": "taken-by-neighbour"}});
        assert_eq!(client.put(&path, wish).await.expect(409)["code"], "subdomain_taken");
        for answer in [
            other.get(&path).await,
            other.put(&path, json!({})).await,
            other.delete(&path).await,
            other.get(&format!("{path}/content-status")).await,
            other.post_empty(&format!("{path}/generate-content")).await,
            other.post_empty(&format!("{path}/complete")).await,
        ] {
            assert_eq!(answer.status.as_u16(), 404, "{}", answer.text);
        }
        let viewer = member(server, server.email("looks"), &client.tenant, TenantRole::Viewer).await;
        let viewer = viewer.with("x-tenant-id", &client.tenant);
        viewer.get(&path).await.expect(200);
        for answer in [
            viewer.post_empty("/api/v1/wizard/start").await,
            viewer.put(&path, json!({})).await,
            viewer.delete(&path).await,
            viewer.post_empty(&format!("{path}/generate-content")).await,
            viewer.post_empty(&format!("{path}/complete")).await,
        ] {
            assert_eq!(answer.status.as_u16(), 403, "{}", answer.text);
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_may_be_open_also_of_many_at_once_and_premium_is_for_plans_that_have_it() {
    TestServer::on_each_database(async |server| {
        let client = server.customer(server.email("many")).await;
        for _ in 0..15 {
            client.post_empty("/api/v1/wizard/start").await.expect(201);
        }
        let answers = at_once(12, |_| {
            let client = client.clone();
            async move { client.post_empty("/api/v1/wizard/start").await }
        })
        .await;
        let started = answers.iter().filter(|answer| answer.status.as_u16() == 201).count();
        assert_eq!(started, 5);
        for refused in answers.iter().filter(|answer| answer.status.as_u16() != 201) {
            assert_eq!((refused.status.as_u16(), &refused.json["code"]), (409, &json!("too_many_wizards")));
        }
        let premium = template(server, true).await;
        let open = client.get("/api/v1/wizard").await.expect(200);
        let path = format!("/api/v1/wizard/{}", open["items"][0]["id"].as_str().unwrap());
        let refused = client.put(&path, json!({"templateId": premium.id})).await;
        assert_eq!(refused.status.as_u16(), 402, "{}", refused.text);
        assert_eq!(client.get(&path).await.expect(200)["templateId"], Value::Null);
    })
    .await;
}
