//! Keeping files: the port to object storage.

use std::ops::Range;

use async_trait::async_trait;

/// Stores files under keys such as `sites/{tenant}/{site}/{deployment}/index.html`.
///
/// Keys are made by us from ids and checked names; they never contain `..`, a leading slash, or an empty part.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait FileStore: Send + Sync {
    /// Stores the file, replacing an earlier one. MUST be atomic: a reader sees the old or the new file, whole.
    async fn put(&self, key: &str, bytes: Vec<u8>) -> Result<(), FileError>;

    /// The file; `None` when there is none.
    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, FileError>;

    /// These bytes of the file; `None` when there is none. MUST answer all of them or fail, also where the file is shorter, and
    /// MUST hold nothing of the file open afterwards.
    async fn get_range(&self, key: &str, range: Range<u64>) -> Result<Option<Vec<u8>>, FileError>;

    /// Deletes the file. Deleting what is not there is no error.
    async fn delete(&self, key: &str) -> Result<(), FileError>;

    /// The keys of all files whose key starts with `prefix` followed by a slash, in any order.
    async fn list(&self, prefix: &str) -> Result<Vec<String>, FileError>;

    /// Deletes every file whose key starts with `prefix` followed by a slash. Deleting nothing is no error.
    async fn delete_prefix(&self, prefix: &str) -> Result<(), FileError>;

    /// Whether the store answers. MUST fail when files cannot be read, and MUST change nothing.
    async fn ping(&self) -> Result<(), FileError>;
}

/// Why a file could not be stored or read.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The key is not one that this product makes.
    #[error("invalid key")]
    InvalidKey,
    /// The store failed or cannot be reached; trying again makes sense.
    #[error("file store failed")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
}
