//! A cache in Redis or Valkey, shared by instances.
//!
//! The generation of a group is a counter under `portico:generation:{group}`; values are under
//! `portico:answer:{group}:{generation}:{key}` and expire. Generations expire too, long after everything that was put
//! under them.

use std::time::Duration;

use async_trait::async_trait;
use portico_kernel::cache::{Cache, CacheError, Lookup};
use redis::Script;

use crate::link::{NoAnswer, Redis};

/// How long a generation is kept: longer than the lifetime of any value.
const GENERATION_LIFETIME: u64 = 24 * 60 * 60;

/// Caches values in Redis.
pub struct RedisCache {
    redis: Redis,
    lookup: Script,
    forget: Script,
}

impl RedisCache {
    /// Over this connection.
    pub fn new(redis: Redis) -> Self {
        Self {
            redis,
            // One round trip: the generation first, then the value under it.
            lookup: Script::new(
                "local generation = redis.call('get', KEYS[1]) or '0'\n\
                 return {generation, redis.call('get', ARGV[1] .. generation .. ':' .. ARGV[2])}",
            ),
            forget: Script::new(
                "local generation = redis.call('incr', KEYS[1])\n\
                 redis.call('expire', KEYS[1], ARGV[1])\n\
                 return generation",
            ),
        }
    }
}

impl From<NoAnswer> for CacheError {
    fn from(error: NoAnswer) -> Self {
        Self(error.0)
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
        let mut link = self.redis.link().await?;
        let mut call = self.lookup.key(generation_key(group));
        let call = call.arg(value_prefix(group)).arg(key);
        let answer = call.invoke_async::<(u64, Option<Vec<u8>>)>(&mut link.connection);
        let (generation, value) = self.redis.within(link.number, answer).await?;
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
        let mut link = self.redis.link().await?;
        let name = format!("{}{generation}:{key}", value_prefix(group));
        let milliseconds = u64::try_from(lifetime.as_millis()).unwrap_or(u64::MAX).max(1);
        let mut command = redis::cmd("set");
        let command = command.arg(name).arg(value).arg("px").arg(milliseconds);
        let answer = command.exec_async(&mut link.connection);
        Ok(self.redis.within(link.number, answer).await?)
    }

    async fn forget(&self, group: u16) -> Result<(), CacheError> {
        let mut link = self.redis.link().await?;
        let mut call = self.forget.key(generation_key(group));
        let call = call.arg(GENERATION_LIFETIME);
        let answer = call.invoke_async::<u64>(&mut link.connection);
        self.redis.within(link.number, answer).await?;
        Ok(())
    }
}
