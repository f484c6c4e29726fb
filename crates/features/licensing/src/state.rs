//! Shared state of the routes and background work of licensing.

use std::sync::Arc;

use portico_kernel::{files::FileStore, malware::MalwareScanner};
use portico_licensing::{key::KeyVault, ports::LicenseSigner, scan_status::ScanStatus};
use portico_runtime::core::Core;
use portico_web::api::Api;
use time::Duration;

/// How downloads work in this installation.
#[derive(Clone, Debug)]
pub struct DownloadRule {
    /// Most bytes of the file of a release.
    pub max_file_bytes: u64,
    /// For how long a link to download is good.
    pub link_lifetime: Duration,
    /// Whether files of a bucket are sent by this server too, and not by the bucket itself.
    pub through_server: bool,
    /// For how long it is kept who has downloaded what; `None` for ever.
    pub log_retention: Option<Duration>,
    /// How long after it was withdrawn the file of a release is deleted; `None` for never.
    pub withdrawn_retention: Option<Duration>,
    /// Whether a release may be published whose file is too large for the scanner.
    pub publish_unscannable: bool,
}

/// The dependencies of this feature. Cheap to clone.
#[derive(Clone)]
pub struct App {
    /// Shared by the whole process.
    pub core: Core,
    /// Shared by the routes of all features.
    pub api: Api,
    /// Makes and reads license keys.
    pub vault: KeyVault,
    /// Signs license files and manifests of updates; none where the installation has no key of its own for that.
    pub signer: Option<Arc<dyn LicenseSigner>>,
    /// Keeps the files of releases.
    pub files: Arc<dyn FileStore>,
    /// Looks for malware in the files of releases; none where the installation has no scanner.
    pub scanner: Option<Arc<dyn MalwareScanner>>,
    /// How downloads work.
    pub downloads: Arc<DownloadRule>,
}

impl App {
    /// What is said of a file that was just stored.
    pub fn scan_status(&self) -> ScanStatus {
        if self.scanner.is_some() { ScanStatus::Scanning } else { ScanStatus::NotScanned }
    }

    /// The same state for background work.
    #[must_use]
    pub fn for_background(&self) -> Self {
        Self { core: self.core.for_background(), ..self.clone() }
    }
}
