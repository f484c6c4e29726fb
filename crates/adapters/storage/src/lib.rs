//! Object storage: local files, and S3.

#[cfg(target_os = "linux")]
mod cached;
mod key;
mod s3;
mod store;
mod upload;

pub use s3::S3Options;
pub use store::{ObjectFileStore, OpenError};
