//! Keeping files: the port to object storage.

use std::{ops::Range, time::Duration};

use async_trait::async_trait;

/// Stores files under keys such as `sites/{tenant}/{site}/{deployment}/index.html`.
///
/// Keys are made by us from ids and checked names; they never contain `..`, a leading slash, or an empty part.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait FileStore: Send + Sync {
    /// Stores the file, replacing an earlier one. MUST be atomic: a reader sees the old or the new file, whole.
    async fn put(&self, key: &str, bytes: Vec<u8>) -> Result<(), FileError>;

    /// Begins a file that is stored piece by piece. Nothing is under the key before it is [finished](FileUpload::finish); then it replaces
    /// an earlier file atomically.
    async fn begin(&self, key: &str) -> Result<Box<dyn FileUpload>, FileError>;

    /// The file; `None` when there is none.
    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, FileError>;

    /// These bytes of the file; `None` when there is none. MUST answer all of them or fail, also where the file is shorter, and
    /// MUST hold nothing of the file open afterwards.
    async fn get_range(&self, key: &str, range: Range<u64>) -> Result<Option<Vec<u8>>, FileError>;

    /// An address at which whoever has it gets the file from the store itself, without us, for so long; `None` for a store that has no
    /// such addresses. MUST NOT ask the store whether there is such a file.
    async fn direct_url(&self, key: &str, lifetime: Duration) -> Result<Option<String>, FileError>;

    /// Deletes the file. Deleting what is not there is no error.
    async fn delete(&self, key: &str) -> Result<(), FileError>;

    /// The keys of all files whose key starts with `prefix` followed by a slash, in any order.
    async fn list(&self, prefix: &str) -> Result<Vec<String>, FileError>;

    /// Deletes every file whose key starts with `prefix` followed by a slash. Deleting nothing is no error.
    async fn delete_prefix(&self, prefix: &str) -> Result<(), FileError>;

    /// Whether the store answers. MUST fail when files cannot be read, and MUST change nothing.
    async fn ping(&self) -> Result<(), FileError>;
}

/// A file that is being stored. Dropped without [`FileUpload::finish`], what came is thrown away; parts that a crash leaves at an S3
/// server are up to a rule of the bucket.
#[async_trait]
pub trait FileUpload: Send {
    /// Adds bytes. MUST hold a few parts in memory at most, and wait for the store rather than take more.
    async fn write(&mut self, bytes: &[u8]) -> Result<(), FileError>;

    /// Makes the file visible, whole.
    async fn finish(self: Box<Self>) -> Result<(), FileError>;
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
