//! Colours, fonts and logo of a tenant; every site of the tenant wears them.

use portico_kernel::{AssetId, TenantId, Timestamp};
use serde::{Deserialize, Serialize};

/// Colours as `#rrggbb`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Colors {
    /// Buttons and links.
    pub primary: String,
    /// Bands and quiet surfaces.
    pub secondary: String,
    /// Highlights.
    pub accent: String,
    /// Page background.
    pub background: String,
    /// Body text.
    pub text: String,
}

/// Names of font stacks that need no download.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Fonts {
    /// Headings.
    pub heading: String,
    /// Everything else.
    pub body: String,
}

/// Colours, fonts and logo of a tenant.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Branding {
    /// Whose.
    #[serde(skip)]
    pub tenant: TenantId,
    /// Colours.
    pub colors: Colors,
    /// Fonts.
    pub fonts: Fonts,
    /// Logo.
    pub logo_asset_id: Option<AssetId>,
    /// Icon in the browser tab.
    pub favicon_asset_id: Option<AssetId>,
    /// Last change.
    pub updated_at: Timestamp,
    /// Counts changes, for optimistic locking and `ETag`.
    #[serde(skip)]
    pub version: i64,
}
