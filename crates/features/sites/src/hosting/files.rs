//! Files of deployments: the ones that were asked for lately, and how they are answered.

use std::{sync::Arc, time::Duration};

use actix_web::{
    HttpRequest, HttpResponse,
    body::SizedStream,
    http::{
        Method, StatusCode,
        header::{self, HeaderValue},
    },
    web::Bytes,
};
use futures_util::stream;
use moka::future::Cache;
use portico_kernel::{DeploymentId, SiteId, StoreError, files::FileError};
use portico_sites::ports::LiveSite;
use portico_web::{
    conditional::not_modified,
    pieces::{self, InPieces},
};

use super::{
    encoding::{Encoding, negotiate},
    manifest::{Entry, Manifest, blob_key, is_asset, manifest_key},
    stale::{Breaker, unreachable},
};
use crate::hosting::Hosting;

/// Bytes of files kept in memory at most.
const FILE_BYTES: u64 = 32 * 1024 * 1024;
/// Largest file that is kept in memory. Larger ones are read anew for each visitor, while they are sent.
const LARGEST_KEPT: u64 = 1024 * 1024;
/// Bytes of manifests kept in memory at most.
const MANIFEST_BYTES: u64 = 16 * 1024 * 1024;
/// For how long the deployments whose assets still answer are believed.
const KEPT_FOR: Duration = Duration::from_millis(900);
/// Hexadecimal digits of the hash that are in an entity tag.
const TAG_DIGITS: usize = 24;

/// Content security policy of published sites: nothing but the site's own style sheet, images and forms.
pub(super) const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self' https: data:; font-src 'self'; \
    form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// A file of a deployment in one of its forms, ready to be sent.
pub(super) struct SiteFile {
    content: Content,
    tag: String,
    encoding: Encoding,
    /// Whether a client with other wishes would get another form.
    varies: bool,
    content_type: HeaderValue,
}

/// Where the bytes of a file are.
enum Content {
    Memory(Bytes),
    Store { key: String, size: u64 },
}

/// Names a file for the cache: its content and form. Two sites with the same content share it.
#[derive(Clone, PartialEq, Eq, Hash)]
struct FileKey {
    hash: String,
    content_type: String,
    encoding: Encoding,
}

/// Why a file cannot be read now.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum ReadError {
    /// The file store failed.
    #[error("a file of a site could not be read")]
    File(#[source] Arc<FileError>),
    /// The database failed.
    #[error("the deployments of a site could not be read")]
    Store(#[source] Arc<StoreError>),
    /// It should be there.
    #[error("{0} is not there")]
    Missing(String),
    /// It was not written by us.
    #[error("{0} cannot be read")]
    Damaged(String),
}

/// Deployments of a site, by the one that is live, whose assets still answer.
type KeptDeployments = Cache<(SiteId, DeploymentId), Arc<[DeploymentId]>>;

/// The files that were asked for lately. Neither manifests nor contents ever change, so nothing in here is stale.
pub(super) struct Files {
    manifests: Cache<DeploymentId, Arc<Manifest>>,
    files: Cache<FileKey, Arc<SiteFile>>,
    kept: KeptDeployments,
    /// The same, for when the database cannot be asked; `None` where nothing stale is to be served.
    last_said: Option<KeptDeployments>,
    database: Arc<Breaker>,
}

impl Files {
    /// Goes by what the database said last for at most `serve_stale` while it cannot be asked.
    pub(super) fn new(database: Arc<Breaker>, serve_stale: Duration) -> Self {
        let weight = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX);
        Self {
            manifests: Cache::builder()
                .max_capacity(MANIFEST_BYTES)
                .weigher(move |_: &DeploymentId, manifest: &Arc<Manifest>| {
                    weight(manifest.files.keys().map(|path| path.len() + 256).sum::<usize>() + 128)
                })
                .build(),
            files: Cache::builder()
                .max_capacity(FILE_BYTES)
                .weigher(move |_: &FileKey, file: &Arc<SiteFile>| weight(file.kept() + 320))
                .build(),
            kept: Cache::builder().max_capacity(10_000).time_to_live(KEPT_FOR).build(),
            last_said: (!serve_stale.is_zero())
                .then(|| Cache::builder().max_capacity(10_000).time_to_live(serve_stale).build()),
            database,
        }
    }

    /// What a deployment consists of.
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
        let loaded = self.manifests.try_get_with(site.deployment, load).await;
        loaded.map_err(|error: Arc<ReadError>| (*error).clone())
    }

    /// The content of a file of the deployment, for our own use; `None` when there is no such file.
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

    /// A content in the form that the client prefers.
    async fn file(
        &self,
        hosting: &Hosting,
        site: &LiveSite,
        entry: &Entry,
        accepted: Option<&str>,
    ) -> Result<Arc<SiteFile>, ReadError> {
        let encoding = negotiate(accepted, &entry.encodings);
        let (hash, content_type) = (entry.hash.clone(), entry.content_type.clone());
        let key = FileKey { hash, content_type, encoding };
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
                tag: format!("\"{digits}{}\"", encoding.tag()),
                encoding,
                varies: !entry.encodings.is_empty(),
                content_type: HeaderValue::from_str(&entry.content_type)
                    .map_err(|_| ReadError::Damaged(name))?,
            }))
        };
        // Where a large file is differs from site to site, unlike what is in it.
        let loaded = match encoding {
            Encoding::Identity if entry.size > LARGEST_KEPT => return load.await,
            _ => self.files.try_get_with(key, load).await,
        };
        loaded.map_err(|error: Arc<ReadError>| (*error).clone())
    }

    /// Whoever got a page just before the site switched to another deployment, or back, asks for what belongs to it just
    /// after: assets of all deployments that are kept answer. What they are called changes with their content.
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
                // Its files are being deleted right now.
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
        if let Some(kept) = self.kept.get(&key).await {
            return Ok(kept);
        }
        let load = async {
            let look_up = async { hosting.core.reader().deployments().live(site.tenant, site.site).await };
            let live = self.database.ask(look_up).await?;
            let kept: Arc<[DeploymentId]> = live.into_iter().map(|deployment| deployment.id).collect();
            if let Some(last_said) = &self.last_said {
                last_said.insert(key, kept.clone()).await;
            }
            Ok(kept)
        };
        let kept = match self.database.admits() {
            true => self.kept.try_get_with(key, load).await,
            false => Err(Arc::new(unreachable())),
        };
        match (kept, &self.last_said) {
            (Err(error), Some(last_said)) => last_said.get(&key).await.ok_or(ReadError::Store(error)),
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
    /// Bytes of it that are in memory.
    fn kept(&self) -> usize {
        match &self.content {
            Content::Memory(bytes) => bytes.len(),
            Content::Store { .. } => 0,
        }
    }
}

/// What is at a path of a site.
pub(super) enum Found {
    File { file: Arc<SiteFile>, path: String },
    Moved(String),
    Missing(Option<Arc<SiteFile>>),
}

/// `/` is `index.html`, `/about/` is `about/index.html`, and `/about` leads there.
pub(super) async fn find(
    hosting: &Hosting,
    site: &LiveSite,
    request: &HttpRequest,
) -> Result<Found, ReadError> {
    let accepted = accepted(request);
    let files = &hosting.live.files;
    let manifest = files.manifest(hosting, site).await?;
    let path = request.path().trim_start_matches('/');
    let name =
        if path.is_empty() || path.ends_with('/') { format!("{path}index.html") } else { path.to_owned() };
    if let Some(entry) = manifest.files.get(&name) {
        return Ok(Found::File { file: files.file(hosting, site, entry, accepted).await?, path: name });
    }
    if !path.is_empty() && !path.ends_with('/') && manifest.files.contains_key(&format!("{path}/index.html"))
    {
        return Ok(Found::Moved(format!("/{path}/")));
    }
    if is_asset(&name)
        && let Some(entry) = files.asset_of_another_deployment(hosting, site, &name).await?
    {
        return Ok(Found::File { file: files.file(hosting, site, &entry, accepted).await?, path: name });
    }
    missing(hosting, site, request).await
}

/// What is shown where there is nothing.
pub(super) async fn missing(
    hosting: &Hosting,
    site: &LiveSite,
    request: &HttpRequest,
) -> Result<Found, ReadError> {
    let files = &hosting.live.files;
    let manifest = files.manifest(hosting, site).await?;
    Ok(Found::Missing(match manifest.files.get("404.html") {
        Some(entry) => Some(files.file(hosting, site, entry, accepted(request)).await?),
        None => None,
    }))
}

/// The encodings that the client takes.
fn accepted(request: &HttpRequest) -> Option<&str> {
    request.headers().get(header::ACCEPT_ENCODING).and_then(|value| value.to_str().ok())
}

/// The answer with a file.
pub(super) async fn respond(
    hosting: &Hosting,
    request: &HttpRequest,
    status: StatusCode,
    file: &SiteFile,
    path: &str,
) -> Result<HttpResponse, ReadError> {
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
    if file.varies {
        response.insert_header((header::VARY, HeaderValue::from_static("accept-encoding")));
    }
    if status == StatusCode::OK && not_modified(request, &file.tag) {
        return Ok(response.status(StatusCode::NOT_MODIFIED).finish());
    }
    // Also where it is `identity`: that keeps the server from compressing it once more. The middleware takes that word off.
    response
        .insert_header((header::CONTENT_ENCODING, HeaderValue::from_static(file.encoding.as_str())))
        .insert_header((header::CONTENT_TYPE, file.content_type.clone()));
    Ok(match &file.content {
        Content::Memory(bytes) => response.body(InPieces(bytes.clone())),
        Content::Store { size, .. } if *request.method() == Method::HEAD => {
            response.body(SizedStream::new(*size, stream::empty::<Result<Bytes, ReadError>>()))
        }
        Content::Store { key, size } => {
            let body = pieces::of_file(hosting.files.clone(), key.clone(), 0..*size).await;
            let body = body.map_err(|error| ReadError::File(Arc::new(error)))?;
            response.body(body.ok_or_else(|| ReadError::Missing(key.clone()))?)
        }
    })
}
