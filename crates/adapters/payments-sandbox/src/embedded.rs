//! The sandbox inside the process of a server, for machines without an account at Stripe.
//!
//! Its state is one file, written here only: one call works at a time, on the threads for blocking work, and is answered once what it did is
//! stored. Processes may share the file. A lock is held while one of them works, and what another has written is read first.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use portico_kernel::{
    Env, Timestamp,
    http::{HttpClient, HttpError, HttpMethod, HttpRequest, HttpResponse},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::OffsetDateTime;
use tokio::sync::Notify;

use crate::{
    config::{Config, Delivery, Endpoint},
    engine::{ApiRequest, ApiResponse, PageRequest, PageResponse, Sandbox, WebhookDelivery},
};

/// What its API is called at. The name leads nowhere (RFC 6761 section 6.4): calls stay in the process.
pub const BASE_URL: &str = "https://payments-sandbox.invalid";

/// Name of the file with the state.
const FILE: &str = "payments-sandbox.json";

/// The longest time until somebody is to look for webhooks again: another process may have caused some.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Webhooks come as badly as Stripe allows itself to: twice, late and in any order.
fn delivery() -> Delivery {
    Delivery { twice: true, late_seconds: 2, shuffled: true, tries: 5, retry_seconds: 30 }
}

/// What the embedder calls it with. Made once, and stored with the state.
#[derive(Clone, Serialize, Deserialize)]
struct Keys {
    secret_key: String,
    webhook_secret: String,
}

/// The file.
#[derive(Deserialize)]
struct Stored {
    keys: Keys,
    sandbox: Sandbox,
}

/// The same, to be written.
#[derive(Serialize)]
struct Storing<'a> {
    keys: &'a Keys,
    sandbox: &'a Sandbox,
}

struct State {
    sandbox: Sandbox,
    /// Of the file that it was read from or written to.
    version: u64,
}

struct Shared {
    file: PathBuf,
    public_url: String,
    keys: Keys,
    env: Env,
    state: Mutex<State>,
    /// Somebody has called it.
    called: Notify,
}

/// A sandbox in a file. Clones share it. As an [`HttpClient`] it answers calls of Stripe's API at [`BASE_URL`] without a socket.
#[derive(Clone)]
pub struct EmbeddedSandbox {
    shared: Arc<Shared>,
}

impl EmbeddedSandbox {
    /// Opens the one in `directory`, or begins one there. `public_url` is where a browser reaches its pages, without a slash at the end.
    ///
    /// Reads and writes files synchronously, so call it at startup, not in a request.
    ///
    /// # Errors
    /// When the file cannot be written, or holds something else.
    pub fn open(directory: &Path, public_url: String, env: Env) -> io::Result<Self> {
        let file = directory.join(FILE);
        let mut alone = Alone::wait(&file)?;
        let (keys, sandbox) = match read(&file)? {
            Some(Stored { keys, mut sandbox }) => {
                adjust(&mut sandbox, &public_url);
                (keys, sandbox)
            }
            None => {
                let keys = Keys {
                    secret_key: format!("sk_test_{}", env.secret()),
                    webhook_secret: format!("whsec_{}", env.secret()),
                };
                let sandbox = fresh(&keys, &public_url, &env);
                alone.write(&file, &keys, &sandbox)?;
                (keys, sandbox)
            }
        };
        let state = State { sandbox, version: alone.version };
        let (state, called) = (Mutex::new(state), Notify::new());
        Ok(Self { shared: Arc::new(Shared { file, public_url, keys, env, state, called }) })
    }

    /// The secret key of its API.
    pub fn secret_key(&self) -> &str {
        &self.shared.keys.secret_key
    }

    /// What its webhooks are signed with.
    pub fn webhook_secret(&self) -> &str {
        &self.shared.keys.webhook_secret
    }

    /// Answers a browser. `path` is what follows the public address, with the query.
    ///
    /// # Errors
    /// When the state cannot be stored.
    pub async fn page(&self, method: String, path: String, body: Vec<u8>) -> io::Result<PageResponse> {
        let answer = self.work(move |sandbox, now| {
            let request = PageRequest { method: &method, path: &path, body: &body };
            (sandbox.page(request, now), method == "POST")
        });
        let answer = answer.await?;
        self.shared.called.notify_one();
        Ok(answer)
    }

    /// Moves its clock on, and answers what it shows then.
    ///
    /// # Errors
    /// When the state cannot be stored.
    pub async fn advance(&self, by: Duration) -> io::Result<Timestamp> {
        let answer = self.work(move |sandbox, now| {
            sandbox.advance(by, now);
            (Timestamp::new(sandbox.time(now)), true)
        });
        let answer = answer.await?;
        self.shared.called.notify_one();
        Ok(answer)
    }

    /// What its clock shows.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub async fn time(&self) -> io::Result<Timestamp> {
        self.work(|sandbox, now| (Timestamp::new(sandbox.time(now)), false)).await
    }

    /// The latest checkouts as its API shows them, newest first; a hundred at most.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub async fn checkouts(&self) -> io::Result<Vec<Value>> {
        let authorization = format!("Bearer {}", self.secret_key());
        let answer = self.work(move |sandbox, now| {
            let headers = [("authorization", authorization.as_str())];
            let path = "/v1/checkout/sessions?limit=100";
            (sandbox.handle(ApiRequest { method: "GET", path, headers: &headers, body: b"" }, now), false)
        });
        let list: Value = serde_json::from_slice(&answer.await?.body)?;
        Ok(list.get("data").and_then(Value::as_array).cloned().unwrap_or_default())
    }

    /// Webhooks that are to be delivered now, and how long until there may be others. Each comes again until it is acknowledged.
    ///
    /// # Errors
    /// When the state cannot be stored.
    pub async fn due_webhooks(&self) -> io::Result<(Vec<WebhookDelivery>, Duration)> {
        let answer = self.work(|sandbox, now| {
            let due = sandbox.due_webhooks(now);
            let next = sandbox.next_due().map_or(LONGEST_PAUSE, |at| {
                Duration::try_from(at - now).unwrap_or(Duration::ZERO).min(LONGEST_PAUSE)
            });
            let changed = !due.is_empty();
            ((due, next), changed)
        });
        answer.await
    }

    /// Notes how deliveries went: their ids, and whether each was taken.
    ///
    /// # Errors
    /// When the state cannot be stored.
    pub async fn acknowledge(&self, outcomes: Vec<(String, bool)>) -> io::Result<()> {
        let answer = self.work(move |sandbox, _| {
            outcomes.iter().for_each(|(id, taken)| sandbox.acknowledge(id, *taken));
            ((), !outcomes.is_empty())
        });
        answer.await
    }

    /// Completes once this process has called it: there may be webhooks.
    pub async fn called(&self) {
        self.shared.called.notified().await;
    }

    /// Works with the state on a thread for blocking work, and stores it where `work` says that it has changed.
    async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Sandbox, OffsetDateTime) -> (T, bool) + Send + 'static,
    ) -> io::Result<T> {
        let shared = self.shared.clone();
        tokio::task::spawn_blocking(move || shared.work(work)).await.map_err(io::Error::other)?
    }
}

impl Shared {
    fn work<T>(&self, work: impl FnOnce(&mut Sandbox, OffsetDateTime) -> (T, bool)) -> io::Result<T> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut alone = Alone::wait(&self.file)?;
        if state.version != alone.version || !self.file.try_exists()? {
            state.sandbox = match read(&self.file)? {
                Some(stored) => stored.sandbox,
                // Somebody has removed it: it begins anew, with the keys that this process uses.
                None => fresh(&self.keys, &self.public_url, &self.env),
            };
            adjust(&mut state.sandbox, &self.public_url);
            state.version = alone.version;
        }
        let (answer, changed) = work(&mut state.sandbox, self.env.now().into_inner());
        if changed {
            state.version = alone.write(&self.file, &self.keys, &state.sandbox)?;
        }
        Ok(answer)
    }
}

#[async_trait]
impl HttpClient for EmbeddedSandbox {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        self.admits(&request.url)?;
        let answer = self.work(move |sandbox, now| {
            let (method, changes) = match request.method {
                HttpMethod::Get => ("GET", false),
                HttpMethod::Post => ("POST", true),
                HttpMethod::Delete => ("DELETE", true),
                HttpMethod::Patch => ("PATCH", true),
            };
            let headers: Vec<(&str, &str)> =
                request.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            let path = request.url.strip_prefix(BASE_URL).unwrap_or_default();
            let call = ApiRequest { method, path, headers: &headers, body: &request.body };
            (sandbox.handle(call, now), changes)
        });
        let answer = answer.await.map_err(|error| HttpError::Unreachable(error.to_string()))?;
        self.shared.called.notify_one();
        let ApiResponse { status, headers, body, delay, lost } = answer;
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        match lost {
            true => Err(HttpError::Unreachable("the answer was lost".to_owned())),
            false => Ok(HttpResponse { status, headers, body }),
        }
    }

    fn admits(&self, url: &str) -> Result<(), HttpError> {
        match url.strip_prefix(BASE_URL) {
            Some(path) if path.starts_with('/') => Ok(()),
            _ => Err(HttpError::Refused("not an address of the sandbox".into())),
        }
    }
}

/// A new sandbox. All of its ids are derived from a number that nobody can guess.
fn fresh(keys: &Keys, public_url: &str, env: &Env) -> Sandbox {
    let endpoint = Endpoint {
        // Never called: its embedder takes the webhooks.
        url: "https://portico.invalid/api/v1/webhooks/stripe".to_owned(),
        secret: keys.webhook_secret.clone(),
        events: vec!["*".to_owned()],
    };
    Sandbox::new(Config {
        secret_keys: vec![keys.secret_key.clone()],
        public_url: public_url.to_owned(),
        endpoints: vec![endpoint],
        seed: u64::from_le_bytes(env.random_bytes()),
        delivery: delivery(),
        ..Config::default()
    })
}

/// What this process decides, and not the one that began it.
fn adjust(sandbox: &mut Sandbox, public_url: &str) {
    sandbox.set_public_url(public_url);
    sandbox.set_delivery(delivery());
}

/// The right to work with the file, which one process has at a time. Dropping it lets the next one in.
struct Alone {
    /// The file itself is replaced each time, so another one is locked. It holds the number of times that the state was written.
    lock: File,
    version: u64,
}

impl Alone {
    /// Waits for it.
    fn wait(file: &Path) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).read(true).write(true).mode(0o600);
        let mut lock = options.open(file.with_extension("lock"))?;
        lock.lock()?;
        let mut text = String::new();
        lock.read_to_string(&mut text)?;
        Ok(Self { lock, version: text.trim().parse().unwrap_or_default() })
    }

    /// Writes the state, and answers its version. The number is written first: where this breaks off, others read once too often.
    fn write(&mut self, file: &Path, keys: &Keys, sandbox: &Sandbox) -> io::Result<u64> {
        let bytes = serde_json::to_vec(&Storing { keys, sandbox })?;
        self.version += 1;
        self.lock.write_all_at(format!("{:020}", self.version).as_bytes(), 0)?;
        // To another file, which is renamed, so that nobody finds half of it.
        let draft = file.with_extension("tmp");
        let mut options = OpenOptions::new();
        options.create(true).truncate(true).write(true).mode(0o600);
        options.open(&draft)?.write_all(&bytes)?;
        fs::rename(&draft, file)?;
        Ok(self.version)
    }
}

/// What is in the file; `None` where there is none.
fn read(file: &Path) -> io::Result<Option<Stored>> {
    let bytes = match fs::read(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        bytes => bytes?,
    };
    let stored = serde_json::from_slice(&bytes).map_err(|error| {
        let text = format!("{}: {error}; remove it, and the payments sandbox begins anew", file.display());
        io::Error::new(io::ErrorKind::InvalidData, text)
    })?;
    Ok(Some(stored))
}
