//! What live updates may cost: limits, clients that read slowly or not at all, and the end of the server.

use std::time::{Duration, Instant};

use portico_kernel::TenantRole;
use portico_testkit::server::{Client, Database, TestServer, eventually};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    listener::{Listener, ask},
    live::{append, member, one, status},
};

#[tokio::test(flavor = "multi_thread")]
async fn there_are_only_so_many_streams() {
    let server = TestServer::start_with(Database::Sqlite, |settings| {
        settings.live.per_caller = 2;
        settings.live.per_tenant = 3;
        settings.live.max_streams = 4;
    })
    .await;
    let owner = server.customer("owner@example.com").await;
    let (_, member) = member(&server, "member@example.com", &owner.tenant, TenantRole::Viewer).await;
    let (stranger, late) =
        (server.customer("stranger@example.com").await, server.customer("late@example.com").await);
    let refused = async |client: &Client, expected: u16, code: &str| {
        let response = ask(&server, client, "", None).await;
        assert_eq!(response.status().as_u16(), expected);
        let wait: u64 = response.headers()["retry-after"].to_str().unwrap().parse().unwrap();
        assert!((1..=60).contains(&wait), "{wait}");
        assert_eq!(response.json::<Value>().await.unwrap()["code"], code);
    };
    let first = Listener::open(&server, &owner, "").await;
    let _second = Listener::open(&server, &owner, "").await;
    refused(&owner, 429, "too_many_streams").await;
    let _third = Listener::open(&server, &member, "").await;
    refused(&member, 429, "too_many_streams").await;
    let _fourth = Listener::open(&server, &stranger, "").await;
    refused(&late, 503, "overloaded").await;
    let metrics = server.client().get("/api/metrics").await.text;
    assert!(metrics.lines().any(|line| line.starts_with("portico_live_streams ")), "{metrics}");
    // A client that hangs up frees its slot at once, although nothing is sent that would show it.
    drop(first);
    assert_eq!(status(&server, &owner, "").await.0, 200);
}

/// A client that opens a stream and then reads nothing.
async fn open_without_reading(server: &TestServer, client: &Client) -> TcpStream {
    let mut socket = TcpStream::connect(server.url.trim_start_matches("http://")).await.unwrap();
    let authorization = &client.headers["authorization"];
    let request =
        format!("GET /api/v1/events HTTP/1.1\r\nhost: localhost\r\nauthorization: {authorization}\r\n\r\n");
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut first = [0; 12];
    socket.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 200");
    socket
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_read_costs_a_place_for_a_while_and_nobody_else_anything() {
    let server = TestServer::start_with(Database::Sqlite, |settings| {
        settings.server.write_timeout = Duration::from_millis(1500);
        settings.live.per_caller = 1;
    })
    .await;
    let owner = server.customer("owner@example.com").await;
    let (_, other) = member(&server, "member@example.com", &owner.tenant, TenantRole::Viewer).await;
    let socket = open_without_reading(&server, &owner).await;
    assert_eq!(status(&server, &owner, "").await.0, 429, "it has the place");
    let mut listener = Listener::open(&server, &other, "").await;
    let reader = tokio::spawn(async move {
        let mut ids = Vec::new();
        while ids.len() < 2000 {
            ids.push(listener.expect("page.updated").await.id);
        }
        (listener, ids)
    });
    // More than the sockets hold, and more than is buffered for a slow client.
    let large = json!({"title": "x".repeat(8 * 1024)});
    let mut ids = Vec::new();
    for _ in 0..10 {
        let appended = append(&server, &owner.tenant, "page.updated", 200, &large).await;
        ids.extend(appended.iter().map(ToString::to_string));
    }
    let (mut listener, received) = reader.await.unwrap();
    assert_eq!(received, ids, "each once, in order");
    let mut free = async || {
        let response = ask(&server, &owner, "", None).await;
        (response.status() == 200).then_some(response)
    };
    assert!(eventually(Duration::from_secs(10), &mut free).await.is_some(), "the place is free again");
    // The server does not wait for it either.
    let began = Instant::now();
    server.stop().await;
    let took = began.elapsed();
    drop(socket);
    assert!(took < Duration::from_secs(5), "{took:?}");
    let (_, rest) = listener.until_end().await;
    assert!(rest.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_reads_slowly_gets_everything() {
    TestServer::on_each_database(async |server| {
        let owner = server.customer("owner@example.com").await;
        let mut listener = Listener::open(server, &owner, "").await;
        let large = json!({"title": "x".repeat(8 * 1024)});
        let mut ids = Vec::new();
        for _ in 0..10 {
            ids.extend(append(server, &owner.tenant, "page.updated", 200, &large).await);
        }
        // The feed has delivered all of them, and dropped the first; the client has read none.
        let mut quick = Listener::open(server, &owner, "").await;
        let last = one(server, &owner.tenant, "page.deleted").await;
        while quick.next().await.unwrap().id != last {}
        for id in &ids {
            assert_eq!(listener.expect("page.updated").await.id, id.to_string());
        }
        assert_eq!(listener.expect("page.deleted").await.id, last);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_end_at_once_when_the_server_does() {
    let server = TestServer::start_with(Database::Postgres, |_| {}).await;
    let owner = server.customer("owner@example.com").await;
    let mut listeners = Vec::new();
    for _ in 0..5 {
        listeners.push(Listener::open(&server, &owner, "").await);
    }
    let began = Instant::now();
    let stopped = tokio::spawn(async move {
        server.stop().await;
        began.elapsed()
    });
    for listener in &mut listeners {
        let (took, messages) = listener.until_end().await;
        assert!(took < Duration::from_secs(1) && messages.is_empty(), "{took:?}");
    }
    let took = stopped.await.unwrap();
    assert!(took < Duration::from_secs(3), "{took:?}");
}
