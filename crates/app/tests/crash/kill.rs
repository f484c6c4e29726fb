//! SIGKILL at random moments, under load.

use std::{
    collections::BTreeSet,
    hash::{BuildHasher, RandomState},
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use portico_testkit::{TestDatabase, server::eventually};
use reqwest::Method;
use serde_json::json;

use crate::process::{Person, Server, portico};

const WRITERS: usize = 8;
/// Enough that the site is still being built when the server is killed.
const PAGES: usize = 100;
/// From the start of the process to its being ready. A server in release is ready within 2 s; this bound is for a debug build on a
/// machine that does other work, and is there to notice a start that waits for something.
const READY: Duration = Duration::from_secs(15);
/// Jobs of a dead worker are free again after its lease.
const LEASE: &str = "2s";

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_on_sqlite() {
    survive(None, 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_on_postgres() {
    let database = TestDatabase::postgres().await;
    survive(Some(database.url()), 2).await;
}

async fn survive(database: Option<&str>, rounds: usize) {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = vec![
        ("PORTICO__SECURITY__ARGON2_MEMORY_KIB", "64"),
        ("PORTICO__SECURITY__ARGON2_PASSES", "1"),
        ("PORTICO__WORKER__LEASE", LEASE),
        ("PORTICO__DATABASE__MAX_CONNECTIONS", "8"),
    ];
    settings.extend(database.map(|url| ("PORTICO__DATABASE__URL", url)));
    let mut server = Server::start(folder.path(), &settings).await;
    let mut writers = Vec::new();
    for number in 0..WRITERS {
        writers.push((
            Person::with_site(&server, &format!("writer{number}@example.com")).await,
            BTreeSet::new(),
        ));
    }
    let (mut publisher, site) = Person::with_published_pages(&server, PAGES).await;

    let (mut written, mut unfinished) = (0, 0);
    for round in 0..rounds {
        let answered = Arc::new(AtomicUsize::new(0));
        let tasks: Vec<_> = writers
            .iter()
            .map(|(writer, _)| {
                let writer = writer.at(&server);
                let answered = answered.clone();
                tokio::spawn(async move {
                    let mut acknowledged = Vec::new();
                    for number in 0.. {
                        let page = json!({"title": format!("Round {round} page {number}")});
                        match writer.call(Method::POST, &writer.t("/pages"), Some(page)).await {
                            Some((201, page)) => {
                                acknowledged.push(page["id"].as_str().unwrap().to_owned());
                                answered.fetch_add(1, Ordering::Relaxed);
                            }
                            Some(answer) => panic!("{answer:?}"),
                            None => break,
                        }
                    }
                    acknowledged
                })
            })
            .collect();
        publisher = publisher.at(&server);
        reached(&answered, 2 * WRITERS).await;
        tokio::time::sleep(Duration::from_millis(random(300))).await;
        let (status, queued) = publisher.call(Method::POST, &format!("{site}/deploy"), None).await.unwrap();
        assert_eq!(status, 202, "{queued}");
        tokio::time::sleep(Duration::from_millis(random(80))).await;
        server.kill();

        let mut acknowledged = Vec::new();
        for task in tasks {
            acknowledged.push(task.await.unwrap());
        }
        server = Server::start(folder.path(), &settings).await;
        assert!(server.startup <= READY, "ready again after {:?}", server.startup);
        publisher = publisher.at(&server);
        let status = publisher.get(&format!("{site}/status")).await;
        assert_eq!(status["id"], queued["id"], "the deployment was acknowledged");
        unfinished += usize::from(status["status"] != "live");

        for ((writer, known), new) in writers.iter_mut().zip(acknowledged) {
            *writer = writer.at(&server);
            written += new.len();
            known.extend(new);
            let pages = writer.pages().await;
            let lost: Vec<_> = known.difference(&pages).collect();
            assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
            // In each round at most one page was committed without being acknowledged.
            assert!(
                pages.len() - known.len() <= round + 1,
                "{} pages, {} acknowledged",
                pages.len(),
                known.len()
            );
            let events = writer.created_pages().await;
            assert_eq!(events.len(), pages.len(), "an event for each page, once");
            assert_eq!(events.into_iter().collect::<BTreeSet<_>>(), pages);
        }

        // Not a promise about speed: on a busy machine the lease of the killed worker has to end, and the build to be done again.
        let live = eventually(Duration::from_secs(60), async || {
            let status = publisher.get(&format!("{site}/status")).await;
            assert_ne!(status["status"], "failed", "{status}");
            (status["status"] == "live").then_some(status)
        })
        .await;
        let live = live.unwrap_or_else(|| panic!("round {round}: the deployment goes on after the restart"));
        // The port is another one now; the name of the host stays.
        let host = live["url"].as_str().unwrap().trim_start_matches("http://").to_owned();
        let visitor = publisher.at_host(&host);
        for path in ["/".to_owned(), format!("/page-{}/", PAGES - 1), "/sitemap.xml".to_owned()] {
            let (status, text) = visitor.call(Method::GET, &path, None).await.unwrap();
            assert_eq!(status, 200, "{path}: {text}");
        }
    }
    assert!(written >= 2 * WRITERS * rounds, "the writers were busy: {written}");
    assert!(unfinished > 0, "at least once the server died while it was building");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_start_that_is_cut_off_can_be_repeated() {
    for _ in 0..8 {
        let folder = tempfile::tempdir().unwrap();
        let mut child = portico(folder.path(), &[("PORTICO__SERVER__PORT", "0")])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        tokio::time::sleep(Duration::from_millis(random(120))).await;
        child.kill().unwrap();
        child.wait().unwrap();
        let server = Server::start(folder.path(), &[]).await;
        Person::with_site(&server, "first@example.com").await;
    }
}

/// Waits until `counter` is at least `number`: a kill is worth something only once there is something to lose, on a slow machine, too.
pub async fn reached(counter: &AtomicUsize, number: usize) {
    let enough = async || (counter.load(Ordering::Relaxed) >= number).then_some(());
    let answered = eventually(Duration::from_secs(30), enough).await;
    assert!(answered.is_some(), "{counter:?} of {number} requests were answered");
}

/// A number below `limit`.
pub fn random(limit: u64) -> u64 {
    RandomState::new().hash_one(limit) % limit
}
