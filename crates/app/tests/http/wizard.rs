//! The wizard: saved step by step, in any session, and one site in the end.

use portico_kernel::name::Slug;
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use portico::state::App;
use portico_billing::plan::catalogue;
use portico_kernel::{Job, JobType, TenantRole};
use portico_runtime::worker::jobs::JobError;
use portico_sites::{
    look::{Look, Style},
    ports::{
        ContentGenerator, GeneratorError, PageBrief, PageDraft, RewriteBrief, SectionDraft, SeoBrief,
        SeoDraft, Tokens,
    },
    section::{Provenance, SectionType},
    template::{Template, TemplatePage, TemplateSection},
    wizard::{GenerateContent, Wizard, WizardUpdate},
};
use portico_testkit::{
    jobs,
    server::{Client, Database, PASSWORD, TestServer, at_once, eventually},
};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    assets::{FORM, form_of, png},
    fixture::Person,
    sites::{allow_sites, column, events},
    tenancy::member,
};

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

#[tokio::test(flavor = "multi_thread")]
async fn generated_texts_come_in_the_background_and_reach_the_site() {
    TestServer::shared(async |server| {
        let (client, path, _) = filled(server, server.email("texts")).await;
        let asked = client.post_empty(&format!("{path}/generate-content")).await;
        assert_eq!(asked.header("location"), format!("{path}/content-status"));
        let asked = asked.expect(202);
        assert_eq!((&asked["status"], asked["pages"].as_array().unwrap().len()), (&json!("queued"), 4));
        let done = eventually(PATIENCE, async || {
            let status = client.get(&format!("{path}/content-status")).await.expect(200);
            assert_ne!(status["status"], "failed", "{status}");
            (status["status"] == "done").then_some(status)
        });
        let done = done.await.expect("the texts come");
        assert_eq!((&done["percent"], &done["error"]), (&json!(100), &Value::Null), "{done}");
        assert!(done["pages"].as_array().unwrap().iter().all(|page| page["status"] == "done"), "{done}");
        assert_eq!(used(&client, "ai_generations").await, 1);
        let wizard = client.get(&path).await.expect(200);
        assert_eq!((&wizard["content"]["mode"], &wizard["progress"]), (&json!("ai"), &json!(87)));
        let eventual = eventually(PATIENCE, async || {
            (events(&client, "wizard.content_generated").await == 1).then_some(())
        });
        eventual.await.expect("an entry");

        let made = client.post(&format!("{path}/complete"), json!({"deploy": true})).await.expect(201);
        live(&client, made["siteId"].as_str().unwrap()).await;
        let host = made["url"].as_str().unwrap().trim_start_matches("http://");
        let visitor = server.client().with("host", host);
        let home = visitor.get("/").await.text;
        assert!(home.contains("Pan &lt;fresco&gt;"), "one's own words come first: {home}");
        assert!(!home.contains("Example feature"), "the example gave way: {home}");
        let written = done["pages"][1]["sections"][0]["content"]["html"].as_str().unwrap();
        let about = visitor.get("/about/").await.text;
        let words = written.split('<').filter_map(|part| part.split_once('>')).map(|(_, text)| text.trim());
        let longest = words.max_by_key(|text| text.len()).unwrap();
        assert!(about.contains(longest), "{longest} is in {about}");
        assert!(!about.contains("Example story"));
    })
    .await;
}

/// A writer that answers this many pages and is then unreachable.
struct Writer {
    left: AtomicUsize,
    asked: Mutex<Vec<String>>,
}

impl Writer {
    fn for_pages(count: usize) -> Arc<Self> {
        Arc::new(Self { left: AtomicUsize::new(count), asked: Mutex::default() })
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

#[async_trait]
impl ContentGenerator for Writer {
    async fn page(&self, brief: &PageBrief) -> Result<PageDraft, GeneratorError> {
        let left = self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        if left.is_err() {
            return Err(GeneratorError::Unavailable("out of reach".to_owned()));
        }
        self.asked.lock().unwrap().push(brief.title.clone());
        let write = |(kind, _): &(SectionType, Value)| {
            let title = format!("Written for {}", brief.title);
            let content = match kind {
                SectionType::Text => json!({"html": format!("<p>{title}</p>")}),
                SectionType::Features => json!({"items": [{"title": title}]}),
                _ => json!({"heading": title}),
            };
            (*kind, content)
        };
        Ok(PageDraft {
            sections: brief.sections.iter().map(write).collect(),
            provenance: Provenance::Generated,
            tokens: Tokens { input: 5, output: 5 },
        })
    }

    async fn rewrite(&self, _: &RewriteBrief) -> Result<SectionDraft, GeneratorError> {
        Err(GeneratorError::Unavailable("not this one".to_owned()))
    }

    async fn seo(&self, _: &SeoBrief) -> Result<SeoDraft, GeneratorError> {
        Err(GeneratorError::Unavailable("not this one".to_owned()))
    }
}

/// Takes the job that generates texts, as a worker would.
async fn claim(app: &App) -> Job {
    let found = eventually(PATIENCE, async || {
        let jobs =
            app.core.jobs.claim("test", 100, time::Duration::MINUTE, app.core.env.now()).await.unwrap();
        jobs.into_iter().find(|job| job.kind == GenerateContent::KIND)
    });
    found.await.expect("there is a job")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_dies_has_no_page_written_twice_and_nothing_for_nothing() {
    for database in [Database::Sqlite, Database::Postgres] {
        // Without workers of its own: the test runs the jobs, and dies, in their place.
        let server = TestServer::start_with(database, |settings| settings.worker.concurrency = 0).await;
        let client = Person::new(&server, server.email("dies"), |_| {}).await.client;
        let path = format!("/api/v1/wizard/{}", ready(&server, &client.tenant, "dies").await);
        let status = async || client.get(&format!("{path}/content-status")).await.expect(200);
        let answers = at_once(8, |_| {
            let (client, path) = (client.clone(), path.clone());
            async move { client.post_empty(&format!("{path}/generate-content")).await }
        })
        .await;
        let mut codes: Vec<u16> = answers.iter().map(|answer| answer.status.as_u16()).collect();
        codes.sort_unstable();
        assert_eq!(codes, [202, 409, 409, 409, 409, 409, 409, 409]);
        assert_eq!(used(&client, "ai_generations").await, 1, "once, before anything is written");
        client.post_empty(&format!("{path}/complete")).await.expect(409);

        let job = claim(&server.app).await;
        let writer = Writer::for_pages(2);
        let mut app = server.app.clone();
        app.sites.generator = Some(writer.clone());
        assert!(matches!(jobs::handle(&app, &job).await, Err(JobError::Retry(_))));
        let partial = status().await;
        // The contact page has nothing that could be written.
        assert_eq!((&partial["status"], &partial["percent"]), (&json!("running"), &json!(75)), "{partial}");
        assert_eq!(partial["pages"][0]["sections"][0]["content"]["heading"], "Written for Home");
        assert_eq!(writer.asked(), ["Home", "Quiénes somos"]);

        // Another worker takes over, and the first one, whose lease has ended, continues at the same time.
        let writer = Writer::for_pages(100);
        app.sites.generator = Some(writer.clone());
        let (one, other) = tokio::join!(jobs::handle(&app, &job), jobs::handle(&app, &job));
        assert!(one.is_ok() && other.is_ok());
        assert!(writer.asked().iter().all(|title| title == "Pedidos"), "{:?}", writer.asked());
        let done = status().await;
        assert_eq!((&done["status"], &done["percent"]), (&json!("done"), &json!(100)), "{done}");
        let asked = writer.asked().len();
        jobs::handle(&app, &job).await.unwrap();
        assert_eq!(writer.asked().len(), asked, "run again, it does nothing");
        assert_eq!(
            (used(&client, "ai_generations").await, events(&client, "wizard.content_generated").await),
            (1, 1)
        );
        assert!(server.app.core.jobs.complete("test", &[job.id]).await.unwrap() == 1);

        // Again: the old texts stay until there are new ones, and the quota of a run without result is released.
        client.post_empty(&format!("{path}/generate-content")).await.expect(202);
        assert_eq!(used(&client, "ai_generations").await, 2);
        let job = claim(&server.app).await;
        app.sites.generator = Some(Writer::for_pages(0));
        assert!(matches!(jobs::handle(&app, &job).await, Err(JobError::Retry(_))));
        jobs::give_up(&app, &job).await.unwrap();
        jobs::give_up(&app, &job).await.unwrap();
        let failed = status().await;
        assert_eq!(failed["status"], "failed", "{failed}");
        assert!(failed["error"].is_string());
        assert_eq!(failed["pages"][0]["sections"][0]["content"]["heading"], "Written for Home");
        assert_eq!(used(&client, "ai_generations").await, 1, "given back, once");
        // What a model wrote is published only once somebody confirms it; refused, nothing is made.
        let refused = client.post(&format!("{path}/complete"), json!({"deploy": true})).await.expect(409);
        assert_eq!(refused["code"], "sample_content");
        let places = refused["sampleContent"].as_array().unwrap();
        assert!(places.iter().all(|place| place["provenance"] == "generated"), "{refused}");
        assert_eq!(client.get("/api/v1/sites").await.expect(200)["total"], 0);
        let yes = json!({"deploy": true, "confirmSampleContent": true});
        let made = client.post(&format!("{path}/complete"), yes).await.expect(201);
        assert_eq!(made["sampleContent"], json!([]));
        let pages = client.get(&client.t("/pages?sort=createdAt")).await.expect(200);
        assert_eq!((pages["total"].as_u64(), made["progress"].as_u64()), (Some(4), Some(100)));
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_use_left_nothing_is_asked_for() {
    let server = TestServer::start_with(Database::Sqlite, |settings| settings.worker.concurrency = 0).await;
    let client = Person::new(&server, server.email("spent"), |_| {}).await.client;
    let mut paths = Vec::new();
    for number in 0..12 {
        let id = ready(&server, &client.tenant, &format!("spent{number}")).await;
        paths.push(format!("/api/v1/wizard/{id}/generate-content"));
    }
    let answers = at_once(12, |number| {
        let (client, path) = (client.clone(), paths[number].clone());
        async move { client.post_empty(&path).await }
    })
    .await;
    let accepted = answers.iter().filter(|answer| answer.status.as_u16() == 202).count();
    assert_eq!(accepted, 10, "as many as the free plan has");
    for (number, refused) in answers.iter().enumerate().filter(|(_, answer)| answer.status.as_u16() != 202) {
        assert_eq!((refused.status.as_u16(), &refused.json["meter"]), (402, &json!("ai_generations")));
        let status =
            client.get(&paths[number].replace("generate-content", "content-status")).await.expect(200);
        assert_eq!(status["status"], "not_started");
    }
    server.stop().await;
}

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

#[tokio::test(flavor = "multi_thread")]
async fn every_template_of_the_library_becomes_a_site_without_a_dead_link() {
    let server = TestServer::start().await;
    let mut work = server.app.core.begin().await.unwrap();
    for mut plan in catalogue() {
        plan.limits.clear();
        plan.premium_templates = true;
        work.plans().upsert(&plan).await.unwrap();
    }
    work.commit().await.unwrap();
    let client = server.customer(server.email("library")).await;
    let templates = client.get("/api/v1/templates?limit=100").await.expect(200);
    let templates = templates["items"].as_array().unwrap();
    assert!(templates.len() >= 12, "{}", templates.len());
    for template in templates {
        let id = ready(&server, &client.tenant, "library").await;
        let path = format!("/api/v1/wizard/{id}");
        // The page that others link to most is left out in favour of an extra one.
        let pages = template["pages"].as_array().unwrap();
        let mut chosen: Vec<Value> = pages.iter().map(|page| json!({"key": page["key"]})).collect();
        chosen.pop();
        chosen.push(json!({"title": "Something else", "purpose": "Whatever there is to say"}));
        let parts = json!({
            "templateId": template["id"], "pages": chosen, "content": {"mode": "own"},
            "goals": {"goals": ["bookings"], "language": template["language"]},
            "businessInfo": {"name": "Casa Luz", "industry": template["industry"], "services": ["First", "Second"]},
        });
        client.put(&path, parts).await.expect(200);
        client.post_empty(&format!("{path}/generate-content")).await.expect(202);
        let done = eventually(PATIENCE, async || {
            let status = client.get(&format!("{path}/content-status")).await.expect(200);
            matches!(status["status"].as_str(), Some("done" | "failed")).then_some(status)
        });
        let done = done.await.unwrap();
        assert_eq!(
            (&done["status"], &done["error"]),
            (&json!("done"), &Value::Null),
            "{}: {done}",
            template["slug"]
        );
        let made = client.post_empty(&format!("{path}/complete")).await.expect(201);
        let site = made["siteId"].as_str().unwrap();
        let pages = client.get(&client.t(&format!("/pages?limit=100&siteId={site}"))).await.expect(200);
        let pages = pages["items"].as_array().unwrap();
        assert_eq!(pages.len(), chosen.len(), "{}", template["slug"]);
        for page in pages {
            let sections = client.t(&format!("/pages/{}/sections", page["id"].as_str().unwrap()));
            let sections = client.get(&sections).await.expect(200);
            assert!(!sections["items"].as_array().unwrap().is_empty(), "{}: {page}", template["slug"]);
            for link in links(&sections) {
                let slug =
                    link.trim_start_matches('/').split(['#', '?']).next().unwrap().trim_end_matches('/');
                let leads = slug.is_empty() || pages.iter().any(|page| page["slug"] == slug);
                assert!(leads, "{}: {link} leads nowhere", template["slug"]);
            }
            let text = sections.to_string();
            assert!(!text.contains("mailto:") || text.contains("mailto:hola@luz.example"), "{text}");
        }
    }
    server.stop().await;
}

/// The addresses on the same site that buttons and rich text lead to.
fn links(content: &Value) -> Vec<String> {
    match content {
        Value::Array(items) => items.iter().flat_map(links).collect(),
        Value::Object(fields) => fields
            .iter()
            .flat_map(|(name, value)| match (name.as_str(), value.as_str()) {
                ("ctaUrl" | "url", Some(address)) => vec![address.to_owned()],
                (_, Some(text)) => {
                    let hrefs = text.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next());
                    hrefs.map(str::to_owned).collect()
                }
                _ => links(value),
            })
            .filter(|address| address.starts_with('/') && !address.starts_with("/library/"))
            .collect(),
        _ => Vec::new(),
    }
}
