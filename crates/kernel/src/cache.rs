//! Keeping answers for a while: the port to a cache.

use std::time::Duration;

use async_trait::async_trait;

/// How many groups there are. What is cached belongs to one of them, and a group is forgotten as a whole.
pub const GROUPS: u16 = 1024;

/// Result of a lookup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lookup {
    /// The generation of the group, to be passed to [`Cache::put`].
    pub generation: u64,
    /// What was put, if anything.
    pub value: Option<Vec<u8>>,
}

/// Keeps values in groups, each of which can be forgotten as a whole.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait Cache: Send + Sync {
    /// What is kept under the key. MUST NOT answer anything that was put before the group was last forgotten.
    async fn get(&self, group: u16, key: &str) -> Result<Lookup, CacheError>;

    /// Keeps a value for `lifetime`. `generation` is that of the lookup made before the value was computed: the value MUST NOT be
    /// found when the group was forgotten since.
    async fn put(
        &self,
        group: u16,
        generation: u64,
        key: &str,
        value: Vec<u8>,
        lifetime: Duration,
    ) -> Result<(), CacheError>;

    /// Forgets everything in the group, for every process that shares the cache.
    async fn forget(&self, group: u16) -> Result<(), CacheError>;
}

/// The cache does not answer. The caller proceeds without it.
#[derive(Debug, thiserror::Error)]
#[error("the cache does not answer: {0}")]
pub struct CacheError(pub String);
