//! What was rendered lately to be looked at: drafts of sites, and templates.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use actix_web::web::Bytes;
use moka::future::Cache;
use portico_kernel::TemplateId;
use tokio::sync::Semaphore;

/// Bytes of rendered drafts kept in memory at most.
const BYTES: u64 = 24 * 1024 * 1024;
/// For how long a rendered draft is kept that nobody looks at.
const IDLE: Duration = Duration::from_secs(600);
/// Drafts rendered at once.
const AT_ONCE: usize = 2;
/// Previews remembered at most.
const PREVIEWS: u64 = 64;

/// Both of them.
#[derive(Default)]
pub struct RenderedPreviews {
    /// Drafts of sites.
    pub drafts: RenderedDrafts,
    /// Templates.
    pub templates: TemplatePreviews,
}

/// The drafts that were looked at lately, by a digest of everything that they show: what has changed is another draft.
pub struct RenderedDrafts {
    /// Each with what it shows.
    pub drafts: Cache<[u8; 32], Arc<Draft>>,
    /// Drafts that are rendered at once.
    pub turns: Semaphore,
}

impl Default for RenderedDrafts {
    fn default() -> Self {
        let weight = |_: &[u8; 32], draft: &Arc<Draft>| {
            let bytes: usize = draft.rendered.iter().map(|(path, bytes)| path.len() + bytes.len() + 64).sum();
            u32::try_from(bytes).unwrap_or(u32::MAX)
        };
        let drafts = Cache::builder().max_capacity(BYTES).weigher(weight).time_to_idle(IDLE).build();
        Self { drafts, turns: Semaphore::new(AT_ONCE) }
    }
}

/// A rendered draft.
pub struct Draft {
    /// What was rendered, by path.
    pub rendered: HashMap<String, Bytes>,
    /// What is in the file store, by path: its key.
    pub stored: HashMap<String, String>,
}

/// A file of a preview, ready to be sent.
#[derive(Clone)]
pub struct PreviewFile {
    /// What is in it.
    pub bytes: Bytes,
    /// Its entity tag.
    pub tag: String,
}

/// A template, rendered.
pub struct Preview {
    /// Its pages by their keys.
    pub pages: BTreeMap<String, PreviewFile>,
    /// Everything that pages refer to, by the path on the site, without a leading slash.
    pub files: BTreeMap<String, PreviewFile>,
    /// Key of its home page.
    pub home: String,
}

impl Preview {
    /// The page of this key; the home page where none is named.
    pub fn page(&self, key: Option<&str>) -> Option<&PreviewFile> {
        self.pages.get(key.unwrap_or(&self.home))
    }

    /// The keys of all pages.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.pages.keys().map(String::as_str)
    }

    /// What pages refer to.
    pub fn file(&self, path: &str) -> Option<&PreviewFile> {
        self.files.get(path)
    }
}

/// The previews that were asked for lately, by template and version.
pub struct TemplatePreviews {
    /// Each with what it shows.
    pub cache: Cache<(TemplateId, i64), Arc<Preview>>,
}

impl Default for TemplatePreviews {
    fn default() -> Self {
        Self { cache: Cache::builder().max_capacity(PREVIEWS).build() }
    }
}
