//! Caches of rendered previews: drafts of sites, and templates.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use actix_web::web::Bytes;
use moka::future::Cache;
use portico_kernel::TemplateId;
use tokio::sync::Semaphore;

/// Maximum size of the rendered drafts in memory.
const BYTES: u64 = 24 * 1024 * 1024;
/// How long a rendered draft is kept after it was last requested.
const IDLE: Duration = Duration::from_secs(600);
/// Drafts rendered concurrently.
const AT_ONCE: usize = 2;
/// Maximum number of template previews in memory.
const PREVIEWS: u64 = 64;

/// Both caches.
#[derive(Default)]
pub struct RenderedPreviews {
    /// Drafts of sites.
    pub drafts: RenderedDrafts,
    /// Templates.
    pub templates: TemplatePreviews,
}

/// Cache of drafts, by a digest of everything that they show: a changed draft has another digest.
pub struct RenderedDrafts {
    /// Rendered drafts by digest.
    pub drafts: Cache<[u8; 32], Arc<Draft>>,
    /// Permits to render a draft.
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
    /// Rendered files, by path.
    pub rendered: HashMap<String, Bytes>,
    /// Files in the file store, by path: their keys.
    pub stored: HashMap<String, String>,
}

/// A file of a preview, ready to be sent.
#[derive(Clone)]
pub struct PreviewFile {
    /// Its content.
    pub bytes: Bytes,
    /// Its entity tag.
    pub tag: String,
}

/// A rendered template.
pub struct Preview {
    /// Its pages by their keys.
    pub pages: BTreeMap<String, PreviewFile>,
    /// Everything that pages refer to, by the path on the site, without a leading slash.
    pub files: BTreeMap<String, PreviewFile>,
    /// Key of its home page.
    pub home: String,
}

impl Preview {
    /// The page with this key; the home page where none is given.
    pub fn page(&self, key: Option<&str>) -> Option<&PreviewFile> {
        self.pages.get(key.unwrap_or(&self.home))
    }

    /// The keys of all pages.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.pages.keys().map(String::as_str)
    }

    /// A file that pages refer to.
    pub fn file(&self, path: &str) -> Option<&PreviewFile> {
        self.files.get(path)
    }
}

/// Cache of template previews, by template and version.
pub struct TemplatePreviews {
    /// Rendered templates.
    pub cache: Cache<(TemplateId, i64), Arc<Preview>>,
}

impl Default for TemplatePreviews {
    fn default() -> Self {
        Self { cache: Cache::builder().max_capacity(PREVIEWS).build() }
    }
}
