//! Caches, rate limits and messages to other processes: in the process, and in Redis (or Valkey) for several instances.

mod broadcast;
mod limits;
mod link;
mod memory;
mod redis;
mod shared_limits;

pub use self::{
    broadcast::RedisBroadcast,
    limits::ProcessLimiter,
    link::{OpenError, Redis},
    memory::MemoryCache,
    redis::RedisCache,
    shared_limits::SharedLimiter,
};
