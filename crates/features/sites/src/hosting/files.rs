//! Files of deployments: a cache, and the responses.

use std::{sync::Arc, time::Duration};

use actix_web::{
    HttpRequest, HttpResponse,
    body::SizedStream,
    http::{
        Method, StatusCode,
        header::{self, HeaderMap, HeaderValue},
    },
    web::Bytes,
};
use futures_util::stream;
use portico_kernel::{DeploymentId, SiteId, StoreError, files::FileError};
use portico_runtime::{bounded_cache::BoundedCache, loading_cache::LoadingCache};
use portico_sites::ports::LiveSite;
use portico_web::{
    conditional::is_known,
    pieces::{self, InPieces},
};

use super::{
    encoding::{Encoding, negotiate},
    manifest::{Entry, Manifest, blob_key, is_asset, manifest_key},
    stale::{Breaker, unreachable},
};
use crate::hosting::Hosting;

/// Maximum size of the files in memory.
const FILE_BYTES: u64 = 32 * 1024 * 1024;
/// Largest file that is kept in memory. Larger ones are streamed from the store for each request.
const LARGEST_KEPT: u64 = 1024 * 1024;
/// Maximum size of the manifests in memory.
const MANIFEST_BYTES: u64 = 16 * 1024 * 1024;
/// How long the list of deployments whose assets are still served is cached.
const KEPT_FOR: Duration = Duration::from_millis(900);
/// The file at a path that ends with a slash.
pub(super) const FRONT: &str = "index.html";
/// Hexadecimal digits of the hash in an entity tag.
const TAG_DIGITS: usize = 24;

/// Content security policy of published sites: nothing but the site's own style sheet, images and forms.
pub(super) const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self' https: data:; font-src 'self'; \
    form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// A file of a deployment in one of its encodings, ready to be sent.
pub(super) struct SiteFile {
    content: Content,
    tag: HeaderValue,
    encoding: Encoding,
    /// Whether the encoding depends on the request.
    varies: bool,
    content_type: HeaderValue,
}

/// Where the bytes of a file are.
enum Content {
    Memory(Bytes),
    Store { key: String, size: u64 },
}

/// Cache key of a file: its content, its type and encoding. Two sites with the same content share it.
type FileKey = (Arc<str>, Arc<str>, Encoding);

/// Why a file cannot be read now.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum ReadError {
    /// The file store failed.
    #[error("a file of a site could not be read")]
    File(#[source] Arc<FileError>),
    /// The database failed.
    #[error("the deployments of a site could not be read")]
    Store(#[source] Arc<StoreError>),
    /// A file that a manifest names is missing.
    #[error("{0} is not there")]
    Missing(String),
    /// The manifest is malformed.
    #[error("{0} cannot be read")]
    Damaged(String),
}

/// Key of the deployments of a site whose assets are still served: the site and its live deployment.
type KeptKey = (SiteId, DeploymentId);

/// Cache of files. Neither manifests nor contents ever change, so no entry is stale.
pub(super) struct Files {
    manifests: LoadingCache<DeploymentId, Arc<Manifest>, ReadError>,
    files: LoadingCache<FileKey, Arc<SiteFile>, ReadError>,
    kept: LoadingCache<KeptKey, Arc<[DeploymentId]>, StoreError>,
    /// The last known answers, for when the database is unavailable; `None` where nothing stale is to be served.
    last_known: Option<BoundedCache<KeptKey, Arc<[DeploymentId]>>>,
    database: Arc<Breaker>,
}

impl Files {
    /// Serves the last known state for at most `serve_stale` while the database is unavailable.
    pub(super) fn new(database: Arc<Breaker>, serve_stale: Duration) -> Self {
        let weight_of_manifest = |_: &DeploymentId, manifest: &Arc<Manifest>| {
            manifest.files.keys().map(|path| path.len() + 256).sum::<usize>() + 128
        };
        Self {
            manifests: LoadingCache::weighted(MANIFEST_BYTES, weight_of_manifest, None),
            files: LoadingCache::weighted(
                FILE_BYTES,
                |_: &FileKey, file: &Arc<SiteFile>| file.kept() + 320,
                None,
            ),
            kept: LoadingCache::new(10_000, Some(KEPT_FOR)),
            last_known: (!serve_stale.is_zero()).then(|| BoundedCache::new(10_000, Some(serve_stale))),
            database,
        }
    }

    /// The manifest of a deployment.
    pub(super) async fn manifest(
        &self,
        hosting: &Hosting,
        site: &LiveSite,
    ) -> Result<Arc<Manifest>, ReadError> {
        let load = async {
            let key = manifest_key(site.tenant, site.site, site.deployment);
            let bytes = hosting.files.get(&key).await.map_err(|error| ReadError::File(Arc::new(error)))?;
            let bytes = bytes.ok_or_else(|| ReadError::Missing(key.clone()))?;
            serde_json::from_slice(&bytes).map(Arc::new).map_err(|_| ReadError::Damaged(key))
        };
        let loaded = self.manifests.get_or_load(&site.deployment, load).await;
        loaded.map_err(|error: Arc<ReadError>| (*error).clone())
    }

    /// The content of a file of the deployment, for internal use; `None` when there is no such file.
    pub(super) async fn content(
        &self,
        hosting: &Hosting,
        site: &LiveSite,
        path: &str,
    ) -> Result<Option<Bytes>, ReadError> {
        let manifest = self.manifest(hosting, site).await?;
        let Some(entry) = manifest.files.get(path) else { return Ok(None) };
        match &self.file(hosting, site, entry, None).await?.content {
            Content::Memory(bytes) => Ok(Some(bytes.clone())),
            Content::Store { key, .. } => read(hosting, key).await.map(Some),
        }
    }

    /// A content in the encoding that the client prefers.
    async fn file(
        &self,
        hosting: &Hosting,
        site: &LiveSite,
        entry: &Entry,
        accepted: Option<&str>,
    ) -> Result<Arc<SiteFile>, ReadError> {
        let encoding = negotiate(accepted, &entry.encodings);
        let key = (entry.hash.clone(), entry.content_type.clone(), encoding);
        let load = async {
            let name = blob_key(site.tenant, site.site, &entry.hash, encoding);
            let digits = entry.hash.get(..TAG_DIGITS).unwrap_or(&entry.hash);
            Ok(Arc::new(SiteFile {
                content: match encoding {
                    Encoding::Identity if entry.size > LARGEST_KEPT => {
                        Content::Store { key: name.clone(), size: entry.size }
                    }
                    _ => Content::Memory(read(hosting, &name).await?),
                },
                tag: HeaderValue::from_str(&format!("\"{digits}{}\"", encoding.tag()))
                    .map_err(|_| ReadError::Damaged(name.clone()))?,
                encoding,
                varies: !entry.encodings.is_empty(),
                content_type: HeaderValue::from_str(&entry.content_type)
                    .map_err(|_| ReadError::Damaged(name))?,
            }))
        };
        // The store key of a large file differs between sites with the same content.
        if encoding == Encoding::Identity && entry.size > LARGEST_KEPT {
            return load.await;
        }
        let loaded = self.files.get_or_load(&key, load).await;
        loaded.map_err(|error: Arc<ReadError>| (*error).clone())
    }

    /// A visitor who got a page just before the site switched to another deployment, or back, requests its assets just
    /// after: assets of all kept deployments are served. Their names change with their content.
    async fn asset_of_another_deployment(
        &self,
        hosting: &Hosting,
        site: &LiveSite,
        path: &str,
    ) -> Result<Option<Entry>, ReadError> {
        for deployment in self
            .kept_deployments(hosting, site)
            .await?
            .iter()
            .filter(|deployment| **deployment != site.deployment)
        {
            match self.manifest(hosting, &LiveSite { deployment: *deployment, ..*site }).await {
                Ok(manifest) => {
                    if let Some(entry) = manifest.files.get(path) {
                        return Ok(Some(entry.clone()));
                    }
                }
                // Its files are just being deleted.
                Err(ReadError::Missing(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    async fn kept_deployments(
        &self,
        hosting: &Hosting,
        site: &LiveSite,
    ) -> Result<Arc<[DeploymentId]>, ReadError> {
        let key = (site.site, site.deployment);
        if let Some(kept) = self.kept.get(&key) {
            return Ok(kept);
        }
        let load = async {
            let look_up = async { hosting.core.reader().deployments().live(site.tenant, site.site).await };
            let live = self.database.ask(look_up).await?;
            let kept: Arc<[DeploymentId]> = live.into_iter().map(|deployment| deployment.id).collect();
            if let Some(last_known) = &self.last_known {
                last_known.put(key, kept.clone());
            }
            Ok(kept)
        };
        let kept = match self.database.admits() {
            true => self.kept.get_or_load(&key, load).await,
            false => Err(Arc::new(unreachable())),
        };
        match (kept, &self.last_known) {
            (Err(error), Some(last_known)) => last_known.get(&key).ok_or(ReadError::Store(error)),
            (kept, _) => kept.map_err(ReadError::Store),
        }
    }
}

/// All of a file.
async fn read(hosting: &Hosting, key: &str) -> Result<Bytes, ReadError> {
    let bytes = hosting.files.get(key).await.map_err(|error| ReadError::File(Arc::new(error)))?;
    bytes.map(Bytes::from).ok_or_else(|| ReadError::Missing(key.to_owned()))
}

impl SiteFile {
    /// A file for tests.
    #[cfg(test)]
    pub(super) fn of(bytes: &'static [u8]) -> Self {
        Self {
            content: Content::Memory(Bytes::from_static(bytes)),
            tag: HeaderValue::from_static("\"elm\""),
            encoding: Encoding::Identity,
            varies: true,
            content_type: HeaderValue::from_static("text/html"),
        }
    }

    /// Size of the part that is in memory.
    fn kept(&self) -> usize {
        self.in_memory().map_or(0, Bytes::len)
    }

    /// Its bytes, unless it is so large that it is read for each request.
    pub(super) fn in_memory(&self) -> Option<&Bytes> {
        match &self.content {
            Content::Memory(bytes) => Some(bytes),
            Content::Store { .. } => None,
        }
    }

    /// Whether the client has it already.
    pub(super) fn is_known(&self, headers: &HeaderMap) -> bool {
        self.tag.to_str().is_ok_and(|tag| is_known(headers, tag))
    }

    /// Adds the headers of a response with this file at a path.
    pub(super) fn describe(&self, headers: &mut HeaderMap, status: StatusCode, path: &str) {
        // Asset names carry a hash of their content.
        let cache = match status != StatusCode::NOT_FOUND && is_asset(path) {
            true => "public, max-age=31536000, immutable",
            false => "public, max-age=0, must-revalidate",
        };
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
        headers.insert(header::ETAG, self.tag.clone());
        headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
        if self.varies {
            headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
        }
        if status != StatusCode::NOT_MODIFIED {
            // Set for `identity` too, which keeps the server from compressing the response again. A middleware removes `identity`.
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(self.encoding.as_str()));
            headers.insert(header::CONTENT_TYPE, self.content_type.clone());
        }
    }
}

/// The result of looking up a path of a site.
pub(super) enum FoundFile {
    File { file: Arc<SiteFile>, path: String },
    Moved(String),
    Missing(Option<Arc<SiteFile>>),
}

/// `/` is `index.html`, `/about/` is `about/index.html`, and `/about` redirects there.
pub(super) async fn find(
    hosting: &Hosting,
    site: &LiveSite,
    request: &HttpRequest,
) -> Result<FoundFile, ReadError> {
    let accepted = accepted(request);
    let files = &hosting.live.files;
    let manifest = files.manifest(hosting, site).await?;
    let path = request.path().trim_start_matches('/');
    let name =
        if path.is_empty() || path.ends_with('/') { format!("{path}{FRONT}") } else { path.to_owned() };
    if let Some(entry) = manifest.files.get(&name) {
        let file = files.file(hosting, site, entry, accepted).await?;
        return Ok(FoundFile::File { file, path: name });
    }
    if !path.is_empty() && !path.ends_with('/') && manifest.files.contains_key(&format!("{path}/index.html"))
    {
        return Ok(FoundFile::Moved(format!("/{path}/")));
    }
    if is_asset(&name)
        && let Some(entry) = files.asset_of_another_deployment(hosting, site, &name).await?
    {
        return Ok(FoundFile::File { file: files.file(hosting, site, &entry, accepted).await?, path: name });
    }
    missing(hosting, site, request).await
}

/// The site's page for missing files.
pub(super) async fn missing(
    hosting: &Hosting,
    site: &LiveSite,
    request: &HttpRequest,
) -> Result<FoundFile, ReadError> {
    let files = &hosting.live.files;
    let manifest = files.manifest(hosting, site).await?;
    Ok(FoundFile::Missing(match manifest.files.get("404.html") {
        Some(entry) => Some(files.file(hosting, site, entry, accepted(request)).await?),
        None => None,
    }))
}

/// The encodings that the client accepts.
fn accepted(request: &HttpRequest) -> Option<&str> {
    request.headers().get(header::ACCEPT_ENCODING).and_then(|value| value.to_str().ok())
}

/// The response with a file.
pub(super) async fn respond(
    hosting: &Hosting,
    request: &HttpRequest,
    status: StatusCode,
    file: &SiteFile,
    path: &str,
) -> Result<HttpResponse, ReadError> {
    let status = match status == StatusCode::OK && file.is_known(request.headers()) {
        true => StatusCode::NOT_MODIFIED,
        false => status,
    };
    let mut response = HttpResponse::new(status);
    file.describe(response.headers_mut(), status, path);
    if status == StatusCode::NOT_MODIFIED {
        return Ok(response);
    }
    Ok(match &file.content {
        Content::Memory(bytes) => response.set_body(InPieces::new(bytes.clone())).map_into_boxed_body(),
        Content::Store { size, .. } if *request.method() == Method::HEAD => {
            let nothing = stream::empty::<Result<Bytes, ReadError>>();
            response.set_body(SizedStream::new(*size, nothing)).map_into_boxed_body()
        }
        Content::Store { key, size } => {
            let body = pieces::of_file(hosting.files.clone(), key.clone(), 0..*size).await;
            let body = body.map_err(|error| ReadError::File(Arc::new(error)))?;
            let body = body.ok_or_else(|| ReadError::Missing(key.clone()))?;
            response.set_body(body).map_into_boxed_body()
        }
    })
}
