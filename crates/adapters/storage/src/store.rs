//! The file store over any `object_store`.

use std::{fs, io, ops::Range, path::PathBuf, sync::Arc, time::Duration};

use async_trait::async_trait;
use futures_util::{StreamExt, TryStreamExt};
use object_store::{
    Error, ObjectStore, ObjectStoreExt,
    local::LocalFileSystem,
    path::Path,
    signer::{Method, Signer},
};
use portico_kernel::files::{FileError, FileStore, FileUpload};
use tokio::sync::Semaphore;
use url::Url;

use crate::{key::checked, upload::Parts};

/// How many ranges of local files are read at once. Each takes a thread meanwhile: without a limit, a crowd has all those started that the
/// pools may have, 512, and each keeps some memory until it was idle for ten seconds.
const LOCAL_READS: usize = 32;

/// Stores files in the object store at a URL.
pub struct ObjectFileStore {
    store: Arc<dyn ObjectStore>,
    /// Its directory, if it is a local one.
    directory: Option<PathBuf>,
    /// Permits to read a range of a file in the directory.
    reads: Semaphore,
    /// What signs addresses of files, if it is a bucket.
    signer: Option<Arc<dyn Signer>>,
}

/// Why a store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The URL is invalid.
    #[error("`{0}` is not an address such as file:///var/lib/portico/files")]
    Invalid(String),
    /// The URL of a bucket is invalid.
    #[error("`{0}` is not an address such as s3://bucket/prefix")]
    InvalidBucket(String),
    /// The URL of a server is invalid, or not encrypted although it has to be.
    #[error("`{0}` is not an address that begins with https:, or with http: where that is allowed")]
    Endpoint(String),
    /// The scheme of the URL is not supported.
    #[error("no storage for addresses that begin with `{0}:`; use file: or s3:")]
    UnknownScheme(String),
    /// The directory cannot be created or opened.
    #[error("cannot use the directory {0}: {1}")]
    Directory(PathBuf, #[source] io::Error),
    /// The store refuses its configuration.
    #[error(transparent)]
    Store(#[from] Error),
}

impl ObjectFileStore {
    /// Opens the store at a URL: `file:///absolute/path`, or `file://./path` relative to the working directory. A missing
    /// directory is created.
    pub fn open(address: &str) -> Result<Self, OpenError> {
        Self::directory(Self::directory_at(address)?)
    }

    /// The directory that a URL names. Looks at no file.
    pub fn directory_at(address: &str) -> Result<PathBuf, OpenError> {
        let invalid = || OpenError::Invalid(address.to_owned());
        let (scheme, rest) = address.split_once("://").ok_or_else(invalid)?;
        if !scheme.eq_ignore_ascii_case("file") {
            return Err(OpenError::UnknownScheme(scheme.to_owned()));
        }
        let relative = [".", "..", "./", "../"]
            .iter()
            .any(|start| if start.ends_with('/') { rest.starts_with(start) } else { rest == *start });
        if relative {
            return Ok(PathBuf::from(rest));
        }
        Url::parse(address).ok().and_then(|url| url.to_file_path().ok()).ok_or_else(invalid)
    }

    /// Stores files under a directory. A missing one is created, for the user of this process only.
    pub fn directory(directory: impl Into<PathBuf>) -> Result<Self, OpenError> {
        let directory = directory.into();
        let absolute = make_private(&directory).and_then(|()| directory.canonicalize());
        let directory = absolute.map_err(|error| OpenError::Directory(directory, error))?;
        // A put writes a temporary file and renames it, which is atomic. With fsync an acknowledged file survives a power
        // failure.
        let store =
            LocalFileSystem::new_with_prefix(&directory)?.with_automatic_cleanup(true).with_fsync(true);
        Ok(Self { directory: Some(directory), ..Self::over(Arc::new(store)) })
    }

    /// Stores files in a store that is open already.
    pub fn over(store: Arc<dyn ObjectStore>) -> Self {
        Self { store, directory: None, reads: Semaphore::new(LOCAL_READS), signer: None }
    }

    /// Stores files in a bucket, which signs addresses as well.
    pub(crate) fn in_bucket<S: ObjectStore + Signer>(bucket: S) -> Self {
        let bucket = Arc::new(bucket);
        Self { signer: Some(bucket.clone()), ..Self::over(bucket) }
    }

    /// `None` if the error means that there is no such file.
    fn absent<T>(&self, error: Error) -> Result<Option<T>, FileError> {
        match error {
            Error::NotFound { .. } => Ok(None),
            // A directory, and a path below a file, are not there, as in a store without directories.
            error if is_no_file(&error) && self.directory.as_ref().is_some_and(|root| root.is_dir()) => {
                Ok(None)
            }
            error => Err(unavailable(error)),
        }
    }

    /// Removes what listings do not contain: directories without files, and unfinished uploads of a crash.
    async fn sweep(&self, prefix: &Path) -> Result<(), FileError> {
        let Some(directory) = self.directory.as_ref().map(|root| root.join(prefix.as_ref())) else {
            return Ok(());
        };
        let removal = tokio::task::spawn_blocking(move || fs::remove_dir_all(directory));
        match removal.await.map_err(unavailable)? {
            // The prefix is the name of a file, which is not under it.
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

    async fn begin(&self, key: &str) -> Result<Box<dyn FileUpload>, FileError> {
        let upload = self.store.put_multipart(&checked(key)?).await.map_err(unavailable)?;
        Ok(Box::new(Parts::new(upload)))
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
            // Stores refuse to read empty ranges.
            return match self.store.head(&path).await {
                Ok(_) => Ok(Some(Vec::new())),
                Err(error) => self.absent(error),
            };
        }
        #[cfg(target_os = "linux")]
        if let Some(directory) = &self.directory
            && let Some(bytes) = crate::cached::read(&directory.join(path.as_ref()), &range)
        {
            return Ok(Some(bytes));
        }
        let _permit = match &self.directory {
            Some(_) => Some(self.reads.acquire().await.map_err(unavailable)?),
            None => None,
        };
        // A local file is opened and read by one task; `get_range` begins two.
        match self.store.get_ranges(&path, &[range]).await.map(|mut read| read.pop()) {
            Ok(Some(bytes)) if bytes.len() as u64 == length => Ok(Some(bytes.into())),
            Ok(_) => Err(unavailable(io::Error::from(io::ErrorKind::UnexpectedEof))),
            Err(error) => self.absent(error),
        }
    }

    async fn direct_url(&self, key: &str, lifetime: Duration) -> Result<Option<String>, FileError> {
        let path = checked(key)?;
        let Some(signer) = &self.signer else { return Ok(None) };
        let url = signer.signed_url(Method::GET, &path, lifetime).await.map_err(unavailable)?;
        Ok(Some(url.into()))
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
        // Listing matches whole segments: `a/b` does not match `a/bc`.
        let listed = self.store.list(Some(&prefix)).map_ok(|file| file.location).boxed();
        let mut deletions = self.store.delete_stream(listed);
        while let Some(deleted) = deletions.next().await {
            match deleted {
                // Deleted concurrently.
                Ok(_) | Err(Error::NotFound { .. }) => {}
                Err(error) => return Err(unavailable(error)),
            }
        }
        self.sweep(&prefix).await
    }

    async fn ping(&self) -> Result<(), FileError> {
        if let Some(directory) = &self.directory {
            return fs::read_dir(directory).map(drop).map_err(unavailable);
        }
        // One that is not there says as much about the store.
        match self.store.head(&checked("ping")?).await {
            Ok(_) | Err(Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(unavailable(error)),
        }
    }
}

/// Creates a directory, and those above it, which only the user of this process can enter. Existing ones stay as they are.
fn make_private(directory: &std::path::Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(directory)
}

fn is_no_file(error: &Error) -> bool {
    let causes = std::iter::successors(Some(error as &dyn std::error::Error), |error| error.source());
    let mut kinds = causes.filter_map(|cause| cause.downcast_ref::<io::Error>()).map(io::Error::kind);
    kinds.any(|kind| matches!(kind, io::ErrorKind::NotADirectory | io::ErrorKind::IsADirectory))
}

fn unavailable(error: impl std::error::Error + Send + Sync + 'static) -> FileError {
    FileError::Unavailable(Box::new(error))
}
