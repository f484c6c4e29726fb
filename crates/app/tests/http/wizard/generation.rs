//! Texts that a generator writes in the background, each once, also where workers die.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use async_trait::async_trait;
use portico::state::App;
use portico_kernel::{Job, JobType};
use portico_runtime::worker::jobs::JobError;
use portico_sites::{
    ports::{
        ContentGenerator, GeneratorError, PageBrief, PageDraft, RewriteBrief, SectionDraft, SeoBrief,
        SeoDraft, Tokens,
    },
    section::{Provenance, SectionType},
    wizard::GenerateContent,
};
use portico_testkit::{
    jobs,
    server::{Database, TestServer, at_once, eventually},
};
use serde_json::{Value, json};

use super::{PATIENCE, filled, live, ready, used};
use crate::{fixture::Person, sites::events};

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
