//! How often a session in use is looked up.

use std::time::{Duration, Instant};

use portico_testkit::TestDatabase;

use crate::process::{Person, Server};

const QUICK: [(&str, &str); 2] =
    [("PORTICO__SECURITY__ARGON2_MEMORY_KIB", "64"), ("PORTICO__SECURITY__ARGON2_PASSES", "1")];

/// The figure of a counter without labels; 0 before it was counted.
async fn counter(person: &Person, name: &str) -> u64 {
    let (_, metrics) = person.call(reqwest::Method::GET, "/api/metrics", None).await.unwrap();
    let prefix = format!("{name} ");
    let line = metrics.as_str().unwrap().lines().find_map(|line| line.strip_prefix(&prefix));
    line.map_or(0, |figure| figure.trim().parse().unwrap())
}

async fn few_for_many_requests(settings: &[(&str, &str)]) {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), settings).await;
    let person = Person::with_site(&server, "busy@example.com").await;
    person.get("/api/v1/auth/sessions").await;
    let before = counter(&person, "portico_caller_lookups_total").await;
    let started = Instant::now();
    let mut requests = 0;
    while started.elapsed() < Duration::from_secs(3) {
        person.get("/api/v1/auth/sessions").await;
        requests += 1;
    }
    let lookups = counter(&person, "portico_caller_lookups_total").await - before;
    assert!(requests > 30, "only {requests} requests in 3 seconds");
    // One in 2.5 seconds, and one more for the second before the server receives what other processes announce.
    assert!(lookups <= 4, "{lookups} look-ups for {requests} requests");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_in_use_is_looked_up_once_in_seconds_on_sqlite() {
    few_for_many_requests(&QUICK).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_in_use_is_looked_up_once_in_seconds_on_postgres() {
    let database = TestDatabase::postgres().await;
    let mut settings = QUICK.to_vec();
    settings.push(("PORTICO__DATABASE__URL", database.url()));
    few_for_many_requests(&settings).await;
}
