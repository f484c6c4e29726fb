//! Live updates while the server is killed and stopped: streams resume after the last id.

use std::time::{Duration, Instant};

use portico_testkit::TestDatabase;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::process::{Person, Server};

const QUICK: [(&str, &str); 2] =
    [("PORTICO__SECURITY__ARGON2_MEMORY_KIB", "64"), ("PORTICO__SECURITY__ARGON2_PASSES", "1")];

/// A stream, and the last id that it received.
struct Stream {
    response: reqwest::Response,
    text: String,
    last_id: String,
}

impl Stream {
    async fn open(server: &Server, person: &Person, last_id: &str) -> Self {
        let address = format!("{}/api/v1/events?types=page.created", server.url);
        let token = person.tokens["access_token"].as_str().unwrap();
        let mut request = reqwest::Client::new().get(address).bearer_auth(token);
        if !last_id.is_empty() {
            request = request.header("last-event-id", last_id);
        }
        let response = request.send().await.unwrap();
        assert_eq!(response.status().as_u16(), 200);
        let mut stream = Self { response, text: String::new(), last_id: last_id.to_owned() };
        let greeting = stream.block().await.unwrap();
        assert!(greeting.starts_with("retry: "), "{greeting}");
        stream
    }

    /// The next lines; `None` at the end of the stream, orderly or not.
    async fn block(&mut self) -> Option<String> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.text = rest;
                let id = block.lines().find_map(|line| line.strip_prefix("id: "));
                self.last_id = id.map_or(self.last_id.clone(), str::to_owned);
                return Some(block);
            }
            let chunk = timeout(Duration::from_secs(20), self.response.chunk()).await.unwrap();
            self.text.push_str(std::str::from_utf8(&chunk.ok()??).unwrap());
        }
    }

    /// The titles of the next pages that were made.
    async fn titles(&mut self, count: usize) -> Vec<String> {
        let mut titles = Vec::new();
        while titles.len() < count {
            let block = self.block().await.unwrap();
            let data = block.lines().find_map(|line| line.strip_prefix("data: "));
            let message: Option<Value> = data.map(|data| serde_json::from_str(data).unwrap());
            titles.extend(message.and_then(|message| message["data"]["title"].as_str().map(str::to_owned)));
        }
        titles
    }
}

async fn page(person: &Person, title: &str) {
    let (status, page) =
        person.call(Method::POST, &person.t("/pages"), Some(json!({"title": title}))).await.unwrap();
    assert_eq!(status, 201, "{page}");
}

/// A stream across a kill and a stop, and what happens meanwhile.
async fn goes_on(settings: &[(&str, &str)]) {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), settings).await;
    let person = Person::with_site(&server, "ada@example.com").await;
    let mut stream = Stream::open(&server, &person, "").await;
    page(&person, "one").await;
    assert_eq!(stream.titles(1).await, ["one"]);
    // Acknowledged; the server is killed before or after it sends the event.
    page(&person, "two").await;
    server.kill();
    while stream.block().await.is_some() {}

    let mut server = Server::start(folder.path(), settings).await;
    let person = person.at(&server);
    page(&person, "three").await;
    let last_id = stream.last_id.clone();
    let mut stream = Stream::open(&server, &person, &last_id).await;
    page(&person, "four").await;
    let mut titles = stream.titles(2).await;
    if titles[0] == "two" {
        titles.extend(stream.titles(1).await);
        titles.remove(0);
    }
    assert_eq!(titles, ["three", "four"], "after {last_id}");

    let mut others = Vec::new();
    for _ in 0..5 {
        others.push(Stream::open(&server, &person, "").await);
    }
    server.terminate();
    let began = Instant::now();
    while stream.block().await.is_some() {}
    let took = began.elapsed();
    assert!(took < Duration::from_secs(1), "the stream ends at once: {took:?}");
    let status = server.ended(Duration::from_secs(5)).await;
    assert_eq!(status.and_then(|status| status.code()), Some(0), "nobody waits for streams");
    let again = Server::start(folder.path(), settings).await;
    let person = person.at(&again);
    page(&person, "five").await;
    assert_eq!(Stream::open(&again, &person, &stream.last_id).await.titles(1).await, ["five"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_goes_on_after_a_kill_and_a_stop_on_sqlite() {
    goes_on(&QUICK).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_goes_on_after_a_kill_and_a_stop_on_postgres() {
    let database = TestDatabase::postgres().await;
    let mut settings = QUICK.to_vec();
    settings.push(("PORTICO__DATABASE__URL", database.url()));
    goes_on(&settings).await;
}
