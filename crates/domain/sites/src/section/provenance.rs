//! Where the texts of sections come from. No section is published whose texts nobody wrote or confirmed
//! ([ADR 64](../../../../../docs/decisions/0064-nothing-is-published-that-nobody-wrote-or-confirmed.md)).

use portico_kernel::{PageId, SectionId};
use serde::{Deserialize, Serialize};

use super::{SectionType, StockPicture};

/// Where the content of a section comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Provenance {
    /// A person wrote or confirmed it, or it says nothing but what they answered.
    #[default]
    Own,
    /// The example of a template, which states facts about a business that does not exist.
    Sample,
    /// A language model wrote it, and nobody has confirmed it yet.
    Generated,
}

impl Provenance {
    /// Every provenance.
    pub const ALL: [Self; 3] = [Self::Own, Self::Sample, Self::Generated];

    /// Name in JSON and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Own => "own",
            Self::Sample => "sample",
            Self::Generated => "generated",
        }
    }

    /// The provenance of this name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|provenance| provenance.as_str() == text)
    }

    /// Whether it may be published without being confirmed.
    pub fn is_own(&self) -> bool {
        *self == Self::Own
    }
}

/// A section with content that nobody wrote or confirmed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SamplePlace {
    /// The page.
    pub page_id: PageId,
    /// Title of the page.
    pub page_title: String,
    /// The section.
    pub section_id: SectionId,
    /// What sort of block it is.
    #[serde(rename = "type")]
    pub kind: SectionType,
    /// Its place on the page, from 0.
    pub position: i32,
    /// Where its content comes from; never `own`.
    pub provenance: Provenance,
}

/// What is left to be looked at before sections are published.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContentReview {
    /// The sections with content that nobody wrote or confirmed. They keep a site from being deployed.
    pub sample_content: Vec<SamplePlace>,
    /// The fields that show pictures of our library. They keep nothing from being deployed: a drawing claims nothing.
    pub stock_pictures: Vec<StockPicture>,
}
