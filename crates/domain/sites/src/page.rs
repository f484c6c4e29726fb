//! A page of a site.

use portico_kernel::{PageId, SiteId, TemplateId, TenantId, Timestamp};
use serde::{Deserialize, Serialize};

/// Whether a page is part of the next deployment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum PageStatus {
    /// Being worked on.
    #[default]
    Draft,
    /// Part of the next deployment.
    Published,
    /// Put away.
    Archived,
}

impl PageStatus {
    /// The word for it in JSON and in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Published => "published",
            Self::Archived => "archived",
        }
    }

    /// The status of this name.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Draft, Self::Published, Self::Archived].into_iter().find(|status| status.as_str() == text)
    }
}

/// A page of a site.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Page {
    /// UUIDv7.
    pub id: PageId,
    /// Whose.
    #[serde(skip)]
    pub tenant: TenantId,
    /// Of which site.
    pub site_id: SiteId,
    /// Heading in the browser tab and in navigation.
    pub title: String,
    /// Last part of the address; unique in the site.
    pub slug: String,
    /// Whether it is part of the next deployment.
    pub status: PageStatus,
    /// Whether it answers at `/`. At most one page of a site.
    pub is_home: bool,
    /// The template it was made from.
    pub template_id: Option<TemplateId>,
    /// When its status last became published.
    pub published_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Last change.
    pub updated_at: Timestamp,
    /// Counts changes, for optimistic locking and `ETag`.
    #[serde(skip)]
    pub version: i64,
}
