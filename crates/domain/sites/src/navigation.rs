//! The navigation of a site: nested items that lead to pages or addresses.

mod tree;
mod use_cases;

pub(crate) use tree::reachable;
pub use use_cases::{NavItemUpdate, NavPosition, Navigation, NavigationOrder, NewNavItem};

use portico_kernel::{NavItemId, PageId, SiteId, TenantId, Timestamp};
use serde::Serialize;

/// The most items of a site's navigation.
pub const MAX_ITEMS: usize = 100;
/// How deep items may be nested: an item, one under it, one under that.
pub const MAX_DEPTH: usize = 3;

/// An entry of a site's navigation. It leads to a page or to an address, or (with neither) only groups its children.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NavItem {
    /// UUIDv7.
    pub id: NavItemId,
    /// The tenant.
    #[serde(skip)]
    pub tenant: TenantId,
    /// The site.
    pub site_id: SiteId,
    /// Its text.
    pub label: String,
    /// The page it leads to.
    pub page_id: Option<PageId>,
    /// The address it leads to.
    pub url: Option<String>,
    /// The item it is under.
    pub parent_id: Option<NavItemId>,
    /// Order among the items under the same parent, from 0.
    pub position: i32,
    /// Whether it opens a new tab.
    pub opens_new_tab: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// Last change.
    pub updated_at: Timestamp,
    /// Counts changes, for optimistic locking and `ETag`.
    #[serde(skip)]
    pub version: i64,
}
