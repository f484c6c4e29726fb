//! A cache in Redis or Valkey, shared by instances.
//!
//! The generation of a group is a counter under `portico:generation:{group}`; values are under
//! `portico:answer:{group}:{generation}:{key}` and expire. Generations expire too, long after everything that was put
//! under them.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use portico_kernel::cache::{Cache, CacheError, Lookup};
use redis::{
    Client, RedisError, Script,
    aio::{ConnectionManager, ConnectionManagerConfig},
};

/// How long a request waits for Redis: a cache that is slower than the database is none.
const PATIENCE: Duration = Duration::from_millis(250);
/// For how long Redis is left alone after it did not answer.
const PAUSE: Duration = Duration::from_secs(1);
/// For how long a generation is remembered: longer than any value lives.
const GENERATION_LIFETIME: u64 = 24 * 60 * 60;

/// Keeps values in Redis.
pub struct RedisCache {
    connection: ConnectionManager,
    lookup: Script,
    forget: Script,
    started: Instant,
    /// Milliseconds after `started` until which Redis is left alone.
    resting_until: AtomicU64,
}

/// Why Redis cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The address cannot be read.
    #[error("the address of Redis cannot be read: {0}")]
    Address(String),
}

impl RedisCache {
    /// For the server at an address such as `redis://:password@host:6379/0` or `rediss://…`. It need not be there yet, and
    /// may go away and come back.
    pub fn open(address: &str) -> Result<Self, OpenError> {
        // The error may quote the address, which may hold a password: its kind says enough.
        let refused = |error: RedisError| OpenError::Address(error.category().to_owned());
        let client = Client::open(address).map_err(refused)?;
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(PATIENCE))
            .set_response_timeout(Some(PATIENCE))
            .set_number_of_retries(1);
        Ok(Self {
            connection: ConnectionManager::new_lazy_with_config(client, config).map_err(refused)?,
            // One round trip: the generation first, then what is kept under it.
            lookup: Script::new(
                "local generation = redis.call('get', KEYS[1]) or '0'\n\
                 return {generation, redis.call('get', ARGV[1] .. generation .. ':' .. ARGV[2])}",
            ),
            forget: Script::new(
                "local generation = redis.call('incr', KEYS[1])\n\
                 redis.call('expire', KEYS[1], ARGV[1])\n\
                 return generation",
            ),
            started: Instant::now(),
            resting_until: AtomicU64::new(0),
        })
    }

    /// The connection, unless Redis failed a moment ago.
    fn connection(&self) -> Result<ConnectionManager, CacheError> {
        let now = self.started.elapsed().as_millis() as u64;
        if now < self.resting_until.load(Ordering::Acquire) {
            return Err(CacheError("it failed a moment ago".to_owned()));
        }
        Ok(self.connection.clone())
    }

    fn failed(&self, error: impl std::fmt::Display) -> CacheError {
        let until = (self.started.elapsed() + PAUSE).as_millis() as u64;
        self.resting_until.store(until, Ordering::Release);
        CacheError(error.to_string())
    }

    /// Waits no longer than anybody should for a cache, also while a connection is being made.
    async fn within<T>(&self, work: impl Future<Output = Result<T, RedisError>>) -> Result<T, CacheError> {
        match tokio::time::timeout(PATIENCE, work).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(self.failed(error)),
            Err(_) => Err(self.failed("no answer in time")),
        }
    }
}

fn generation_key(group: u16) -> String {
    format!("portico:generation:{group}")
}

fn value_prefix(group: u16) -> String {
    format!("portico:answer:{group}:")
}

#[async_trait]
impl Cache for RedisCache {
    async fn get(&self, group: u16, key: &str) -> Result<Lookup, CacheError> {
        let mut connection = self.connection()?;
        let mut call = self.lookup.key(generation_key(group));
        let call = call.arg(value_prefix(group)).arg(key);
        let (generation, value): (u64, Option<Vec<u8>>) =
            self.within(call.invoke_async(&mut connection)).await?;
        Ok(Lookup { generation, value })
    }

    async fn put(
        &self,
        group: u16,
        generation: u64,
        key: &str,
        value: Vec<u8>,
        lifetime: Duration,
    ) -> Result<(), CacheError> {
        let mut connection = self.connection()?;
        let name = format!("{}{generation}:{key}", value_prefix(group));
        let milliseconds = u64::try_from(lifetime.as_millis()).unwrap_or(u64::MAX).max(1);
        let mut command = redis::cmd("set");
        let command = command.arg(name).arg(value).arg("px").arg(milliseconds);
        self.within(command.query_async::<()>(&mut connection)).await
    }

    async fn forget(&self, group: u16) -> Result<(), CacheError> {
        let mut connection = self.connection()?;
        let mut call = self.forget.key(generation_key(group));
        let call = call.arg(GENERATION_LIFETIME);
        self.within(call.invoke_async::<u64>(&mut connection)).await.map(drop)
    }
}
