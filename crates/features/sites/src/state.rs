//! What the routes and the background work of sites share.

use std::{path::PathBuf, sync::Arc};

use portico_billing::generation::TokenLimit;
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

/// The parts of this feature. Cheap to clone.
#[derive(Clone)]
pub struct App {
    /// What everything in the process shares.
    pub core: Core,
    /// What stands around the routes.
    pub api: Api,
    /// Settings of sites.
    pub settings: Arc<Settings>,
    /// Published sites.
    pub hosting: Hosting,
    /// Sends mail.
    pub mail: Mailing,
    /// Object storage.
    pub files: Arc<dyn FileStore>,
    /// Pictures that people upload.
    pub images: Arc<dyn ImageProcessor>,
    /// Uploaded files that are made ready at a time.
    pub uploads: Arc<Semaphore>,
    /// Writer of texts, when there is one.
    pub generator: Option<Arc<dyn ContentGenerator>>,
    /// The DNS, about customers' domains.
    pub resolver: Arc<dyn DomainResolver>,
    /// Renders sites.
    pub renderer: Arc<dyn SiteRenderer>,
    /// What was rendered lately to be looked at.
    pub previews: Arc<RenderedPreviews>,
    /// Wizards that are being completed.
    pub completions: Arc<KeyedLocks>,
}

impl App {
    /// The same for background work.
    #[must_use]
    pub fn for_background(&self) -> Self {
        Self { core: self.core.for_background(), mail: self.mail.for_background(), ..self.clone() }
    }
}

/// What this feature goes by.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Published sites.
    pub sites: Sites,
    /// Files that tenants upload.
    pub assets: Assets,
    /// Folder in which uploads are put aside.
    pub data_dir: PathBuf,
    /// Most tokens that one text takes, all attempts together.
    pub tokens_per_text: u64,
    /// Tokens that all tenants together may use up in a calendar month (UTC); none sets no limit.
    pub tokens_per_month: Option<u64>,
}

impl Settings {
    /// What so many texts may take.
    pub fn token_limit(&self, texts: u64) -> TokenLimit {
        TokenLimit { each: self.tokens_per_text.saturating_mul(texts), month: self.tokens_per_month }
    }
}
