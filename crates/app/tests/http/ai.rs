//! Texts by AI: proposed or applied, counted exactly, given back when nothing comes of it.

mod counting;

use std::time::Duration;

use portico::settings::{Profile, Settings};
use portico_billing::plan::catalogue;
use portico_kernel::Meter;
use portico_testkit::server::{Client, Database, TestServer, eventually};
use serde_json::{Value, json};

use crate::{
    model::{self, Reply, Server},
    sites::{events, site},
};

const CONTENT: &str = "/api/v1/ai/content-optimize";
const SEO: &str = "/api/v1/ai/seo-optimize";
const PAGE: &str = "/api/v1/ai/generate-page";

/// Lets texts be written by this server.
fn written_by(server: &Server, settings: &mut Settings) {
    settings.ai.base_url = Some(server.url().parse().unwrap());
    settings.ai.model = Some("test-model".to_owned());
    settings.ai.api_key = Some(model::KEY.to_owned().into());
    settings.ai.timeout = Duration::from_secs(20);
    settings.ai.max_attempts = 1;
    settings.outbound.allow_networks = vec!["127.0.0.0/8".parse().unwrap()];
}

/// A server on each database whose writer is a language model with these replies.
async fn with_model(replies: &[Reply], test: impl AsyncFn(&TestServer, &Server)) {
    for database in [Database::Sqlite, Database::Postgres] {
        let model = Server::start(replies.iter().cloned()).await;
        let server = TestServer::start_with(database, |settings| written_by(&model, settings)).await;
        test(&server, &model).await;
        server.stop().await;
    }
}

async fn allow_texts(server: &TestServer, limit: u64) {
    let mut plan = catalogue().swap_remove(0);
    plan.limits.insert(Meter::AiGenerations, limit);
    let mut work = server.app.core.begin().await.unwrap();
    work.plans().upsert(&plan).await.unwrap();
    work.commit().await.unwrap();
}

/// Texts that were counted in this month.
async fn used(client: &Client) -> u64 {
    let usage = client.get("/api/v1/billing/usage").await.expect(200);
    let items = usage["items"].as_array().unwrap();
    let meter = items.iter().find(|item| item["meter"] == "ai_generations").unwrap();
    assert!(meter["resetsAt"].is_string(), "{meter}");
    let monthly = ["ai_generations", "bandwidth"];
    for item in items {
        assert_eq!(
            item["resetsAt"].is_string(),
            monthly.contains(&item["meter"].as_str().unwrap()),
            "{item}"
        );
    }
    meter["used"].as_u64().unwrap()
}

/// A site with a page that has one section.
async fn page(client: &Client, content: Value) -> (String, String) {
    site(client, "Panadería Luz").await;
    let page = client.post(&client.t("/pages"), json!({"title": "Nuestro pan"})).await.expect(201);
    let page = page["id"].as_str().unwrap().to_owned();
    let section = json!({"type": "hero", "content": content});
    let section = client.post(&client.t(&format!("/pages/{page}/sections")), section).await.expect(201);
    (page, section["id"].as_str().unwrap().to_owned())
}

fn hero() -> Value {
    json!({"heading": "Hi", "subheading": "We have bread, and it is really good bread.", "ctaLabel": "Go", "ctaUrl": "/menu"})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_is_proposed_and_put_into_the_page_only_when_asked() {
    TestServer::shared(async |server| {
        let client = server.customer(server.email("ai")).await;
        let (page, section) = page(&client, hero()).await;
        let path = client.t(&format!("/pages/{page}/sections/{section}"));
        let business =
            json!({"name": "Panadería Luz", "industry": "bakery", "location": "Antigua Guatemala"});
        let input = json!({"pageId": page, "sectionId": section, "language": "es", "business": business});
        let proposal = client.post(CONTENT, input.clone()).await.expect(200);
        assert_eq!((proposal["type"].as_str(), &proposal["section"]), (Some("hero"), &Value::Null));
        assert_eq!(proposal["content"]["heading"], "Panadería Luz", "{proposal}");
        assert_eq!(proposal["content"]["ctaUrl"], "/menu", "the link stays");
        assert_eq!(client.get(&path).await.expect(200)["content"]["heading"], "Hi", "nothing is changed");

        let mut apply = input.clone();
        apply["apply"] = true.into();
        let applied = client.post("/api/ai/content-optimize", apply).await.expect(200);
        let stored = client.get(&path).await.expect(200);
        assert_eq!((&stored["content"], &stored), (&applied["content"], &applied["section"]));
        assert_ne!(stored["content"]["heading"], "Hi");

        let loose = json!({"type": "cta", "business": {"name": "Luz"}, "tone": "bold"});
        let proposal = client.post(CONTENT, loose).await.expect(200);
        assert_eq!(proposal["content"]["url"], "/");
        assert_eq!((used(&client).await, events(&client, "ai.generated").await), (3, 3));
        assert_eq!(events(&client, "section.updated").await, 1);

        let trail = client.get(&client.t("/audit?type=ai.generated")).await.expect(200);
        let entry = &trail["items"][1]["after"];
        assert_eq!((&entry["kind"], &entry["about"]["pageId"]), (&json!("section"), &json!(page)));
        assert!(entry["tokens"]["input"].is_u64(), "{entry}");
        for word in ["Antigua", "Panadería", "menu"] {
            assert!(!trail.to_string().contains(word), "the trail tells no texts: {trail}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn search_engines_are_told_when_asked() {
    TestServer::shared(async |server| {
        let client = server.customer(server.email("seo")).await;
        let (page, _) = page(&client, hero()).await;
        let path = client.t(&format!("/pages/{page}/seo"));
        client.put(&path, json!({"robots": "noindex", "title": "Old"})).await.expect(200);
        let proposal = client.post(SEO, json!({"pageId": page})).await.expect(200);
        assert_eq!(
            (proposal["title"].as_str(), &proposal["applied"]),
            (Some("Nuestro pan | Panadería Luz"), &json!(false))
        );
        assert!(proposal["description"].as_str().unwrap().chars().count() <= 155, "{proposal}");
        assert_eq!(client.get(&path).await.expect(200)["title"], "Old");

        let applied = client.post(SEO, json!({"page_id": page, "apply": true})).await.expect(200);
        let stored = client.get(&path).await.expect(200);
        assert_eq!(applied["applied"], true);
        for field in ["title", "description", "keywords"] {
            assert_eq!(stored[field], applied[field], "{field}");
        }
        assert_eq!(stored["openGraph"]["title"], applied["openGraph"]["title"]);
        assert_eq!(stored["robots"], "noindex", "the rest stays");
        assert_eq!((used(&client).await, events(&client, "seo.updated").await), (2, 2));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_is_written_and_made_as_a_draft() {
    TestServer::shared(async |server| {
        let client = server.customer(server.email("page")).await;
        let input = json!({"title": "Our bread", "purpose": "We show what we bake."});
        assert_eq!(client.post(PAGE, input.clone()).await.expect(409)["code"], "no_site");
        site(&client, "Luz").await;
        let proposal = client.post(PAGE, input.clone()).await.expect(200);
        let kinds = |answer: &Value| -> Vec<String> {
            let sections = answer["sections"].as_array().unwrap();
            sections.iter().map(|section| section["type"].as_str().unwrap().to_owned()).collect()
        };
        assert_eq!(kinds(&proposal), ["hero", "text", "features", "faq", "contact"]);
        assert_eq!(client.get(&client.t("/pages")).await.expect(200)["total"], 0);

        let mut create = input.clone();
        create["create"] = true.into();
        create["sections"] = json!(["hero", "text", "contact", "text"]);
        create["business"] = json!({"name": "Luz", "location": "Antigua", "services": ["Rye bread"]});
        let answer = client.post(PAGE, create.clone()).await;
        let location = answer.header("location").to_owned();
        let made = answer.expect(201);
        let page = client.get(&location).await.expect(200);
        assert_eq!(page, made["page"]);
        assert_eq!(
            (&page["status"], &page["slug"], &page["title"]),
            (&json!("draft"), &json!("our-bread"), &json!("Our bread"))
        );
        let sections = client.get(&format!("{location}/sections")).await.expect(200);
        let stored: Vec<&Value> =
            sections["items"].as_array().unwrap().iter().map(|s| &s["content"]).collect();
        let proposed: Vec<&Value> =
            made["sections"].as_array().unwrap().iter().map(|s| &s["content"]).collect();
        assert_eq!(stored, proposed);
        assert_eq!(stored[2]["address"], "Antigua");
        assert_ne!(stored[1]["html"], stored[3]["html"], "two texts do not say the same");

        let again = client.post(PAGE, create).await.expect(409);
        assert_eq!(again["code"], "slug_taken");
        assert_eq!(used(&client).await, 2, "what was refused is not counted");
        assert_eq!((events(&client, "page.created").await, events(&client, "ai.generated").await), (1, 2));
    })
    .await;
}

/// More texts under way than there are connections: other requests are still answered.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_held_while_a_text_is_written() {
    with_model(&[Reply::Held], async |server, model| {
        let client = server.customer(server.email("slow")).await;
        allow_texts(server, 100).await;
        let input = json!({"type": "hero", "business": {"name": "Luz"}});
        let writing: Vec<_> = (0..24)
            .map(|_| {
                let (client, input) = (client.clone(), input.clone());
                tokio::spawn(async move { client.post(CONTENT, input).await.status.as_u16() })
            })
            .collect();
        let asked = async || (model.requests().len() == 24).then_some(());
        eventually(Duration::from_secs(15), asked).await.expect("all texts are under way");
        site(&client, "Meanwhile").await;
        client.get("/api/v1/sites").await.expect(200);
        model.gate.close();
        for task in writing {
            assert_eq!(task.await.unwrap(), 200);
        }
        assert_eq!(used(&client).await, 24);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_section_that_was_changed_meanwhile_is_left_alone() {
    with_model(&[Reply::Held], async |server, model| {
        let client = server.customer(server.email("meanwhile")).await;
        let (page, section) = page(&client, hero()).await;
        let path = client.t(&format!("/pages/{page}/sections/{section}"));
        let input = json!({"pageId": page, "sectionId": section, "apply": true});
        let writing = tokio::spawn({
            let client = client.clone();
            async move { client.post(CONTENT, input).await }
        });
        let asked = async || (model.requests().len() == 1).then_some(());
        eventually(Duration::from_secs(15), asked).await.expect("the text is under way");
        client.put(&path, json!({"content": {"heading": "By hand"}})).await.expect(200);
        model.gate.close();
        let answer = writing.await.unwrap().expect(409);
        assert_eq!(answer["code"], "modified_concurrently");
        assert_eq!(client.get(&path).await.expect(200)["content"]["heading"], "By hand");
        assert_eq!((used(&client).await, events(&client, "ai.generated").await), (0, 0));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_hangs_up_gets_what_it_paid_for() {
    with_model(&[Reply::Held], async |server, model| {
        let client = server.customer(server.email("hangs-up")).await;
        let (page, section) = page(&client, hero()).await;
        let input = json!({"pageId": page, "sectionId": section, "apply": true});
        let asking = tokio::spawn({
            let client = client.clone();
            async move { client.post(CONTENT, input).await }
        });
        let asked = async || (model.requests().len() == 1).then_some(());
        eventually(Duration::from_secs(15), asked).await.expect("the text is under way");
        asking.abort();
        assert!(asking.await.is_err(), "its connection is closed");
        // The server has this long to notice before the text is there.
        tokio::time::sleep(Duration::from_millis(200)).await;
        model.gate.close();
        let done = async || (events(&client, "ai.generated").await == 1).then_some(());
        eventually(Duration::from_secs(10), done).await.expect("the use is settled");
        assert_eq!((used(&client).await, events(&client, "section.updated").await), (1, 1));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn texts_have_the_strict_limit() {
    let server = TestServer::start_with(Database::Sqlite, |settings| {
        settings.rate_limit.enabled = true;
        settings.rate_limit.sensitive = 3;
    })
    .await;
    let client = server.customer(server.email("limited")).await;
    for (path, body) in [(CONTENT, json!({"type": "gallery"})), (SEO, json!({})), (PAGE, json!({}))] {
        let statuses = [422, 422, 422, 429];
        for status in statuses {
            client.post(path, body.clone()).await.expect(status);
        }
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn production_writes_nothing_offline_unless_told_to() {
    for (allowed, status) in [(None, 503), (Some("sandbox_ai"), 200)] {
        let server = TestServer::start_with(Database::Sqlite, |settings| {
            settings.profile = Profile::Production;
            settings.allow_in_production.extend(allowed.map(str::to_owned));
        })
        .await;
        let client = server.customer(server.email("production")).await;
        let answer = client.post(CONTENT, json!({"type": "hero", "business": {"name": "Luz"}})).await;
        if status == 503 {
            assert_eq!(answer.json["code"], "generator_unavailable");
        }
        answer.expect(status);
        assert_eq!(used(&client).await, u64::from(status == 200));
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_see_a_page_gets_no_text_about_it() {
    TestServer::shared(async |server| {
        let client = server.customer(server.email("owner")).await;
        let (page, section) = page(&client, hero()).await;
        let stranger = server.customer(server.email("stranger")).await;
        site(&stranger, "Elsewhere").await;
        let theirs = json!({"pageId": page, "sectionId": section, "apply": true});
        stranger.post(CONTENT, theirs).await.expect(404);
        stranger.post(SEO, json!({"pageId": page})).await.expect(404);
        let site_id = client.get("/api/v1/sites").await.expect(200)["items"][0]["id"].clone();
        let input = json!({"siteId": site_id, "title": "Mine", "purpose": "All mine.", "create": true});
        stranger.post(PAGE, input).await.expect(404);
        assert_eq!(used(&stranger).await, 0);

        // A key that is only permitted to have texts written neither reads pages nor changes them.
        for (permissions, apply, status) in [
            (json!(["ai:generate"]), false, 403),
            (json!(["pages:read", "pages:write"]), false, 403),
            (json!(["ai:generate", "pages:read"]), false, 200),
            (json!(["ai:generate", "pages:read"]), true, 403),
            (json!(["ai:generate", "pages:read", "pages:write"]), true, 200),
        ] {
            let body = json!({"name": "Texts", "permissions": permissions});
            let verified = client.post(&client.t("/api-keys"), body).await.expect(201);
            let key = server.client().with("x-api-key", verified["key"].as_str().unwrap());
            let input = json!({"pageId": page, "sectionId": section, "apply": apply});
            assert_eq!(key.post(CONTENT, input).await.status.as_u16(), status, "{permissions} {apply}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_is_told_all_at_once_and_costs_nothing() {
    TestServer::shared(async |server| {
        let client = server.customer(server.email("bad")).await;
        let (page, section) = page(&client, hero()).await;
        let long = "x".repeat(3000);
        for (path, input, fields) in [
            (CONTENT, json!({}), vec!["type"]),
            (CONTENT, json!({"pageId": page}), vec!["sectionId"]),
            (CONTENT, json!({"sectionId": section}), vec!["pageId"]),
            (CONTENT, json!({"pageId": page, "sectionId": section, "type": "hero", "content": {}}), vec!["content", "type"]),
            (CONTENT, json!({"type": "hero", "apply": true}), vec!["apply"]),
            (CONTENT, json!({"type": "testimonials"}), vec!["content"]),
            (CONTENT, json!({"type": "gallery", "content": null}), vec!["content"]),
            (CONTENT, json!({"type": "pricing", "content": {"plans": []}}), vec!["content.plans"]),
            (CONTENT, json!({"type": "hero", "content": {"heading": "", "color": 1}}), vec!["content.color", "content.heading"]),
            (CONTENT, json!({"type": "hero", "content": 5}), vec!["content"]),
            (CONTENT, json!({"type": "header"}), vec!["type"]),
            (CONTENT, json!({"type": "hero", "tone": "angry"}), vec!["tone"]),
            (CONTENT, json!({"type": "hero", "prompt": "x"}), vec!["prompt"]),
            (CONTENT, json!({"type": "hero", "business": {"name": "x", "ceo": "y"}}), vec!["business.ceo"]),
            (
                CONTENT,
                json!({"type": "hero", "language": "klingon!", "instructions": long, "business": {"industry": "witchcraft", "services": [""], "goals": vec!["x"; 11]}}),
                vec!["business.goals", "business.industry", "business.name", "business.services[0]", "instructions", "language"],
            ),
            (SEO, json!({}), vec!["pageId"]),
            (SEO, json!({"pageId": "x"}), vec!["pageId"]),
            (PAGE, json!({}), vec!["purpose", "title"]),
            (PAGE, json!({"title": "x", "purpose": "y", "sections": []}), vec!["sections"]),
            (PAGE, json!({"title": "x", "purpose": "y", "sections": vec!["hero"; 13]}), vec!["sections"]),
            (PAGE, json!({"title": "x", "purpose": "y", "sections": ["hero", "pricing", "testimonials"]}), vec!["sections[1]", "sections[2]"]),
            (PAGE, json!({"title": "x\u{0}", "purpose": "y"}), vec!["title"]),
        ] {
            let answer = client.post(path, input.clone()).await;
            assert_eq!(answer.status.as_u16(), 422, "{input}: {}", answer.text);
            assert_eq!(answer.fields(), fields, "{input}: {}", answer.text);
        }
        let unknown = "0199f3c2-6d4e-7c3a-9d7c-5a8e1f2b3c4d";
        client.post(CONTENT, json!({"pageId": page, "sectionId": unknown})).await.expect(404);
        client.post(SEO, json!({"pageId": unknown})).await.expect(404);
        assert_eq!(used(&client).await, 0);
    })
    .await;
}
