//! SIGTERM: what is under way is finished first.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use portico_testkit::server::eventually;
use reqwest::Method;
use serde_json::json;

use crate::{
    kill::reached,
    process::{Person, Server},
};

/// How many requests hash a password or wait for their turn to.
async fn hashing(visitor: &Person) -> usize {
    let (_, metrics) = visitor.call(Method::GET, "/api/metrics", None).await.unwrap();
    let metrics = metrics.as_str().unwrap();
    let of = |state: &str| {
        let name = format!("portico_admission_{state}{{class=\"logins\"}} ");
        let figure = metrics.lines().find_map(|line| line.strip_prefix(&name));
        figure.map_or(0.0, |figure| figure.trim().parse::<f64>().unwrap())
    };
    (of("running") + of("waiting")) as usize
}

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
    // Those that are answered are counted first, so none is counted twice.
    let arrived = eventually(Duration::from_secs(30), async || {
        let answered = requests.iter().filter(|request| request.is_finished()).count();
        let under_way = hashing(&visitor).await;
        (under_way > 0 && answered + under_way == requests.len()).then_some(())
    });
    assert!(arrived.await.is_some(), "all of them arrive, and some are under way");
    server.terminate();
    let signalled = Instant::now();
    let mut late = 0;
    for request in requests {
        let (answer, at) = request.await.unwrap();
        let (status, tokens) = answer.unwrap();
        assert_eq!(status, 201, "{tokens}");
        late += usize::from(at > signalled);
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
    // An idle keep-alive connection does not delay the shutdown.
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
    let signalled = Instant::now();
    let mut answered = 0;
    // Well before the delay is over: at its very end connections are refused.
    while signalled.elapsed() < Duration::from_millis(700) {
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
    assert!(signalled.elapsed() >= Duration::from_secs(1), "it waited");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_cuts_the_draining_short() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(folder.path(), &[("PORTICO__SERVER__DRAIN_DELAY", "60s")]).await;
    let visitor = Person::visitor(&server);
    // A request in progress does not delay it either.
    let mut slow = TcpStream::connect(server.url.trim_start_matches("http://")).unwrap();
    slow.write_all(b"POST /api/v1/auth/login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n{")
        .unwrap();
    server.terminate();
    let retired = eventually(Duration::from_secs(5), async || {
        let (status, _) = visitor.call(Method::GET, "/api/health/ready", None).await?;
        (status == 503).then_some(())
    })
    .await;
    assert!(retired.is_some());
    let signalled = Instant::now();
    server.terminate();
    assert_eq!(server.ended(Duration::from_secs(5)).await.and_then(|status| status.code()), Some(0));
    assert!(signalled.elapsed() < Duration::from_secs(1), "{:?}", signalled.elapsed());
}

/// How often the server is stopped; more often with `PORTICO_TEST_ROUNDS`.
fn rounds() -> usize {
    std::env::var("PORTICO_TEST_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(2)
}

/// Sends requests one after the other until connections are refused. Returns how many were answered, and an error for each that
/// was not although there was a connection. `all` counts the answers of every client.
fn ask_until_refused(address: &str, keeps: bool, pause: Duration, all: &AtomicUsize) -> (usize, Vec<String>) {
    const REQUEST: &[u8] = b"GET /api/v1/billing/plans HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let (mut answered, mut lost) = (0, Vec::new());
    let mut open: Option<BufReader<TcpStream>> = None;
    loop {
        // As every client does before it reuses a connection.
        let mut connection = match open.take().filter(|kept| !is_closed(kept.get_ref())) {
            Some(connection) => connection,
            None => match TcpStream::connect(address) {
                Ok(stream) => BufReader::new(stream),
                // Refused, so nothing was sent.
                Err(_) => return (answered, lost),
            },
        };
        connection.get_ref().set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        match exchange(&mut connection, REQUEST) {
            Ok(closes) => {
                answered += 1;
                all.fetch_add(1, Ordering::Relaxed);
                open = (keeps && !closes).then_some(connection);
            }
            Err(error) => lost.push(format!("{error} (kept: {keeps}, after {answered})")),
        }
        std::thread::sleep(pause);
    }
}

/// Whether the other side has closed its half of the connection.
fn is_closed(stream: &TcpStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    let closed = matches!(stream.peek(&mut [0]), Ok(0));
    stream.set_nonblocking(false).unwrap();
    closed
}

/// Sends a request and reads the whole answer. Returns whether the connection is to be closed.
fn exchange(connection: &mut BufReader<TcpStream>, request: &[u8]) -> std::io::Result<bool> {
    connection.get_mut().write_all(request)?;
    let (mut closes, mut length) = (false, 0);
    for number in 0.. {
        let mut line = String::new();
        connection.read_line(&mut line)?;
        let line = line.trim_end().to_ascii_lowercase();
        if line.is_empty() && number == 0 {
            return Err(std::io::Error::other("closed without an answer"));
        }
        if line.is_empty() {
            break;
        }
        closes |= line == "connection: close";
        if let Some(text) = line.strip_prefix("content-length: ") {
            length = text.parse().unwrap();
        }
    }
    connection.read_exact(&mut vec![0; length])?;
    Ok(closes)
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_of_a_direct_client_is_lost_without_a_drain_delay() {
    let folder = tempfile::tempdir().unwrap();
    for round in 0..rounds() {
        let mut server = Server::start(folder.path(), &[]).await;
        let address = server.url.trim_start_matches("http://").to_owned();
        let all = Arc::new(AtomicUsize::new(0));
        let clients: Vec<_> = (0..12)
            .map(|number| {
                let (address, all) = (address.clone(), all.clone());
                let pause = Duration::from_millis([0, 0, 2, 7, 30, 400][number % 6]);
                std::thread::spawn(move || ask_until_refused(&address, number < 6, pause, &all))
            })
            .collect();
        // By then also the one that pauses longest keeps a connection that it has used.
        tokio::time::sleep(Duration::from_millis(500)).await;
        reached(&all, 51).await;
        server.terminate();
        let signalled = Instant::now();
        let status = server.ended(Duration::from_secs(10)).await;
        assert_eq!(status.and_then(|status| status.code()), Some(0), "round {round}");
        assert!(signalled.elapsed() < Duration::from_secs(5), "{:?}", signalled.elapsed());
        let mut total = 0;
        for client in clients {
            let (answered, lost) = client.join().unwrap();
            assert_eq!(lost, Vec::<String>::new(), "round {round}");
            total += answered;
        }
        assert!(total > 50, "{total} requests");
    }
}
