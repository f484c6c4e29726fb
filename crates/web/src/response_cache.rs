//! Cache of responses to reads.
//!
//! A tenant's content (the tenant itself, branding, pages, navigation) is read far more often than it is changed, so whole
//! responses are kept in a [`Cache`], by groups of tenants. A group is invalidated as soon as this process knows of a
//! change in it: its own at once, that of others within half a second, from the event log. While a process does not receive
//! the announcements of others, it does not use the cache.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{self, HeaderValue},
    web::Bytes,
};
use metrics::Counter;
use portico_kernel::{
    List, Permission, Scope, TenantId,
    cache::{Cache, CacheError, GROUPS, Lookup},
};
use portico_runtime::signals::Signals;
use serde::Serialize;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::{
    conditional::{etag, not_modified},
    list::link,
    problem::Problem,
    write,
};

/// Subject of a response; part of the key, and decides how long it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    /// A tenant.
    Tenant,
    /// Branding.
    Branding,
    /// A list of pages.
    PageList,
    /// A page.
    Page,
    /// A navigation.
    Navigation,
}

impl About {
    const fn lifetime(self) -> Duration {
        Duration::from_secs(
            60 * match self {
                Self::PageList => 2,
                Self::Tenant | Self::Page => 5,
                Self::Navigation => 10,
                Self::Branding => 30,
            },
        )
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::Tenant => "tenant",
            Self::Branding => "branding",
            Self::PageList => "page_list",
            Self::Page => "page",
            Self::Navigation => "navigation",
        }
    }
}

/// What the cache had for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Hit,
    Miss,
    Bypass,
}

impl Outcome {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Miss => "miss",
            Self::Bypass => "bypass",
        }
    }
}

/// The cache of responses.
pub struct ResponseCache {
    cache: Arc<dyn Cache>,
    signals: Arc<Signals>,
    /// For each group, 1 + the epoch up to which it was invalidated; 0 when it never was. Entries from before this process
    /// started may be stale.
    forgotten: Vec<AtomicU64>,
    /// Counters of requests by subject and outcome. Kept, because finding one takes longer than counting.
    counters: [[OnceLock<Counter>; 3]; 5],
}

/// Where a response under construction is to be cached.
struct Entry {
    group: u16,
    key: String,
    lookup: Lookup,
}

impl ResponseCache {
    /// On top of a cache.
    pub fn new(cache: Arc<dyn Cache>, signals: Arc<Signals>) -> Self {
        let forgotten = (0..GROUPS).map(|_| AtomicU64::new(0)).collect();
        Self { cache, signals, forgotten, counters: Default::default() }
    }

    /// Answers a read by a caller who has the permission: from the cache, or with the result of `read`, which is cached
    /// then. `read` returns the resource and, if it has one, its version; else the tag is derived from the response. The
    /// response must be the same for every caller who has the permission in the tenant.
    pub async fn respond<T: Serialize>(
        &self,
        request: &HttpRequest,
        scope: &Scope,
        (about, permission): (About, Permission),
        read: impl AsyncFnOnce() -> Result<(T, Option<i64>), Problem>,
    ) -> Result<HttpResponse, Problem> {
        let read = async || {
            let (resource, version) = read().await?;
            make(&resource, version, None)
        };
        self.kept_or(request, scope, (about, permission), read).await
    }

    /// The same for a page of a list, with the links to the others.
    pub async fn respond_list<T: Serialize>(
        &self,
        request: &HttpRequest,
        scope: &Scope,
        about: (About, Permission),
        read: impl AsyncFnOnce() -> Result<List<T>, Problem>,
    ) -> Result<HttpResponse, Problem> {
        let read = async || {
            let list = read().await?;
            make(&list, None, link(request, &list))
        };
        self.kept_or(request, scope, about, read).await
    }

    /// `read` makes the cached form.
    async fn kept_or(
        &self,
        request: &HttpRequest,
        scope: &Scope,
        (about, permission): (About, Permission),
        read: impl AsyncFnOnce() -> Result<Vec<u8>, Problem>,
    ) -> Result<HttpResponse, Problem> {
        let tenant = scope.require(permission)?;
        let entry = self.look(tenant, about, request).await;
        let outcome = match &entry {
            Some(Entry { lookup: Lookup { value: Some(_), .. }, .. }) => Outcome::Hit,
            Some(_) => Outcome::Miss,
            None => Outcome::Bypass,
        };
        self.count(about, outcome);
        match entry {
            Some(Entry { lookup: Lookup { value: Some(kept), .. }, .. }) => Ok(answer(request, kept)),
            entry => {
                let made = read().await?;
                if let Some(Entry { group, key, lookup }) = entry {
                    let (value, lifetime) = (made.clone(), about.lifetime());
                    noted(self.cache.put(group, lookup.generation, &key, value, lifetime).await);
                }
                Ok(answer(request, made))
            }
        }
    }

    fn count(&self, about: About, outcome: Outcome) {
        let (of, with) = (about.as_str(), outcome.as_str());
        let counter = self.counters[about as usize][outcome as usize].get_or_init(
            || metrics::counter!("portico_cache_requests_total", "about" => of, "outcome" => with),
        );
        counter.increment(1);
    }

    /// `None` when the cache must not be used.
    async fn look(&self, tenant: TenantId, about: About, request: &HttpRequest) -> Option<Entry> {
        if !self.signals.is_connected() {
            return None;
        }
        let (group, epoch) = self.signals.content_epoch(tenant);
        let forgotten = self.forgotten.get(usize::from(group))?;
        if forgotten.load(Ordering::Acquire) < epoch + 1 {
            noted(self.cache.forget(group).await)?;
            forgotten.fetch_max(epoch + 1, Ordering::AcqRel);
        }
        // The form of what is kept comes first: another version of the program must not read it as its own.
        let (about, path, query) = (about.as_str(), request.path(), request.query_string());
        let mut text = Uuid::encode_buffer();
        let tenant = &*tenant.uuid().hyphenated().encode_lower(&mut text);
        let key = ["2:", tenant, ":", about, ":", path, "?", query].concat();
        let lookup = noted(self.cache.get(group, &key).await)?;
        Some(Entry { group, key, lookup })
    }
}

fn noted<T>(result: Result<T, CacheError>) -> Option<T> {
    result
        .inspect_err(|error| {
            metrics::counter!("portico_cache_failures_total").increment(1);
            tracing::debug!(%error, "going on without the cache");
        })
        .ok()
}

/// The cached form: the entity tag, a line break, the links, a line break, the body.
fn make(resource: &impl Serialize, version: Option<i64>, links: Option<String>) -> Result<Vec<u8>, Problem> {
    let body = write::to_vec(resource).map_err(Problem::internal)?;
    let tag = match version {
        Some(version) => etag(version),
        None => {
            let digest = Sha256::digest(&body);
            format!("\"{}\"", digest[..12].iter().map(|byte| format!("{byte:02x}")).collect::<String>())
        }
    };
    Ok([tag.as_bytes(), b"\n", links.unwrap_or_default().as_bytes(), b"\n", &body].concat())
}

fn answer(request: &HttpRequest, kept: Vec<u8>) -> HttpResponse {
    let mut kept = Bytes::from(kept);
    let mut line = || {
        let Some(end) = kept.iter().position(|byte| *byte == b'\n') else { return String::new() };
        let line = kept.split_to(end + 1);
        String::from_utf8_lossy(&line[..end]).into_owned()
    };
    let (tag, links) = (line(), line());
    let is_known = not_modified(request, &tag);
    let mut response = if is_known { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    response
        .insert_header((header::ETAG, tag.as_str()))
        // Cached only by us, where a change can invalidate it. A browser must revalidate each time, and gets 304 when
        // nothing changed.
        .insert_header((header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache")));
    if !links.is_empty() {
        response.insert_header((header::LINK, links));
    }
    if is_known {
        return response.finish();
    }
    response.content_type("application/json").body(kept)
}
