//! Shared state of the routes and background jobs of sites.

use std::{path::PathBuf, sync::Arc};

use portico_billing::generation::TokenLimit;
use portico_compute::{Pool, PoolSize};
use portico_kernel::{files::FileStore, images::ImageProcessor};
use portico_runtime::{core::Core, keyed_lock::KeyedLocks, mailing::Mailing};
use portico_sites::ports::{ContentGenerator, DomainResolver, SiteRenderer};
use portico_web::api::Api;
use tokio::sync::Semaphore;

use crate::{
    hosting::Hosting,
    rendered::RenderedPreviews,
    settings::{Assets, Sites},
};

/// The dependencies of this feature. Cheap to clone.
#[derive(Clone)]
pub struct App {
    /// Shared by the whole process.
    pub core: Core,
    /// Shared by the routes of all features.
    pub api: Api,
    /// Settings of sites.
    pub settings: Arc<Settings>,
    /// Published sites.
    pub hosting: Hosting,
    /// Sends mail.
    pub mail: Mailing,
    /// Object storage.
    pub files: Arc<dyn FileStore>,
    /// Processing of uploaded images.
    pub images: Arc<dyn ImageProcessor>,
    /// Permits to process uploaded files.
    pub uploads: Arc<Semaphore>,
    /// Text generator, if one is configured.
    pub generator: Option<Arc<dyn ContentGenerator>>,
    /// DNS lookups for customers' domains.
    pub resolver: Arc<dyn DomainResolver>,
    /// Renders sites.
    pub renderer: Arc<dyn SiteRenderer>,
    /// Where sites are rendered.
    pub pools: Arc<Pools>,
    /// Caches of rendered previews.
    pub previews: Arc<RenderedPreviews>,
    /// Locks of wizards that are being completed.
    pub completions: Arc<KeyedLocks>,
}

/// The pools of this feature, of a thread for each processor. They refuse nothing, because those who ask are bounded.
pub struct Pools {
    /// Deployments, with hashing and compressing their files: each of the concurrent jobs asks for eight files at most.
    pub deployments: Pool,
    /// Previews, for which somebody waits: all requests ask for two drafts, and for the preview of each template once.
    pub previews: Pool,
}

impl Default for Pools {
    fn default() -> Self {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let size = PoolSize { threads, waiting: usize::MAX };
        Self { deployments: Pool::new("deployments", size), previews: Pool::new("previews", size) }
    }
}

impl App {
    /// The same state for background jobs.
    #[must_use]
    pub fn for_background(&self) -> Self {
        Self { core: self.core.for_background(), mail: self.mail.for_background(), ..self.clone() }
    }
}

/// Settings of this feature.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Published sites.
    pub sites: Sites,
    /// Uploaded files.
    pub assets: Assets,
    /// Directory for spooled uploads.
    pub data_dir: PathBuf,
    /// Maximum tokens that one text takes, all attempts together.
    pub tokens_per_text: u64,
    /// Maximum tokens that all tenants together may use in a calendar month (UTC); none sets no limit.
    pub tokens_per_month: Option<u64>,
}

impl Settings {
    /// The token limit for this number of texts.
    pub fn token_limit(&self, texts: u64) -> TokenLimit {
        TokenLimit { each: self.tokens_per_text.saturating_mul(texts), month: self.tokens_per_month }
    }
}
