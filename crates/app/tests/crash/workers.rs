//! `portico worker` beside servers that leave the work to it, and workers that are killed.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Stdio},
    sync::{Arc, Mutex, mpsc},
    thread,
    time::Duration,
};

use portico_kernel::{Env, JobState, NewJob, Outbox, PageRequest, TenantId, UserId, WorkQueue};
use portico_security::system_env;
use portico_sql::SqlStore;
use portico_testkit::{TestDatabase, server::eventually};
use reqwest::Method;
use serde_json::json;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufStream},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};

use crate::process::{Person, Server, portico};

/// A process with a port for its health and metrics, for instance a worker. Killed when dropped.
struct Worker {
    child: Child,
    /// `http://127.0.0.1:port` of that port.
    health: String,
    /// The same of the port of the API; empty where there is none.
    api: String,
}

impl Worker {
    /// Starts a worker and waits until it works.
    fn start(folder: &Path, settings: &[(&str, &str)]) -> Self {
        Self::start_as(folder, &[settings, &[("PORTICO__WORKER__PORT", "0")]].concat(), "worker")
    }

    /// Starts a command and waits until it has printed its port.
    fn start_as(folder: &Path, settings: &[(&str, &str)], argument: &str) -> Self {
        let mut command = portico(folder, settings);
        command.arg(argument).env("RUST_LOG", "error");
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap();
        let stdout = child.stdout.take().unwrap();
        let (found, wait) = mpsc::channel();
        thread::spawn(move || {
            let mut api = String::new();
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if let Some(rest) = line.trim().strip_prefix("API ") {
                    api = rest.trim().trim_end_matches("/api/v1").to_owned();
                }
                if let Some(rest) = line.trim().strip_prefix("Health ") {
                    let health = rest.trim().trim_end_matches("/api/health").to_owned();
                    let _ = found.send((health, std::mem::take(&mut api)));
                }
            }
        });
        let (health, api) = wait.recv_timeout(Duration::from_secs(30)).unwrap();
        Self { child, health, api }
    }

    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const QUICK: [(&str, &str); 2] =
    [("PORTICO__SECURITY__ARGON2_MEMORY_KIB", "64"), ("PORTICO__SECURITY__ARGON2_PASSES", "1")];

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_does_what_a_server_leaves_to_it() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_as(folder.path(), &QUICK, &["serve", "--no-worker"]).await;
    let person = Person::with_site(&server, "left@example.com").await;
    let mails = async || {
        let (status, mails) =
            person.call(Method::GET, "/dev/mailbox?to=left@example.com", None).await.unwrap();
        assert_eq!(status, 200);
        mails["items"].as_array().unwrap().len()
    };
    assert_eq!(mails().await, 0, "nobody is there to send it");
    let worker = Worker::start(folder.path(), &QUICK);
    let sent = eventually(Duration::from_secs(10), async || (mails().await > 0).then_some(())).await;
    assert!(sent.is_some(), "the worker sent the mail");

    let http = reqwest::Client::new();
    let get = async |path: &str| {
        let answer = http.get(format!("{}{path}", worker.health)).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    assert_eq!(get("/api/health/ready").await.0, 200);
    assert_eq!(get("/api/health/live").await.0, 204);
    let (status, metrics) = get("/api/metrics").await;
    assert!(status == 200 && metrics.contains("portico_job_duration_seconds"), "{status}: {metrics}");
    let (status, problem) = get("/api/v1/profile").await;
    assert!(status == 404 && problem.contains("\"not_found\""), "{status}: {problem}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_in_production_tells_its_metrics_at_a_port_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let settings = [
        ("PORTICO_PROFILE", "production"),
        ("PORTICO__ALLOW_IN_PRODUCTION", "sqlite,generated_secret,sandbox_mail,sandbox_payments,plain_http"),
        ("PORTICO__SERVER__PORT", "0"),
        ("PORTICO__METRICS__PORT", "0"),
    ];
    let server = Worker::start_as(folder.path(), &[&settings[..], &QUICK].concat(), "serve");
    let get = async |port: &str, path: &str| {
        let answer = reqwest::get(format!("{port}{path}")).await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    assert_eq!(get(&server.api, "/api/health/ready").await.0, 200);
    assert_eq!(get(&server.api, "/api/metrics").await.0, 404);
    assert_eq!(get(&server.health, "/api/health/ready").await.0, 200);
    let (status, metrics) = get(&server.health, "/api/metrics").await;
    assert!(
        status == 200 && metrics.contains("portico_http_request_duration_seconds"),
        "{status}: {metrics}"
    );
    assert_eq!(get(&server.health, "/api/v1/profile").await.0, 404);
    assert_eq!(get(&server.health, "/dev/mailbox").await.0, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_of_a_killed_worker_are_done_and_none_twice_at_once() {
    const JOBS: usize = 80;
    let database = TestDatabase::postgres().await;
    let folder = tempfile::tempdir().unwrap();
    let post_office = PostOffice::open().await;
    let mut settings = QUICK.to_vec();
    settings.extend([
        ("PORTICO__DATABASE__URL", database.url()),
        ("PORTICO__DATABASE__MAX_CONNECTIONS", "6"),
        ("PORTICO__WORKER__LEASE", "2s"),
        ("PORTICO__EMAIL__SMTP_URL", &post_office.url),
    ]);
    let receivers: BTreeSet<String> =
        (0..JOBS).map(|number| format!("receiver{number}@example.com")).collect();
    enqueue_mails(database.store(), &receivers.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let mut first = Worker::start(folder.path(), &settings);
    let second = Worker::start(folder.path(), &settings);
    // Each time while it is at work.
    for share in [1, 2, 3] {
        let delivered = async || (post_office.delivered().len() >= share * JOBS / 5).then_some(());
        eventually(Duration::from_secs(30), delivered).await.unwrap();
        first.kill();
        first = Worker::start(folder.path(), &settings);
    }
    let all = eventually(Duration::from_secs(40), async || {
        let jobs = database.store().list(None, PageRequest::default()).await.unwrap();
        assert!(jobs.items.iter().all(|job| job.state != JobState::Dead), "{jobs:?}");
        (jobs.total == 0).then(|| post_office.delivered())
    })
    .await
    .unwrap();
    drop((first, second));
    assert_eq!(all.keys().cloned().collect::<BTreeSet<_>>(), receivers, "every job was done");
    assert_eq!(post_office.at_once(), BTreeSet::new(), "nobody began what somebody else was at");
    let again = all.values().filter(|times| **times > 1).count();
    // Mails that were accepted while the worker was killed before it could record that.
    assert!(again <= 3 * 4, "{again} were done again after three workers with four hands were killed");
}

/// The address of an erased account: a mail to it counts as done without being sent.
const NOBODY: &str = "[erased]";

/// A mail to this receiver is accepted only once the gate is closed.
const SLOW: &str = "slow@example.com";

#[tokio::test(flavor = "multi_thread")]
async fn what_was_claimed_ahead_does_not_wait_for_a_slow_job() {
    let database = TestDatabase::postgres().await;
    let folder = tempfile::tempdir().unwrap();
    let post_office = PostOffice::open().await;
    let mut settings = QUICK.to_vec();
    settings.extend([
        ("PORTICO__DATABASE__URL", database.url()),
        ("PORTICO__DATABASE__MAX_CONNECTIONS", "6"),
        ("PORTICO__WORKER__CONCURRENCY", "1"),
        ("PORTICO__EMAIL__SMTP_URL", &post_office.url),
    ]);
    // Short jobs first, so that the worker claims many ahead, and others behind the slow one.
    let jobs = [vec![NOBODY; 150], vec![SLOW], vec![NOBODY; 60]].concat();
    enqueue_mails(database.store(), &jobs).await;
    let first = Worker::start(folder.path(), &settings);
    let busy = async || post_office.book.lock().unwrap().under_way.contains(SLOW).then_some(());
    eventually(Duration::from_secs(30), busy).await.unwrap();
    let second = Worker::start(folder.path(), &settings);
    let left = async || database.store().list(None, PageRequest::default()).await.unwrap();
    let others = eventually(Duration::from_secs(15), async || {
        let left = left().await;
        (left.total == 1).then_some(left)
    })
    .await
    .unwrap();
    assert_eq!(others.items[0].payload["email"], SLOW, "the slow one is still at it");
    post_office.gate.close();
    eventually(Duration::from_secs(15), async || (left().await.total == 0).then_some(())).await.unwrap();
    assert_eq!(post_office.delivered(), BTreeMap::from([(SLOW.to_owned(), 1)]));
    drop((first, second));
}

/// Enqueues mails, one for each receiver.
async fn enqueue_mails(store: &SqlStore, receivers: &[&str]) {
    let env: Env = system_env();
    let mut work = store.begin().await.unwrap();
    for email in receivers {
        let user: UserId = env.new_id();
        let payload = json!({
            "userId": user, "email": email, "fullName": "Ada", "language": "en",
            "notice": {"account": {"what": "totp_added"}},
        });
        let job = NewJob {
            id: env.new_id(),
            kind: "email.notice",
            payload,
            tenant: TenantId::PLATFORM,
            run_at: env.now(),
            max_attempts: 10,
            request_id: "r1".to_owned(),
        };
        work.jobs().enqueue(job).await.unwrap();
    }
    work.commit().await.unwrap();
}

/// A slow mail server that records which receivers have a delivery in progress.
struct PostOffice {
    url: String,
    book: Arc<Mutex<Book>>,
    /// Deliveries wait for it; closing it releases them all.
    gate: Arc<Semaphore>,
}

#[derive(Default)]
struct Book {
    under_way: BTreeSet<String>,
    at_once: BTreeSet<String>,
    delivered: BTreeMap<String, usize>,
}

impl PostOffice {
    async fn open() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("smtp://{}", listener.local_addr().unwrap());
        let book = Arc::new(Mutex::new(Book::default()));
        let gate = Arc::new(Semaphore::new(0));
        let (shared, held) = (book.clone(), gate.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (book, gate) = (shared.clone(), held.clone());
                tokio::spawn(async move {
                    let mut receiver = None;
                    // An error is a client that is gone.
                    let _ = attend(stream, &book, &gate, &mut receiver).await;
                    if let Some(receiver) = receiver {
                        book.lock().unwrap().under_way.remove(&receiver);
                    }
                });
            }
        });
        Self { url, book, gate }
    }

    fn delivered(&self) -> BTreeMap<String, usize> {
        self.book.lock().unwrap().delivered.clone()
    }

    fn at_once(&self) -> BTreeSet<String> {
        self.book.lock().unwrap().at_once.clone()
    }
}

/// As much of RFC 5321 as a client needs that sends one message after the other.
async fn attend(
    stream: TcpStream,
    book: &Mutex<Book>,
    gate: &Semaphore,
    receiver: &mut Option<String>,
) -> std::io::Result<()> {
    let mut stream = BufStream::new(stream);
    stream.write_all(b"220 post office\r\n").await?;
    loop {
        stream.flush().await?;
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        let command = line.to_ascii_uppercase();
        if let Some(rest) = command.strip_prefix("RCPT TO:<") {
            let address = rest.split('>').next().unwrap_or_default().to_ascii_lowercase();
            let mut book = book.lock().unwrap();
            if !book.under_way.insert(address.clone()) {
                book.at_once.insert(address.clone());
            }
            *receiver = Some(address);
        }
        if command.starts_with("DATA") {
            stream.write_all(b"354 go on\r\n").await?;
            stream.flush().await?;
            while line.trim_end() != "." {
                line.clear();
                if stream.read_line(&mut line).await? == 0 {
                    return Ok(());
                }
            }
            // A worker that is killed here has sent the mail and not received the reply.
            tokio::time::sleep(Duration::from_millis(100)).await;
            if receiver.as_deref() == Some(SLOW) {
                let _ = gate.acquire().await;
            }
            if let Some(receiver) = receiver.take() {
                let mut book = book.lock().unwrap();
                book.under_way.remove(&receiver);
                *book.delivered.entry(receiver).or_default() += 1;
            }
            stream.write_all(b"250 taken\r\n").await?;
        } else if command.starts_with("QUIT") {
            stream.write_all(b"221 bye\r\n").await?;
            stream.flush().await?;
            return Ok(());
        } else {
            stream.write_all(b"250 fine\r\n").await?;
        }
    }
}
