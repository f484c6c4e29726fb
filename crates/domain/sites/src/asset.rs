//! Files that customers upload: pictures and PDF documents.

mod filename;
mod kind;
pub mod link;
mod references;
mod use_cases;

pub use filename::MAX_FILENAME;
pub use kind::{AssetKind, AssetType};
pub(crate) use references::{check_pictures, find_pictures};
pub use use_cases::{AssetFilter, AssetUpdate, Assets, NewAsset, PurgeAssets};

use portico_kernel::{AssetId, TenantId, Timestamp};
use serde::{Deserialize, Serialize};

/// The widths that smaller copies of a picture have, where the picture itself is wider.
pub const VARIANT_WIDTHS: [u32; 4] = [320, 640, 1280, 1920];

/// Media type of the smaller copies.
pub const VARIANT_CONTENT_TYPE: &str = "image/webp";

/// A file that a customer uploaded. Its bytes are in the file store, and never change.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Asset {
    /// UUIDv7.
    pub id: AssetId,
    /// The tenant.
    #[serde(skip)]
    pub tenant: TenantId,
    /// Name without a path, for people.
    pub filename: String,
    /// What it is, by its content.
    #[cfg_attr(feature = "openapi", schema(value_type = String, example = "image/jpeg"))]
    pub content_type: AssetType,
    /// Bytes of the file as it is stored. Counts against the plan; smaller copies do not.
    pub size: u64,
    /// Width in pixels; pictures only.
    pub width: Option<u32>,
    /// Height in pixels; pictures only.
    pub height: Option<u32>,
    /// SHA-256 of the stored file, hexadecimal.
    #[serde(skip)]
    pub hash: String,
    /// Smaller copies of a picture, narrowest first. They are WebP.
    #[serde(skip)]
    pub variants: Vec<Variant>,
    /// What a picture shows, for those who do not see it.
    pub alt_text: Option<String>,
    /// Until when a deleted one can be restored; absent for one that is not deleted.
    #[serde(skip)]
    pub purge_at: Option<Timestamp>,
    /// Whether it came with a ticket, and nobody loads it before a scanner has passed it. Smaller copies are not held: they are made of
    /// pixels. Changed by [`AssetRepository::hold`](crate::ports::AssetRepository::hold) only.
    #[serde(skip)]
    pub held: bool,
    /// When it was uploaded.
    pub created_at: Timestamp,
    /// Last change of its name or description.
    pub updated_at: Timestamp,
    /// Counts changes, for optimistic locking and `ETag`.
    #[serde(skip)]
    pub version: i64,
}

/// A smaller copy of a picture.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Variant {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Bytes.
    pub size: u64,
    /// SHA-256 of the file, hexadecimal.
    pub hash: String,
}

impl Asset {
    /// The folder in the file store that holds all files of an asset, and nothing else.
    pub fn folder(tenant: TenantId, id: AssetId) -> String {
        format!("assets/{tenant}/{id}")
    }

    /// Where the file itself is in the file store.
    pub fn original_key(tenant: TenantId, id: AssetId) -> String {
        format!("{}/original", Self::folder(tenant, id))
    }

    /// Where the smaller copy of this width is in the file store.
    pub fn variant_key(tenant: TenantId, id: AssetId, width: u32) -> String {
        format!("{}/{width}.webp", Self::folder(tenant, id))
    }

    /// Whether it is a picture.
    pub fn is_picture(&self) -> bool {
        self.content_type.kind() == AssetKind::Image
    }
}

#[cfg(test)]
mod tests;
