//! Caches: in the process, and in Redis (or Valkey) for several instances.

mod memory;
mod redis;

pub use self::{
    memory::MemoryCache,
    redis::{OpenError, RedisCache},
};
