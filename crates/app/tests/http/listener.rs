//! A client of live updates that reads the stream.

use std::{collections::VecDeque, time::Duration};

use portico_testkit::server::{Client, TestServer};
use reqwest::header::HeaderMap;
use serde_json::Value;
use tokio::time::timeout;

/// How long to wait for what has to arrive.
const PATIENCE: Duration = Duration::from_secs(20);

/// A message of a stream.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Message {
    /// The last id that was sent so far.
    pub id: String,
    /// Its type.
    pub event: String,
    /// Its data.
    pub data: Value,
}

/// A stream that is open.
pub struct Listener {
    response: reqwest::Response,
    buffer: String,
    blocks: VecDeque<String>,
    /// The id to resume the stream from.
    pub last_id: String,
    /// Heartbeats that came.
    pub heartbeats: usize,
}

/// Asks for a stream; the answer is not read.
pub async fn ask(server: &TestServer, client: &Client, query: &str, last: Option<&str>) -> reqwest::Response {
    ask_at(server, client, &format!("/api/v1/events{query}"), last).await
}

/// The same at another path.
pub async fn ask_at(
    server: &TestServer,
    client: &Client,
    path: &str,
    last: Option<&str>,
) -> reqwest::Response {
    let http = reqwest::Client::new();
    let mut request = http.get(format!("{}{path}", server.url));
    for (name, value) in &client.headers {
        request = request.header(name, value);
    }
    if let Some(last) = last {
        request = request.header("last-event-id", last);
    }
    request.send().await.unwrap()
}

impl Listener {
    /// Opens a stream from now on.
    pub async fn open(server: &TestServer, client: &Client, query: &str) -> Self {
        Self::after(server, client, query, None).await
    }

    /// Opens a stream that resumes after an id, and waits until the server confirms it.
    pub async fn after(server: &TestServer, client: &Client, query: &str, last: Option<&str>) -> Self {
        Self::at(server, client, &format!("/api/v1/events{query}"), last).await
    }

    /// The same at another path.
    pub async fn at(server: &TestServer, client: &Client, path: &str, last: Option<&str>) -> Self {
        let response = ask_at(server, client, path, last).await;
        if response.status() != 200 {
            panic!("{}: {}", response.status(), response.text().await.unwrap());
        }
        let (buffer, blocks, last_id) = (String::new(), VecDeque::new(), last.unwrap_or_default().to_owned());
        let mut listener = Self { response, buffer, blocks, last_id, heartbeats: 0 };
        let first = timeout(PATIENCE, listener.block()).await.unwrap().unwrap();
        assert!(first.starts_with("retry: "), "{first}");
        match first.contains("event: ") {
            true => listener.blocks.push_front(first),
            false => drop(listener.note(&first)),
        }
        listener
    }

    /// Headers of the answer.
    pub fn headers(&self) -> &HeaderMap {
        self.response.headers()
    }

    /// The next block of lines as it came; `None` at the end of the stream.
    async fn block(&mut self) -> Option<String> {
        loop {
            if let Some(block) = self.blocks.pop_front() {
                return Some(block);
            }
            let bytes = self.response.chunk().await.ok()??;
            self.buffer
                .push_str(std::str::from_utf8(&bytes).expect("a message is not cut inside of a character"));
            while let Some((block, rest)) = self.buffer.split_once("\n\n") {
                self.blocks.push_back(block.to_owned());
                self.buffer = rest.to_owned();
            }
        }
    }

    /// Reads a block as a browser does; `None` when it is no message.
    fn note(&mut self, block: &str) -> Option<Message> {
        let mut message = Message::default();
        let mut data = None;
        for line in block.split('\n') {
            match line.split_once(": ").expect("a field and its value") {
                ("id", id) => self.last_id = id.to_owned(),
                ("event", event) => message.event = event.to_owned(),
                ("data", text) => data = Some(serde_json::from_str(text).expect("JSON")),
                ("", "heartbeat") => self.heartbeats += 1,
                ("", "probe") => {}
                ("retry", pause) => assert!((500..=5000).contains(&pause.parse::<u64>().unwrap())),
                _ => panic!("{line}"),
            }
        }
        message.id = self.last_id.clone();
        message.data = data?;
        Some(message)
    }

    /// The next message; `None` at the end of the stream.
    pub async fn next(&mut self) -> Option<Message> {
        loop {
            let block = timeout(PATIENCE, self.block()).await.expect("something comes")?;
            if let Some(message) = self.note(&block) {
                return Some(message);
            }
        }
    }

    /// The next message, which has to be of this type.
    pub async fn expect(&mut self, event: &str) -> Message {
        let message = self.next().await.expect("the stream goes on");
        assert_eq!(message.event, event, "{}", message.id);
        message
    }

    /// The first message, which has to be of this type. A stream begins behind transactions that run, so one that was committed
    /// just before it was opened may come ahead of it.
    pub async fn first(&mut self, event: &str) -> Message {
        let message = self.next().await.expect("the stream goes on");
        if message.event == event { message } else { self.expect(event).await }
    }

    /// Waits for the next heartbeat, and returns the messages that come before it.
    pub async fn until_heartbeat(&mut self) -> Vec<Message> {
        let (before, mut messages) = (self.heartbeats, Vec::new());
        while self.heartbeats == before {
            let block = timeout(PATIENCE, self.block()).await.expect("something comes").expect("it goes on");
            messages.extend(self.note(&block));
        }
        messages
    }

    /// Reads until the stream ends, and returns after what time and with which messages.
    pub async fn until_end(&mut self) -> (Duration, Vec<Message>) {
        let (began, mut messages) = (tokio::time::Instant::now(), Vec::new());
        while let Some(block) = timeout(PATIENCE, self.block()).await.expect("the stream ends") {
            messages.extend(self.note(&block));
        }
        (began.elapsed(), messages)
    }
}
