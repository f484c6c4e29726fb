//! A block of content on a page.

mod bulk;
pub mod content;
mod order;
mod origin;
mod pictures;
mod provenance;
mod use_cases;

pub use bulk::{BulkChange, BulkUpdate};
pub use origin::SectionOrigin;
pub(crate) use origin::copy_origins;
pub use pictures::{STOCK_PREFIX, StockPicture, pictures_in, stock_fields};
pub use provenance::{ContentReview, Provenance, SamplePlace};
pub use use_cases::{NewSection, SectionOrder, SectionUpdate, Sections};

use portico_kernel::{PageId, SectionId, TenantId, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The most sections of a page.
pub const MAX_SECTIONS: usize = 100;

/// What sort of block it is; decides what its content looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum SectionType {
    /// Large opening block.
    Hero,
    /// Rich text.
    Text,
    /// List of strengths or services.
    Features,
    /// Pictures.
    Gallery,
    /// What customers say.
    Testimonials,
    /// Prices.
    Pricing,
    /// Questions and answers.
    Faq,
    /// Contact details.
    Contact,
    /// Call to action.
    Cta,
    /// HTML of the customer's own, sanitised.
    Html,
}

impl SectionType {
    /// Every type.
    pub const ALL: [Self; 10] = [
        Self::Hero,
        Self::Text,
        Self::Features,
        Self::Gallery,
        Self::Testimonials,
        Self::Pricing,
        Self::Faq,
        Self::Contact,
        Self::Cta,
        Self::Html,
    ];

    /// Name in JSON and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hero => "hero",
            Self::Text => "text",
            Self::Features => "features",
            Self::Gallery => "gallery",
            Self::Testimonials => "testimonials",
            Self::Pricing => "pricing",
            Self::Faq => "faq",
            Self::Contact => "contact",
            Self::Cta => "cta",
            Self::Html => "html",
        }
    }

    /// The type of this name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// A block of content on a page.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Section {
    /// UUIDv7.
    pub id: SectionId,
    /// The tenant.
    #[serde(skip)]
    pub tenant: TenantId,
    /// The page.
    pub page_id: PageId,
    /// What sort of block it is.
    #[serde(rename = "type")]
    pub kind: SectionType,
    /// Content of the shape that the type has; checked and sanitised before it gets here.
    #[cfg_attr(feature = "openapi", schema(value_type = content::SectionContent))]
    pub content: Value,
    /// Order on the page, from 0.
    pub position: i32,
    /// Whether it is rendered.
    pub visible: bool,
    /// Where its content comes from. Saving content makes it `own`; so does `confirm`.
    pub provenance: Provenance,
    /// When it was made.
    pub created_at: Timestamp,
    /// Last change.
    pub updated_at: Timestamp,
    /// Counts changes, for optimistic locking and `ETag`.
    #[serde(skip)]
    pub version: i64,
}
