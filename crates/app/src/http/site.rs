//! Published sites: whatever comes to the host name of a site is answered from the files of its live deployment.

use std::{sync::Arc, time::Duration};

use actix_web::{
    HttpMessage, HttpRequest, HttpResponse,
    guard::GuardContext,
    http::{
        Method, StatusCode,
        header::{self, HeaderValue},
    },
    web::{Bytes, Data},
};
use moka::future::Cache;
use portico_kernel::{StoreError, files::FileError};
use portico_sites::ports::LiveSite;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::conditional::not_modified;
use crate::{signals::Signals, state::App};

/// How long another instance may go on with the deployment before a switch.
const TIME_TO_LIVE: Duration = Duration::from_millis(900);
/// Host names remembered at most.
const SITES: u64 = 100_000;
/// Bytes of files kept in memory at most.
const FILE_BYTES: u64 = 32 * 1024 * 1024;

/// Content security policy of published sites: nothing but the site's own style sheet, images and forms.
const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self' https: data:; font-src 'self'; \
    form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// A file of a deployment, ready to be sent.
struct SiteFile {
    bytes: Bytes,
    tag: String,
}

/// What answers at which host name, and the files that were asked for lately.
pub struct LiveSites {
    signals: Arc<Signals>,
    sites: Cache<(u64, String), At>,
    /// Deployments never change, so their files are never stale. `None` remembers that there is no such file.
    files: Cache<FileKey, Option<Arc<SiteFile>>>,
}

/// What is at a host name.
#[derive(Clone)]
enum At {
    Nothing,
    /// A site whose tenant is suspended.
    Paused,
    Live(LiveSite),
}

/// Names a file for the cache.
#[derive(Clone, PartialEq, Eq, Hash)]
struct FileKey {
    /// The deployment, or the site for what all its deployments share.
    owner: Uuid,
    path: String,
}

/// The subdomain of the site that a request is for, in lower case. Found out once, before routing.
pub struct SiteHost {
    /// The subdomain.
    pub subdomain: String,
}

impl LiveSites {
    /// Empty caches.
    pub fn new(signals: Arc<Signals>) -> Self {
        let weight = |key: &FileKey, file: &Option<Arc<SiteFile>>| {
            (key.path.len() + file.as_ref().map_or(0, |file| file.bytes.len()) + 128)
                .try_into()
                .unwrap_or(u32::MAX)
        };
        Self {
            signals,
            sites: Cache::builder().max_capacity(SITES).time_to_live(TIME_TO_LIVE).build(),
            files: Cache::builder().max_capacity(FILE_BYTES).weigher(weight).build(),
        }
    }

    async fn at(&self, app: &App, subdomain: &str) -> Result<At, Arc<StoreError>> {
        let key = (self.signals.sites_epoch(), subdomain.to_owned());
        self.sites.try_get_with(key, look_up(app, subdomain)).await
    }

    async fn file(
        &self,
        app: &App,
        site: &LiveSite,
        path: &str,
    ) -> Result<Option<Arc<SiteFile>>, Arc<FileError>> {
        let owner = if is_asset(path) { site.site.uuid() } else { site.deployment.uuid() };
        let key = FileKey { owner, path: path.to_owned() };
        let load = async {
            let bytes = match app.files.get(&file_key(site, path)).await {
                Ok(bytes) => bytes,
                // The path comes from a visitor, so a key that cannot exist is just a page that does not.
                Err(FileError::InvalidKey) => None,
                Err(error) => return Err(error),
            };
            Ok(bytes.map(|bytes| {
                let digest = Sha256::digest(&bytes);
                let tag = digest[..12].iter().map(|byte| format!("{byte:02x}")).collect::<String>();
                Arc::new(SiteFile { bytes: bytes.into(), tag: format!("\"{tag}\"") })
            }))
        };
        let file = self.files.try_get_with_by_ref(&key, load).await?;
        if file.is_none() && is_asset(path) {
            // The next deployment may bring it.
            self.files.invalidate(&key).await;
        }
        Ok(file)
    }
}

/// Where a file of a deployment is. Assets carry a hash of their content in their names, so all deployments of a site keep
/// them in one place: who got a page just before a switch still gets what belongs to it.
pub fn file_key(site: &LiveSite, path: &str) -> String {
    let prefix = site_prefix(site.tenant, site.site);
    if is_asset(path) { format!("{prefix}/{path}") } else { format!("{prefix}/{}/{path}", site.deployment) }
}

/// Whether a path is that of an asset, and not that of a page with the slug `assets`.
fn is_asset(path: &str) -> bool {
    path.starts_with("assets/") && !path.ends_with(".html")
}

/// Where the files of all deployments of a site are.
pub fn site_prefix(tenant: portico_kernel::TenantId, site: portico_kernel::SiteId) -> String {
    format!("sites/{tenant}/{site}")
}

/// Whether a request is for a published site.
pub fn is_site(context: &GuardContext<'_>) -> bool {
    context.req_data().contains::<SiteHost>()
}

/// Answers a request for a published site.
pub async fn serve(app: Data<App>, request: HttpRequest) -> HttpResponse {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return HttpResponse::MethodNotAllowed().insert_header((header::ALLOW, "GET, HEAD")).finish();
    }
    let subdomain =
        request.extensions().get::<SiteHost>().map(|host| host.subdomain.clone()).unwrap_or_default();
    let found = match app.live_sites.at(&app, &subdomain).await {
        Ok(At::Live(site)) => find(&app, &site, request.path()).await,
        Ok(At::Paused) => return paused(),
        Ok(At::Nothing) => Ok(Found::Nothing),
        Err(error) => {
            tracing::warn!(error = %super::problem::chain(&*error), "a site could not be looked up");
            return unavailable();
        }
    };
    match found {
        Ok(Found::File { file, path }) => respond(&request, StatusCode::OK, &file, &path),
        Ok(Found::Moved(location)) => {
            HttpResponse::PermanentRedirect().insert_header((header::LOCATION, location)).finish()
        }
        Ok(Found::Missing(Some(file))) => respond(&request, StatusCode::NOT_FOUND, &file, "404.html"),
        Ok(Found::Missing(None) | Found::Nothing) => HttpResponse::NotFound()
            .content_type("text/html; charset=utf-8")
            .body("<!doctype html><html lang=\"en\"><title>No site here</title><h1>There is no site at this address.</h1></html>"),
        Err(error) => {
            tracing::warn!(error = %super::problem::chain(&*error), "a file of a site could not be read");
            unavailable()
        }
    }
}

enum Found {
    File { file: Arc<SiteFile>, path: String },
    Moved(String),
    Missing(Option<Arc<SiteFile>>),
    Nothing,
}

async fn look_up(app: &App, subdomain: &str) -> Result<At, StoreError> {
    let mut repositories = app.reader();
    if let Some(site) = repositories.sites().live_at(subdomain).await? {
        return Ok(At::Live(site));
    }
    Ok(if repositories.sites().paused_at(subdomain).await? { At::Paused } else { At::Nothing })
}

/// 503, by which search engines know that the site comes back (RFC 9110 section 15.6.4).
fn paused() -> HttpResponse {
    HttpResponse::ServiceUnavailable()
        .insert_header((header::RETRY_AFTER, "3600"))
        .insert_header((header::CACHE_CONTROL, HeaderValue::from_static("no-store")))
        .content_type("text/html; charset=utf-8")
        .body("<!doctype html><html lang=\"en\"><title>Paused</title><h1>This site is paused.</h1>")
}

/// `/` is `index.html`, `/about/` is `about/index.html`, and `/about` leads there.
async fn find(app: &App, site: &LiveSite, path: &str) -> Result<Found, Arc<FileError>> {
    let path = path.trim_start_matches('/');
    let name =
        if path.is_empty() || path.ends_with('/') { format!("{path}index.html") } else { path.to_owned() };
    if let Some(file) = app.live_sites.file(app, site, &name).await? {
        return Ok(Found::File { file, path: name });
    }
    if !path.is_empty()
        && !path.ends_with('/')
        && app.live_sites.file(app, site, &format!("{path}/index.html")).await?.is_some()
    {
        return Ok(Found::Moved(format!("/{path}/")));
    }
    Ok(Found::Missing(app.live_sites.file(app, site, "404.html").await?))
}

fn respond(request: &HttpRequest, status: StatusCode, file: &SiteFile, path: &str) -> HttpResponse {
    let cache = if status == StatusCode::OK && is_asset(path) {
        // Asset names carry a hash of their content.
        "public, max-age=31536000, immutable"
    } else {
        "public, max-age=0, must-revalidate"
    };
    let mut response = HttpResponse::build(status);
    response
        .insert_header((header::CACHE_CONTROL, HeaderValue::from_static(cache)))
        .insert_header((header::ETAG, file.tag.as_str()))
        .insert_header((header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)));
    if status == StatusCode::OK && not_modified(request, &file.tag) {
        return response.status(StatusCode::NOT_MODIFIED).finish();
    }
    response.content_type(content_type(path)).body(file.bytes.clone())
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map(|(_, extension)| extension) {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("xml") => "application/xml; charset=utf-8",
        Some("txt") => "text/plain; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("jpg" | "jpeg") => "image/jpeg",
        Some("webp") => "image/webp",
        Some("ico") => "image/x-icon",
        Some("woff2") => "font/woff2",
        _ => "application/octet-stream",
    }
}

fn unavailable() -> HttpResponse {
    HttpResponse::ServiceUnavailable()
        .insert_header((header::RETRY_AFTER, "5"))
        .content_type("text/plain; charset=utf-8")
        .body("This site is not reachable right now. Try again shortly.")
}
