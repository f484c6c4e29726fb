//! Website templates: what a site or a page can be made from.

mod apply;
mod build;
mod catalogue;
mod customisation;
mod input;
mod library;
mod preview;
mod reset;

pub use apply::{Applied, TemplateApplication};
pub use build::{ApplyTarget, Built, PagePlan, SectionPlan, build_pages, plan};
pub use catalogue::{CategoryCount, IndustryCount, TemplatePageSummary, TemplateSummary, Templates};
pub use customisation::{Customisation, PageTemplate, RemovedSection, SectionState};
pub use input::{NewTemplate, NewTemplatePage, NewTemplateSection, TemplateUpdate, look_input};
pub use library::{Library, LibraryTemplate, is_seeded, library_id};
pub use preview::preview;
pub use reset::PageReset;

use portico_kernel::{TemplateId, Timestamp, name::Slug};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{look::Look, section::SectionType};

/// A website template.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Template {
    /// UUIDv7; that of a template of the library is made from its slug.
    pub id: TemplateId,
    /// Display name.
    pub name: String,
    /// Part of its address; unique.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub slug: Slug,
    /// What sort of site, for instance `business`.
    pub category: String,
    /// Its industry, an id of the list of industries.
    pub industry: String,
    /// What it is good for.
    pub description: String,
    /// Language of its texts, BCP 47.
    pub language: String,
    /// Whether only plans with premium templates may use it.
    pub is_premium: bool,
    /// Whether it is shown first.
    pub is_featured: bool,
    /// How often it was applied.
    pub popularity: i64,
    /// Its style, colours and fonts.
    pub look: Look,
    /// Its pages; the first one is the home page unless another one is marked.
    pub pages: Vec<TemplatePage>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Last change.
    pub updated_at: Timestamp,
    /// Counts changes, for optimistic locking and `ETag`.
    #[serde(skip)]
    pub version: i64,
}

/// A page of a template.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TemplatePage {
    /// Names it in the template, for instance `about`.
    pub key: String,
    /// Title.
    pub title: String,
    /// Last part of its address.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub slug: Slug,
    /// Whether it answers at `/`.
    #[serde(default)]
    pub is_home: bool,
    /// Title for search engines.
    pub seo_title: Option<String>,
    /// Description for search engines.
    pub seo_description: Option<String>,
    /// Its sections in order.
    pub sections: Vec<TemplateSection>,
}

/// A section of a page of a template.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TemplateSection {
    /// Names it on the page, for instance `hero`.
    pub key: String,
    /// What sort of block it is.
    #[serde(rename = "type")]
    pub kind: SectionType,
    /// Content of the shape that the type has.
    #[cfg_attr(feature = "openapi", schema(value_type = crate::section::content::SectionContent))]
    pub content: Value,
}

#[cfg(test)]
mod tests;
