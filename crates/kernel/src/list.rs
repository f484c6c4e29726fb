//! Lists in pages.

use serde::{Deserialize, Serialize};

/// Asks for one page of a list by number. Built by the HTTP layer, which has checked the bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageRequest {
    /// From 1.
    pub page: u64,
    /// Items on a page, 1 to 100.
    pub limit: u64,
}

impl PageRequest {
    /// Items on a page where the client does not say.
    pub const DEFAULT_LIMIT: u64 = 20;
    /// The most items on a page.
    pub const MAX_LIMIT: u64 = 100;
    /// The highest page number, so that the offset stays small enough for every store.
    pub const MAX_PAGE: u64 = 1_000_000;

    /// How many items come before this page.
    pub const fn offset(self) -> u64 {
        self.page.saturating_sub(1).saturating_mul(self.limit)
    }
}

impl Default for PageRequest {
    fn default() -> Self {
        Self { page: 1, limit: Self::DEFAULT_LIMIT }
    }
}

/// One page of a list by number.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct List<T> {
    /// The items on this page.
    pub items: Vec<T>,
    /// Number of this page, from 1.
    pub page: u64,
    /// Most items on a page.
    pub limit: u64,
    /// Number of items on all pages.
    pub total: u64,
}

impl<T> List<T> {
    /// The page that `request` asks for.
    pub fn new(items: Vec<T>, request: PageRequest, total: u64) -> Self {
        Self { items, page: request.page, limit: request.limit, total }
    }
}

/// Asks for a piece of an append-only list, newest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CursorRequest {
    /// The `nextCursor` of the piece before, absent for the first.
    pub cursor: Option<String>,
    /// Items in a piece, 1 to 100.
    pub limit: u64,
}

impl Default for CursorRequest {
    fn default() -> Self {
        Self { cursor: None, limit: PageRequest::DEFAULT_LIMIT }
    }
}

/// A piece of an append-only list, newest first (keyset pagination).
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CursorPage<T> {
    /// The items.
    pub items: Vec<T>,
    /// Send it back as `cursor` for the next piece; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}
