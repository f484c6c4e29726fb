//! SIGKILL while webhooks are delivered.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::TcpListener,
    sync::{Arc, Mutex},
    time::Duration,
};

use actix_web::{
    App, HttpRequest, HttpResponse, HttpServer,
    web::{self, Bytes, Data},
};
use portico_testkit::{TestDatabase, server::eventually};
use reqwest::Method;
use serde_json::{Value, json};

use crate::process::{Person, Server};

const WRITERS: usize = 4;
/// Kills of one run.
const KILLS: usize = 3;
/// The receiver takes so long, that a killed process has calls under way.
const PONDERING: Duration = Duration::from_millis(20);

#[tokio::test(flavor = "multi_thread")]
async fn every_event_is_delivered_by_a_process_that_is_killed_again_and_again() {
    deliver(None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_event_is_delivered_by_two_processes_one_of_which_is_killed() {
    let database = TestDatabase::postgres().await;
    deliver(Some(database.url())).await;
}

async fn deliver(database: Option<&str>) {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = vec![
        ("PORTICO__SECURITY__ARGON2_MEMORY_KIB", "64"),
        ("PORTICO__SECURITY__ARGON2_PASSES", "1"),
        ("PORTICO__WEBHOOKS__LEASE", "1s"),
        ("PORTICO__DATABASE__MAX_CONNECTIONS", "8"),
        ("PORTICO__WEBHOOKS__ALLOW_NETWORKS", "127.0.0.0/8"),
    ];
    settings.extend(database.map(|url| ("PORTICO__DATABASE__URL", url)));
    let receiver = Receiver::start();
    let mut mortal = Server::start(folder.path(), &settings).await;
    let person = Person::with_site(&mortal, "receiver@example.com").await;
    person.verify("receiver@example.com").await;
    let webhook = json!({"url": receiver.url, "events": ["page.created"]});
    let (status, webhook) = person.call(Method::POST, &person.t("/webhooks"), Some(webhook)).await.unwrap();
    assert_eq!(status, 201, "{webhook}");
    let survivor = match database {
        Some(_) => Some(Server::start(folder.path(), &settings).await),
        None => None,
    };

    let mut acknowledged = BTreeSet::new();
    for round in 0..KILLS {
        let server = survivor.as_ref().unwrap_or(&mortal);
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let person = person.at(server);
                tokio::spawn(async move {
                    let mut made = BTreeSet::new();
                    for number in 0..40 {
                        let page = json!({"title": format!("Page {round} {writer} {number}")});
                        match person.call(Method::POST, &person.t("/pages"), Some(page)).await {
                            Some((201, page)) => made.insert(page["id"].as_str().unwrap().to_owned()),
                            Some(answer) => panic!("{answer:?}"),
                            None => break,
                        };
                    }
                    made
                })
            })
            .collect();
        receiver.wait_for_calls(10 * (round + 1)).await;
        mortal.kill();
        for writer in writers {
            acknowledged.extend(writer.await.unwrap());
        }
        mortal = Server::start(folder.path(), &settings).await;
    }

    let person = person.at(&mortal);
    let created: BTreeSet<String> = person.created_pages().await.into_iter().collect();
    assert!(acknowledged.is_subset(&created) && acknowledged.len() > KILLS * WRITERS);
    let arrived = eventually(Duration::from_secs(30), async || {
        (receiver.pages().len() >= created.len()).then(|| receiver.pages())
    })
    .await;
    let arrived =
        arrived.unwrap_or_else(|| panic!("{} of {} arrived", receiver.pages().len(), created.len()));
    assert_eq!(arrived.keys().cloned().collect::<BTreeSet<_>>(), created, "all of them, and nothing else");
    for (page, messages) in &arrived {
        let different: BTreeSet<_> = messages.iter().collect();
        assert_eq!(different.len(), 1, "page {page} came under one webhook-id with one body: {messages:?}");
    }

    // What arrived but was not recorded before a kill is sent again, until all of it is recorded.
    let path = person.t("/deliveries?status=pending");
    let quiet = eventually(Duration::from_secs(30), async || {
        person.get(&path).await["items"].as_array().unwrap().is_empty().then_some(())
    });
    assert!(quiet.await.is_some(), "{}", person.get(&path).await);
    let failed = person.get(&person.t("/deliveries?status=failed")).await;
    assert_eq!(failed["items"], json!([]), "a kill is no failure of the receiver");
}

/// A receiver that accepts everything after a delay.
struct Receiver {
    url: String,
    calls: Data<Calls>,
}

/// `webhook-id` and body of every call.
type Calls = Arc<Mutex<Vec<(String, Bytes)>>>;

impl Receiver {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let calls: Data<Calls> = Data::default();
        let shared = calls.clone();
        let server = HttpServer::new(move || {
            App::new().app_data(shared.clone()).default_service(web::to(
                async |request: HttpRequest, body: Bytes, calls: Data<Calls>| {
                    let id = request.headers().get("webhook-id").unwrap().to_str().unwrap().to_owned();
                    calls.lock().unwrap().push((id, body));
                    tokio::time::sleep(PONDERING).await;
                    HttpResponse::NoContent().finish()
                },
            ))
        });
        // A connection that it closes for being idle can fail a request that is on its way.
        let server = server.keep_alive(Duration::from_secs(75)).workers(1).disable_signals();
        tokio::spawn(server.listen(listener).unwrap().run());
        Self { url, calls }
    }

    /// Waits until so many calls came, counted from the beginning.
    async fn wait_for_calls(&self, number: usize) {
        let enough = async || (self.calls.lock().unwrap().len() >= number).then_some(());
        assert!(eventually(Duration::from_secs(30), enough).await.is_some(), "nothing is delivered");
    }

    /// What came about each page.
    fn pages(&self) -> BTreeMap<String, Vec<(String, Bytes)>> {
        let mut pages: BTreeMap<String, Vec<(String, Bytes)>> = BTreeMap::new();
        for (id, body) in self.calls.lock().unwrap().iter() {
            let message: Value = serde_json::from_slice(body).unwrap();
            let page = message["resource"]["id"].as_str().unwrap().to_owned();
            pages.entry(page).or_default().push((id.clone(), body.clone()));
        }
        pages
    }
}
