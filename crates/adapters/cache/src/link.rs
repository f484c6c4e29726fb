//! The connection to Redis or Valkey that all parts of a process share, with a circuit breaker.

use std::{
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use redis::{
    AsyncConnectionConfig, Client, RedisError,
    aio::{MultiplexedConnection, PubSub},
};
use tokio::{runtime::Handle, time::timeout};

/// How long Redis is not used after it failed to answer.
const PAUSE: Duration = Duration::from_secs(1);

/// Commands that may be queued to the connection, before further ones wait.
const BUFFER: usize = 1024;

/// A Redis server, which may become unavailable and recover. Cheap to clone.
///
/// While it does not answer, one caller per second tries it, and all others fail at once.
#[derive(Clone)]
pub struct Redis(Arc<Shared>);

struct Shared {
    client: Client,
    /// The runtime of connections, which must outlive the thread of the request that makes them.
    runtime: Handle,
    /// Timeout of every operation: callers have a fallback for Redis.
    patience: Duration,
    started: Instant,
    link: RwLock<Option<Link>>,
    /// Milliseconds after `started` until which no connection is attempted.
    resting_until: AtomicU64,
    up: AtomicBool,
}

/// A connection.
#[derive(Clone)]
pub(crate) struct Link {
    pub connection: MultiplexedConnection,
    /// Sequence number of the connection.
    pub number: u64,
}

/// Why Redis cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The URL is invalid.
    #[error("the address of Redis cannot be read: {0}")]
    Address(String),
}

/// Redis is unavailable, or refused the command.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct NoAnswer(pub String);

impl From<RedisError> for NoAnswer {
    fn from(error: RedisError) -> Self {
        Self(error.to_string())
    }
}

impl Redis {
    /// The server at a URL such as `redis://:password@host:6379/0` or `rediss://…`. It need not be available yet. Must be
    /// called on the runtime that is to run the connections. `patience` is the timeout of every operation.
    ///
    /// # Errors
    /// When the URL is invalid.
    pub async fn open(address: &str, patience: Duration) -> Result<Self, OpenError> {
        let redis = Self(Arc::new(Shared {
            client: Client::open(address).map_err(refused)?,
            runtime: Handle::current(),
            patience,
            started: Instant::now(),
            link: RwLock::new(None),
            resting_until: AtomicU64::new(0),
            up: AtomicBool::new(true),
        }));
        if let Err(error) = redis.link().await {
            tracing::debug!(%error, "Redis is not there yet");
        }
        Ok(redis)
    }

    /// Whether this is the URL of a server. Connects to none.
    ///
    /// # Errors
    /// When the URL is invalid.
    pub fn check(address: &str) -> Result<(), OpenError> {
        Client::open(address).map(drop).map_err(refused)
    }

    /// Whether the server answered when it was last used. The breaker is asked, and not the server.
    pub fn is_up(&self) -> bool {
        self.0.up.load(Ordering::Acquire)
    }

    /// The connection. If there is none, one caller per second makes it.
    pub(crate) async fn link(&self) -> Result<Link, NoAnswer> {
        let current = self.0.link.read().unwrap_or_else(PoisonError::into_inner).clone();
        match current {
            Some(link) => Ok(link),
            None if self.takes_a_turn() => self.connect().await,
            None => Err(NoAnswer("it failed a moment ago".to_owned())),
        }
    }

    /// Waits for a command on the connection with this number, up to the timeout.
    pub(crate) async fn within<T>(
        &self,
        number: u64,
        answer: impl Future<Output = Result<T, RedisError>>,
    ) -> Result<T, NoAnswer> {
        match timeout(self.0.patience, answer).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => {
                // After a refusal by a working server (out of memory, a replica) the breaker stays closed.
                if error.is_io_error() || error.is_unrecoverable_error() {
                    self.lost(number, &error);
                }
                Err(error.into())
            }
            Err(_) => {
                self.lost(number, &"no answer in time");
                Err(NoAnswer("no answer in time".to_owned()))
            }
        }
    }

    /// A separate connection for subscriptions.
    pub(crate) async fn listening(&self) -> Result<PubSub, NoAnswer> {
        let made = timeout(self.0.patience, self.0.client.get_async_pubsub()).await;
        Ok(made.map_err(|_| NoAnswer("no connection in time".to_owned()))??)
    }

    /// Whether this caller is to try: none did within the pause.
    fn takes_a_turn(&self) -> bool {
        let until = self.0.resting_until.load(Ordering::Acquire);
        let now = self.0.started.elapsed();
        let next = millis(now + PAUSE);
        let turns = &self.0.resting_until;
        millis(now) >= until
            && turns.compare_exchange(until, next, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    async fn connect(&self) -> Result<Link, NoAnswer> {
        let (client, patience) = (self.0.client.clone(), self.0.patience);
        let made = self.0.runtime.spawn(async move {
            let config = AsyncConnectionConfig::new()
                .set_connection_timeout(None)
                .set_response_timeout(None)
                .set_pipeline_buffer_size(BUFFER);
            let connected = async {
                let mut connection = client.get_multiplexed_async_connection_with_config(&config).await?;
                // A hanging server still accepts connections.
                redis::cmd("PING").exec_async(&mut connection).await?;
                Ok::<_, RedisError>(connection)
            };
            timeout(patience, connected).await
        });
        let connection = match made.await {
            Ok(Ok(Ok(connection))) => connection,
            Ok(Ok(Err(error))) => return Err(self.failed(&error)),
            Ok(Err(_)) => return Err(self.failed(&"no connection in time")),
            Err(error) => return Err(self.failed(&error)),
        };
        let mut current = self.0.link.write().unwrap_or_else(PoisonError::into_inner);
        let number = millis(self.0.started.elapsed());
        let link = Link { connection, number };
        *current = Some(link.clone());
        drop(current);
        if !self.0.up.swap(true, Ordering::AcqRel) {
            tracing::info!("Redis answers again");
        }
        metrics::gauge!("portico_redis_up").set(1.0);
        Ok(link)
    }

    /// Discards the connection with this number.
    fn lost(&self, number: u64, why: &dyn std::fmt::Display) {
        let mut current = self.0.link.write().unwrap_or_else(PoisonError::into_inner);
        if current.as_ref().is_some_and(|link| link.number == number) {
            *current = None;
            drop(current);
            self.failed(why);
        }
    }

    fn failed(&self, why: &dyn std::fmt::Display) -> NoAnswer {
        self.0.resting_until.store(millis(self.0.started.elapsed() + PAUSE), Ordering::Release);
        if self.0.up.swap(false, Ordering::AcqRel) {
            tracing::warn!(error = %why, "Redis does not answer; going on without it");
        }
        metrics::gauge!("portico_redis_up").set(0.0);
        NoAnswer(why.to_string())
    }
}

/// The error may quote the URL with its password, so only its kind is reported.
fn refused(error: RedisError) -> OpenError {
    OpenError::Address(error.category().to_owned())
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
