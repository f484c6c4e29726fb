//! SEO metadata: what search engines and social networks read about a page.

mod robots;
mod structured_data;
mod use_cases;

pub use use_cases::{OpenGraphUpdate, SeoUpdate, Seos};

use portico_kernel::{AssetId, PageId, TenantId, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// SEO metadata of a page: what search engines and social networks read about it. What is absent is made from the page itself.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Seo {
    /// The tenant.
    #[serde(skip)]
    pub tenant: TenantId,
    /// The page.
    #[serde(skip)]
    pub page_id: PageId,
    /// Title in results, instead of the page's.
    pub title: Option<String>,
    /// A sentence or two below it.
    pub description: Option<String>,
    /// What it is about. Few search engines read this.
    pub keywords: Vec<String>,
    /// Canonical address, where the same page answers at several.
    pub canonical_url: Option<String>,
    /// Directives for robots, for instance `noindex, nofollow`.
    pub robots: Option<String>,
    /// What social networks show.
    pub open_graph: OpenGraph,
    /// Data of the page's own in the vocabulary of schema.org, as JSON-LD.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>))]
    pub structured_data: Option<Value>,
    /// Last change.
    pub updated_at: Timestamp,
    /// Counts changes, for optimistic locking and `ETag`.
    #[serde(skip)]
    pub version: i64,
}

/// What social networks show for a link to a page (the Open Graph protocol).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct OpenGraph {
    /// Title, instead of the one for search engines.
    pub title: Option<String>,
    /// Description, instead of the one for search engines.
    pub description: Option<String>,
    /// Picture.
    pub image_asset_id: Option<AssetId>,
}

impl Seo {
    /// The metadata of a page for which nothing was set.
    pub const fn nothing(tenant: TenantId, page_id: PageId, updated_at: Timestamp) -> Self {
        Self {
            tenant,
            page_id,
            title: None,
            description: None,
            keywords: Vec::new(),
            canonical_url: None,
            robots: None,
            open_graph: OpenGraph { title: None, description: None, image_asset_id: None },
            structured_data: None,
            updated_at,
            version: 0,
        }
    }

    /// Whether search engines are asked to leave the page out.
    pub fn is_noindex(&self) -> bool {
        let directives = self.robots.as_deref().unwrap_or_default();
        directives.split(',').any(|directive| matches!(directive.trim(), "noindex" | "none"))
    }
}
