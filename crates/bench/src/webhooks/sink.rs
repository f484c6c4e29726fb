//! Receives deliveries, and records them.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
    net::{SocketAddr, TcpListener},
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock},
    time::Duration,
};

use actix_web::{
    App, HttpRequest, HttpResponse, HttpServer,
    dev::ServerHandle,
    web::{self, Bytes, Data},
};
use anyhow::{Context, bail, ensure};
use serde::Deserialize;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use tokio::{sync::watch, time::timeout};

use super::signature;

/// Threads that answer deliveries.
const WORKERS: usize = 1;

/// A server with inboxes, on a free port of this machine. Dropping it ends it.
pub struct Sink {
    server: ServerHandle,
    address: SocketAddr,
    inboxes: Data<Inboxes>,
}

type Inboxes = RwLock<Vec<Arc<Inbox>>>;

impl Sink {
    /// Starts it.
    pub fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let inboxes: Data<Inboxes> = Data::default();
        let shared = inboxes.clone();
        let server = HttpServer::new(move || {
            App::new().app_data(shared.clone()).route("/{inbox}", web::post().to(receive))
        })
        .workers(WORKERS)
        .backlog(4096)
        .disable_signals()
        .listen(listener)?
        .run();
        let handle = server.handle();
        tokio::spawn(server);
        Ok(Self { server: handle, address, inboxes })
    }

    /// A new inbox.
    pub fn inbox(&self) -> Arc<Inbox> {
        let mut inboxes = self.inboxes.write().unwrap_or_else(PoisonError::into_inner);
        let inbox = Arc::new(Inbox {
            url: format!("http://{}/{}", self.address, inboxes.len()),
            secret: OnceLock::new(),
            seen: Mutex::default(),
            messages: watch::channel(0).0,
        });
        inboxes.push(inbox.clone());
        inbox
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        // The stop begins when the call is made; the future that waits for it is dropped.
        drop(self.server.stop(false));
    }
}

async fn receive(
    inboxes: Data<Inboxes>,
    path: web::Path<usize>,
    request: HttpRequest,
    body: Bytes,
) -> HttpResponse {
    let inbox = {
        let inboxes = inboxes.read().unwrap_or_else(PoisonError::into_inner);
        inboxes.get(path.into_inner()).cloned()
    };
    let Some(inbox) = inbox else { return HttpResponse::NotFound().finish() };
    match inbox.take(&request, &body) {
        Ok(()) => HttpResponse::NoContent().finish(),
        Err(error) => {
            inbox.lock().wrong.push(format!("{error:#}"));
            HttpResponse::BadRequest().finish()
        }
    }
}

/// Where the deliveries of one webhook come in.
pub struct Inbox {
    /// Its address.
    pub url: String,
    /// Key of the signatures, once it is known. Without one, messages are counted and not read.
    secret: OnceLock<Vec<u8>>,
    seen: Mutex<Seen>,
    /// How many different messages came.
    messages: watch::Sender<usize>,
}

/// Deliveries received.
#[derive(Default)]
pub struct Seen {
    /// Messages by their `webhook-id`.
    pub messages: HashMap<String, Message>,
    /// All deliveries, repeats among them.
    pub deliveries: usize,
    /// Errors of deliveries that were refused.
    pub wrong: Vec<String>,
}

/// One message, however often it came.
pub struct Message {
    /// Deliveries of it.
    pub times: usize,
    /// Id of the resource. Empty in an inbox without a key.
    pub resource: String,
    /// From the time of the event to the first arrival.
    pub latency: Duration,
    digest: u64,
}

/// The fields of a message that are read.
#[derive(Deserialize)]
struct Body {
    id: String,
    timestamp: String,
    resource: Resource,
}

#[derive(Deserialize)]
struct Resource {
    id: String,
}

impl Inbox {
    /// From now on signatures are checked with this secret (`whsec_…`), and messages are read.
    pub fn check_with(&self, secret: &str) -> anyhow::Result<()> {
        let _ = self.secret.set(signature::key(secret)?);
        Ok(())
    }

    /// Deliveries received so far.
    pub fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many different messages came so far.
    pub fn count(&self) -> usize {
        *self.messages.borrow()
    }

    /// Waits until so many different messages came.
    pub async fn wait_for(&self, number: usize, patience: Duration) -> anyhow::Result<()> {
        let mut messages = self.messages.subscribe();
        let outcome = timeout(patience, messages.wait_for(|count| *count >= number)).await;
        if outcome.is_err() {
            bail!("{} of {number} messages came in {} s", self.count(), patience.as_secs());
        }
        Ok(())
    }

    fn take(&self, request: &HttpRequest, body: &Bytes) -> anyhow::Result<()> {
        let header = |name: &str| -> anyhow::Result<&str> {
            request.headers().get(name).with_context(|| format!("no {name}"))?.to_str().context("a header")
        };
        let id = header("webhook-id")?;
        let (mut resource, mut latency) = (String::new(), Duration::ZERO);
        if let Some(key) = self.secret.get() {
            signature::verify(key, id, header("webhook-timestamp")?, header("webhook-signature")?, body)?;
            let message: Body = serde_json::from_slice(body).context("the body")?;
            ensure!(id.ends_with(&message.id), "webhook-id {id} of message {}", message.id);
            resource = message.resource.id;
            latency = (now() - OffsetDateTime::parse(&message.timestamp, &Rfc3339)?).try_into()?;
        }
        let mut hasher = DefaultHasher::new();
        body.hash(&mut hasher);
        let digest = hasher.finish();

        let mut seen = self.lock();
        seen.deliveries += 1;
        if let Some(message) = seen.messages.get_mut(id) {
            message.times += 1;
            ensure!(message.digest == digest, "{id} came with two bodies");
            return Ok(());
        }
        seen.messages.insert(id.to_owned(), Message { times: 1, resource, latency, digest });
        let count = seen.messages.len();
        drop(seen);
        self.messages.send_modify(|messages| *messages = (*messages).max(count));
        Ok(())
    }
}

#[expect(clippy::disallowed_methods, reason = "compared with the clock of another process")]
fn now() -> OffsetDateTime {
    OffsetDateTime::now_utc()
}

#[cfg(test)]
mod tests {
    use hmac::{Hmac, KeyInit, Mac};

    use super::*;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    async fn post(inbox: &Inbox, id: &str, body: &str, tampered: bool) -> u16 {
        use base64::{Engine, engine::general_purpose::STANDARD};
        let key = signature::key(SECRET).unwrap();
        let mac = Hmac::<sha2::Sha256>::new_from_slice(&key).unwrap().chain_update(format!("{id}.1.{body}"));
        let signature = format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()));
        let body = if tampered { body.replace("2026", "2027") } else { body.to_owned() };
        let request = reqwest::Client::builder().no_proxy().build().unwrap().post(&inbox.url).body(body);
        let request = request
            .header("webhook-id", id)
            .header("webhook-timestamp", "1")
            .header("webhook-signature", signature);
        request.send().await.unwrap().status().as_u16()
    }

    fn body(id: &str, title: &str) -> String {
        format!(
            r#"{{"id":"{id}","timestamp":"2026-11-21T10:00:00Z","resource":{{"id":"{id}"}},"data":"{title}"}}"#
        )
    }

    #[tokio::test]
    async fn repeats_are_counted_and_what_is_wrong_is_refused() {
        let sink = Sink::start().unwrap();
        let (inbox, other) = (sink.inbox(), sink.inbox());
        inbox.check_with(SECRET).unwrap();
        for _ in 0..3 {
            assert_eq!(post(&inbox, "evt_a", &body("a", "x"), false).await, 204);
        }
        assert_eq!(post(&inbox, "evt_b", &body("b", "x"), false).await, 204);
        inbox.wait_for(2, Duration::from_secs(5)).await.unwrap();
        assert!(inbox.wait_for(3, Duration::ZERO).await.is_err());
        assert!(inbox.lock().wrong.is_empty());

        assert_eq!(post(&inbox, "evt_c", &body("c", "x"), true).await, 400, "another body than signed");
        assert_eq!(
            post(&inbox, "evt_d", &body("c", "x"), false).await,
            400,
            "another id than that of the message"
        );
        assert_eq!(
            post(&inbox, "evt_a", &body("a", "y"), false).await,
            400,
            "the same id for another message"
        );
        let seen = inbox.lock();
        assert_eq!((seen.messages.len(), seen.deliveries, seen.wrong.len()), (2, 5, 3));
        assert_eq!(seen.messages["evt_a"].resource, "a");
        assert_eq!(other.count(), 0);
    }

    #[tokio::test]
    async fn the_bare_client_delivers_everything() {
        let sink = Sink::start().unwrap();
        let inbox = sink.inbox();
        let took = super::super::bare::post(&inbox, 500, "{}", 1).await.unwrap();
        assert_eq!((inbox.count(), inbox.lock().deliveries), (500, 500));
        assert!(took > Duration::ZERO);
    }
}
