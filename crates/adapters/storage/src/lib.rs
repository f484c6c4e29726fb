//! Object storage: local files.

mod key;
mod store;

pub use store::{ObjectFileStore, OpenError};
