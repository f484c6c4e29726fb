//! Manifests of deployments: which content is at which path. Contents are stored by their hash, so content that did not
//! change between two deployments is stored once.

use std::{collections::BTreeMap, sync::Arc};

use portico_kernel::{DeploymentId, SiteId, TenantId};
use portico_sites::site::Site;
use serde::{Deserialize, Serialize};

use super::encoding::Encoding;

/// The files of a deployment by path. Never changes once the deployment is live.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// By path without a leading slash, for instance `about/index.html`.
    pub files: BTreeMap<String, Entry>,
}

/// The content at a path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// SHA-256 of the content, in lower-case hexadecimal digits.
    #[serde(with = "shared_text")]
    pub hash: Arc<str>,
    /// Size before any compression.
    pub size: u64,
    /// Media type.
    #[serde(with = "shared_text")]
    pub content_type: Arc<str>,
    /// Compressed encodings in which it is stored besides.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub encodings: Vec<Encoding>,
}

/// A text that is cloned with each request.
mod shared_text {
    use std::sync::Arc;

    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(text: &Arc<str>, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(text)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Arc<str>, D::Error> {
        String::deserialize(deserializer).map(Arc::from)
    }
}

/// Key prefix of everything that belongs to a site.
pub fn site_prefix(tenant: TenantId, site: SiteId) -> String {
    Site::folder(tenant, site)
}

/// Key prefix of the contents of a site's files.
pub fn blobs(tenant: TenantId, site: SiteId) -> String {
    format!("{}/blobs", site_prefix(tenant, site))
}

/// Key of a content in one of its encodings.
pub fn blob_key(tenant: TenantId, site: SiteId, hash: &str, encoding: Encoding) -> String {
    format!("{}/{}", blobs(tenant, site), blob_name(hash, encoding))
}

/// Name of a content in one of its encodings.
pub fn blob_name(hash: &str, encoding: Encoding) -> String {
    format!("{hash}{}", encoding.extension())
}

/// Key prefix of the manifests of a site's deployments.
pub fn manifests(tenant: TenantId, site: SiteId) -> String {
    format!("{}/manifests", site_prefix(tenant, site))
}

/// Key of the manifest of a deployment.
pub fn manifest_key(tenant: TenantId, site: SiteId, deployment: DeploymentId) -> String {
    format!("{}/{deployment}.json", manifests(tenant, site))
}

/// The media type of a file, by its extension.
pub fn content_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map(|(_, extension)| extension) {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("xml") => "application/xml; charset=utf-8",
        Some("txt") => "text/plain; charset=utf-8",
        Some("json" | "webmanifest") => "application/json",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("jpg" | "jpeg") => "image/jpeg",
        Some("webp") => "image/webp",
        Some("gif") => "image/gif",
        Some("avif") => "image/avif",
        Some("ico") => "image/x-icon",
        Some("woff2") => "font/woff2",
        Some("pdf") => "application/pdf",
        _ => "application/octet-stream",
    }
}

/// Whether compressing a file of this type is worthwhile. The formats of all others are compressed already.
pub fn is_compressible(content_type: &str) -> bool {
    content_type.starts_with("text/")
        || matches!(content_type, "application/xml; charset=utf-8" | "application/json" | "image/svg+xml")
}

/// Whether a path is that of an asset, and not that of a page with the slug `assets`. Names of assets contain a hash of
/// their content.
pub fn is_asset(path: &str) -> bool {
    path.starts_with("assets/") && !path.ends_with(".html")
}
