//! A receiver of webhooks with replies that a test sets.

use std::{
    collections::{BTreeMap, VecDeque},
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    sync::Notify,
    task::JoinHandle,
};

/// How a receiver answers.
#[derive(Clone, Debug)]
pub enum Reply {
    /// With this status, these headers, and this body.
    Answer {
        /// Status code.
        status: u16,
        /// Names and values.
        headers: Vec<(&'static str, String)>,
        /// The body.
        body: Vec<u8>,
        /// Time until the answer.
        after: Duration,
    },
    /// Not at all: the connection stays open.
    Never,
    /// The connection is closed.
    HangUp,
}

impl Reply {
    /// A bare status.
    pub fn status(status: u16) -> Self {
        Self::Answer { status, headers: Vec::new(), body: Vec::new(), after: Duration::ZERO }
    }

    /// With one more header.
    #[must_use]
    pub fn with(self, name: &'static str, value: impl Into<String>) -> Self {
        match self {
            Self::Answer { status, mut headers, body, after } => {
                headers.push((name, value.into()));
                Self::Answer { status, headers, body, after }
            }
            other => other,
        }
    }

    /// With this body, as plain text.
    #[must_use]
    pub fn saying(self, text: impl Into<Vec<u8>>) -> Self {
        match self {
            Self::Answer { status, mut headers, after, .. } => {
                headers.push(("content-type", "text/plain".into()));
                Self::Answer { status, headers, body: text.into(), after }
            }
            other => other,
        }
    }
}

/// A request that came.
#[derive(Clone, Debug)]
pub struct Received {
    /// Path and query.
    pub path: String,
    /// Values by lower-case name.
    pub headers: BTreeMap<String, String>,
    /// The body.
    pub body: Vec<u8>,
    /// When.
    pub at: Instant,
}

impl Received {
    /// A header; empty when absent.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    /// The body as JSON; null when it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

struct State {
    received: Vec<Received>,
    replies: VecDeque<Reply>,
    usual: Reply,
    connections: usize,
    at_once: usize,
    most_at_once: usize,
}

struct Shared {
    state: Mutex<State>,
    news: Notify,
}

impl Shared {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A receiver on this machine. Answers with 204 unless a test sets another reply. Dropped, it stops.
pub struct Receiver {
    /// `http://127.0.0.1:port/hook`.
    pub url: String,
    /// Where it listens.
    pub address: SocketAddr,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

impl Receiver {
    /// Starts one.
    pub async fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let state = State {
            received: Vec::new(),
            replies: VecDeque::new(),
            usual: Reply::status(204),
            connections: 0,
            at_once: 0,
            most_at_once: 0,
        };
        let shared = Arc::new(Shared { state: Mutex::new(state), news: Notify::new() });
        let serving = shared.clone();
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                serving.state().connections += 1;
                connections.spawn(serve(stream, serving.clone()));
            }
        });
        Self { url: format!("http://{address}/hook"), address, shared, task }
    }

    /// Answers the next requests like this, one after the other, and those after them as usual.
    pub fn next(&self, replies: impl IntoIterator<Item = Reply>) {
        self.shared.state().replies.extend(replies);
    }

    /// Answers like this from now on.
    pub fn always(&self, reply: Reply) {
        self.shared.state().usual = reply;
    }

    /// What came so far.
    pub fn received(&self) -> Vec<Received> {
        self.shared.state().received.clone()
    }

    /// Connections that were made.
    pub fn connections(&self) -> usize {
        self.shared.state().connections
    }

    /// The most requests that were under way at once.
    pub fn most_at_once(&self) -> usize {
        self.shared.state().most_at_once
    }

    /// Waits until so many requests have come, and returns them.
    pub async fn wait_for(&self, count: usize) -> Vec<Received> {
        let enough = async {
            loop {
                let news = self.shared.news.notified();
                let received = self.received();
                if received.len() >= count {
                    return received;
                }
                news.await;
            }
        };
        match tokio::time::timeout(Duration::from_secs(20), enough).await {
            Ok(received) => received,
            Err(_) => panic!("{} requests came and not {count}", self.received().len()),
        }
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(stream: TcpStream, shared: Arc<Shared>) {
    let mut stream = BufReader::new(stream);
    while let Some(received) = read(&mut stream).await {
        let reply = {
            let mut state = shared.state();
            state.received.push(received);
            state.at_once += 1;
            state.most_at_once = state.most_at_once.max(state.at_once);
            state.replies.pop_front().unwrap_or_else(|| state.usual.clone())
        };
        shared.news.notify_waiters();
        let answer = match reply {
            Reply::Answer { status, headers, body, after } => {
                tokio::time::sleep(after).await;
                let mut answer = format!("HTTP/1.1 {status} Test\r\ncontent-length: {}\r\n", body.len());
                for (name, value) in headers {
                    answer += &format!("{name}: {value}\r\n");
                }
                Some([answer.as_bytes(), b"\r\n", &body].concat())
            }
            Reply::Never => std::future::pending().await,
            Reply::HangUp => None,
        };
        shared.state().at_once -= 1;
        match answer {
            Some(answer) if stream.get_mut().write_all(&answer).await.is_ok() => {}
            _ => return,
        }
    }
}

async fn read(stream: &mut BufReader<TcpStream>) -> Option<Received> {
    let mut line = String::new();
    stream.read_line(&mut line).await.ok().filter(|read| *read > 0)?;
    let path = line.split(' ').nth(1)?.to_owned();
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.ok().filter(|read| *read > 0)?;
        match line.trim_end().split_once(':') {
            Some((name, value)) => headers.insert(name.to_ascii_lowercase(), value.trim().to_owned()),
            None => break,
        };
    }
    let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some(Received { path, headers, body, at: Instant::now() })
}
