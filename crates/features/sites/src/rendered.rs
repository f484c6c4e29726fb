//! Caches of rendered previews: drafts of sites, and templates.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use actix_web::web::Bytes;
use portico_kernel::TemplateId;
use portico_runtime::loading_cache::LoadingCache;
use portico_sites::ports::RenderError;
use tokio::sync::Semaphore;

/// Maximum size of the rendered drafts in memory.
const BYTES: u64 = 24 * 1024 * 1024;
/// How long a rendered draft is kept after it was last requested.
const IDLE: Duration = Duration::from_secs(600);
/// Drafts rendered concurrently.
const AT_ONCE: usize = 2;
/// Maximum number of template previews in memory.
const PREVIEWS: usize = 64;

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
    /// Rendered drafts by digest. One that is asked for is put again, so that its time begins anew.
    pub drafts: LoadingCache<[u8; 32], Arc<Draft>, Refusal>,
    /// Permits to render a draft.
    pub turns: Semaphore,
}

impl Default for RenderedDrafts {
    fn default() -> Self {
        let weight = |_: &[u8; 32], draft: &Arc<Draft>| {
            draft.rendered.iter().map(|(path, bytes)| path.len() + bytes.len() + 64).sum::<usize>()
        };
        Self { drafts: LoadingCache::weighted(BYTES, weight, Some(IDLE)), turns: Semaphore::new(AT_ONCE) }
    }
}

/// Why a preview cannot be shown.
#[derive(Clone, Copy, Debug)]
pub enum Refusal {
    /// The link is invalid or expired, or its site is deleted or suspended. Indistinguishable to the client.
    Gone,
    /// Overloaded or unavailable.
    Busy,
    /// A bug.
    Failed,
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
    pub cache: LoadingCache<(TemplateId, i64), Arc<Preview>, RenderError>,
}

impl Default for TemplatePreviews {
    fn default() -> Self {
        Self { cache: LoadingCache::new(PREVIEWS, None) }
    }
}
