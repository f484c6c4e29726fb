//! The file store over any `object_store`.

use std::{fs, io, ops::Range, path::PathBuf, sync::Arc};

use async_trait::async_trait;
use futures_util::{StreamExt, TryStreamExt};
use object_store::{Error, ObjectStore, ObjectStoreExt, local::LocalFileSystem, path::Path};
use portico_kernel::files::{FileError, FileStore};
use url::Url;

use crate::key::checked;

/// Keeps files in the object store that an address names.
pub struct ObjectFileStore {
    store: Arc<dyn ObjectStore>,
    /// The directory behind it, where it is one.
    directory: Option<PathBuf>,
}

/// Why a store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The address cannot be read.
    #[error("`{0}` is not an address such as file:///var/lib/portico/files")]
    Invalid(String),
    /// The address of a bucket cannot be read.
    #[error("`{0}` is not an address such as s3://bucket/prefix")]
    InvalidBucket(String),
    /// The address of a server is none, or not encrypted although it has to be.
    #[error("`{0}` is not an address that begins with https:, or with http: where that is allowed")]
    Endpoint(String),
    /// There is no adapter for such an address.
    #[error("no storage for addresses that begin with `{0}:`; use file: or s3:")]
    UnknownScheme(String),
    /// The directory cannot be made or entered.
    #[error("cannot use the directory {0}: {1}")]
    Directory(PathBuf, #[source] io::Error),
    /// The store refuses its configuration.
    #[error(transparent)]
    Store(#[from] Error),
}

impl ObjectFileStore {
    /// Opens the store at an address: `file:///absolute/path`, or `file://./path` relative to the working directory.
    /// A directory that is missing is made.
    pub fn open(address: &str) -> Result<Self, OpenError> {
        let invalid = || OpenError::Invalid(address.to_owned());
        let (scheme, rest) = address.split_once("://").ok_or_else(invalid)?;
        if !scheme.eq_ignore_ascii_case("file") {
            return Err(OpenError::UnknownScheme(scheme.to_owned()));
        }
        let relative = [".", "..", "./", "../"]
            .iter()
            .any(|start| if start.ends_with('/') { rest.starts_with(start) } else { rest == *start });
        let directory = if relative {
            PathBuf::from(rest)
        } else {
            Url::parse(address).ok().and_then(|url| url.to_file_path().ok()).ok_or_else(invalid)?
        };
        Self::directory(directory)
    }

    /// Keeps files under a directory, which is made where missing.
    pub fn directory(directory: impl Into<PathBuf>) -> Result<Self, OpenError> {
        let directory = directory.into();
        let absolute = fs::create_dir_all(&directory).and_then(|()| directory.canonicalize());
        let directory = absolute.map_err(|error| OpenError::Directory(directory, error))?;
        // A put goes to a file aside, which takes the place of the old one by rename: atomic. With fsync a file that was
        // acknowledged is there after a power cut.
        let store =
            LocalFileSystem::new_with_prefix(&directory)?.with_automatic_cleanup(true).with_fsync(true);
        Ok(Self { store: Arc::new(store), directory: Some(directory) })
    }

    /// Keeps files in a store that is open already.
    pub fn over(store: Arc<dyn ObjectStore>) -> Self {
        Self { store, directory: None }
    }

    /// `None` where the error says that there is no such file.
    fn absent<T>(&self, error: Error) -> Result<Option<T>, FileError> {
        match error {
            Error::NotFound { .. } => Ok(None),
            // Below a file there is nothing, as there is nothing in a store that has no directories.
            error if is_below_a_file(&error) && self.directory.as_ref().is_some_and(|root| root.is_dir()) => {
                Ok(None)
            }
            error => Err(unavailable(error)),
        }
    }

    /// Removes what no listing shows: directories without files, and uploads that a crash left unfinished.
    async fn sweep(&self, prefix: &Path) -> Result<(), FileError> {
        let Some(directory) = self.directory.as_ref().map(|root| root.join(prefix.as_ref())) else {
            return Ok(());
        };
        let removal = tokio::task::spawn_blocking(move || fs::remove_dir_all(directory));
        match removal.await.map_err(unavailable)? {
            // A file has the very name of the prefix; it is not under it.
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                Ok(())
            }
            result => result.map_err(unavailable),
        }
    }
}

#[async_trait]
impl FileStore for ObjectFileStore {
    async fn put(&self, key: &str, bytes: Vec<u8>) -> Result<(), FileError> {
        let path = checked(key)?;
        self.store.put(&path, bytes.into()).await.map(drop).map_err(unavailable)
    }

    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, FileError> {
        let path = checked(key)?;
        match self.store.get(&path).await {
            Ok(found) => Ok(Some(found.bytes().await.map_err(unavailable)?.into())),
            Err(error) => self.absent(error),
        }
    }

    async fn get_range(&self, key: &str, range: Range<u64>) -> Result<Option<Vec<u8>>, FileError> {
        let path = checked(key)?;
        let length = range.end.saturating_sub(range.start);
        if length == 0 {
            // Stores refuse to read nothing.
            return match self.store.head(&path).await {
                Ok(_) => Ok(Some(Vec::new())),
                Err(error) => self.absent(error),
            };
        }
        match self.store.get_range(&path, range).await {
            Ok(bytes) if bytes.len() as u64 == length => Ok(Some(bytes.into())),
            Ok(_) => Err(unavailable(io::Error::from(io::ErrorKind::UnexpectedEof))),
            Err(error) => self.absent(error),
        }
    }

    async fn delete(&self, key: &str) -> Result<(), FileError> {
        match self.store.delete(&checked(key)?).await {
            Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(unavailable(error)),
        }
    }

    async fn list(&self, prefix: &str) -> Result<Vec<String>, FileError> {
        let prefix = checked(prefix)?;
        let keys = self.store.list(Some(&prefix)).map_ok(|file| file.location.to_string());
        keys.try_collect().await.map_err(unavailable)
    }

    async fn delete_prefix(&self, prefix: &str) -> Result<(), FileError> {
        let prefix = checked(prefix)?;
        // Listing goes by whole parts: `a/b` does not match `a/bc`.
        let listed = self.store.list(Some(&prefix)).map_ok(|file| file.location).boxed();
        let mut deletions = self.store.delete_stream(listed);
        while let Some(deleted) = deletions.next().await {
            match deleted {
                // Somebody else deletes the same.
                Ok(_) | Err(Error::NotFound { .. }) => {}
                Err(error) => return Err(unavailable(error)),
            }
        }
        self.sweep(&prefix).await
    }
}

fn is_below_a_file(error: &Error) -> bool {
    let causes = std::iter::successors(Some(error as &dyn std::error::Error), |error| error.source());
    let mut kinds = causes.filter_map(|cause| cause.downcast_ref::<io::Error>()).map(io::Error::kind);
    kinds.any(|kind| kind == io::ErrorKind::NotADirectory)
}

fn unavailable(error: impl std::error::Error + Send + Sync + 'static) -> FileError {
    FileError::Unavailable(Box::new(error))
}
