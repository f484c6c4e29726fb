//! SIGTERM: what is under way is finished first.

use std::time::{Duration, Instant};

use portico_testkit::server::eventually;
use reqwest::Method;
use serde_json::json;

use crate::process::{Person, Server};

#[tokio::test(flavor = "multi_thread")]
async fn requests_under_way_are_answered_before_the_end() {
    let folder = tempfile::tempdir().unwrap();
    // Hashing a password takes so long that requests are under way when the signal comes.
    let slow = [("PORTICO__SECURITY__ARGON2_MEMORY_KIB", "65536"), ("PORTICO__SECURITY__ARGON2_PASSES", "6")];
    let mut server = Server::start(folder.path(), &slow).await;
    let visitor = Person::visitor(&server);
    let requests: Vec<_> = (0..4)
        .map(|number| {
            let visitor = visitor.clone();
            tokio::spawn(async move {
                let email = format!("late{number}@example.com");
                let registration = json!({"email": email, "password": "Correct-Horse-7", "fullName": "Late"});
                let answer = visitor.call(Method::POST, "/api/v1/auth/register", Some(registration)).await;
                (answer, Instant::now())
            })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(150)).await;
    server.terminate();
    let told = Instant::now();
    let mut late = 0;
    for request in requests {
        let (answer, at) = request.await.unwrap();
        let (status, tokens) = answer.unwrap();
        assert_eq!(status, 201, "{tokens}");
        late += usize::from(at > told);
    }
    assert!(late > 0, "some were under way when the signal came");
    let status = server.ended(Duration::from_secs(16)).await.unwrap();
    assert_eq!(status.code(), Some(0));
    assert!(visitor.call(Method::GET, "/api/health", None).await.is_none(), "nobody answers any more");
    // What was answered is there.
    let quick = [("PORTICO__SECURITY__ARGON2_MEMORY_KIB", "64"), ("PORTICO__SECURITY__ARGON2_PASSES", "1")];
    let again = Server::start(folder.path(), &quick).await;
    let login = json!({"email": "late0@example.com", "password": "Correct-Horse-7"});
    let (status, answer) =
        Person::visitor(&again).call(Method::POST, "/api/v1/auth/login", Some(login)).await.unwrap();
    assert_eq!(status, 200, "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_under_way_is_finished_or_goes_on_after_the_restart() {
    let folder = tempfile::tempdir().unwrap();
    let quick = [("PORTICO__SECURITY__ARGON2_MEMORY_KIB", "64"), ("PORTICO__SECURITY__ARGON2_PASSES", "1")];
    let mut server = Server::start(folder.path(), &quick).await;
    let (publisher, site) = Person::with_published_pages(&server, 100).await;
    let (status, queued) = publisher.call(Method::POST, &format!("{site}/deploy"), None).await.unwrap();
    assert_eq!(status, 202, "{queued}");
    let building = eventually(Duration::from_secs(5), async || {
        let status = publisher.get(&format!("{site}/status")).await;
        (status["status"] != "queued").then_some(status)
    })
    .await
    .unwrap();
    assert_eq!(building["status"], "building", "it is under way when the signal comes");
    server.terminate();
    assert_eq!(server.ended(Duration::from_secs(16)).await.and_then(|status| status.code()), Some(0));
    let again = Server::start(folder.path(), &quick).await;
    // No lease has to run out first: the worker had finished it.
    let status = publisher.at(&again).get(&format!("{site}/status")).await;
    assert_eq!((&status["id"], &status["status"]), (&queued["id"], &json!("live")), "{status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_server_ends_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(folder.path(), &[]).await;
    // A connection that is kept open does not hold it up.
    let visitor = Person::visitor(&server);
    visitor.get("/api/health").await;
    server.terminate();
    let status = server.ended(Duration::from_secs(5)).await;
    assert_eq!(status.and_then(|status| status.code()), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_after_the_signal_is_answered_while_the_server_drains() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(folder.path(), &[("PORTICO__SERVER__DRAIN_DELAY", "1s")]).await;
    server.terminate();
    let told = Instant::now();
    let mut answered = 0;
    // Well before the delay is over: what comes at its very end finds nobody any more.
    while told.elapsed() < Duration::from_millis(700) {
        // A connection of its own each time.
        let (status, _) = Person::visitor(&server).call(Method::GET, "/api/health/live", None).await.unwrap();
        assert_eq!(status, 204);
        answered += 1;
    }
    assert!(answered > 5, "{answered}");
    let visitor = Person::visitor(&server);
    let (status, problem) = visitor.call(Method::GET, "/api/health/ready", None).await.unwrap();
    assert_eq!((status, &problem["code"]), (503, &json!("not_ready")));
    assert_eq!(server.ended(Duration::from_secs(5)).await.and_then(|status| status.code()), Some(0));
    assert!(told.elapsed() >= Duration::from_secs(1), "it waited");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_cuts_the_draining_short() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(folder.path(), &[("PORTICO__SERVER__DRAIN_DELAY", "60s")]).await;
    let visitor = Person::visitor(&server);
    server.terminate();
    let retired = eventually(Duration::from_secs(5), async || {
        let (status, _) = visitor.call(Method::GET, "/api/health/ready", None).await?;
        (status == 503).then_some(())
    })
    .await;
    assert!(retired.is_some());
    server.terminate();
    assert_eq!(server.ended(Duration::from_secs(5)).await.and_then(|status| status.code()), Some(0));
}
