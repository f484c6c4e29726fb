//! Versions of pages. Every transaction that changes a page, its sections or its SEO metadata leaves one, so that each change can
//! be seen, compared and undone.
//!
//! The newest version of a page always is the page as it is now. It is written at the end of the transaction that made the
//! change, from what the store then holds ([`record`]), so no use case can forget it and none can get it wrong.

mod compare;
mod record;
mod use_cases;

pub use compare::{ChangeOfSection, Comparison, FieldChange, SectionChange};
pub use record::{PageChange, changes, record};
pub use use_cases::PageVersions;

use portico_kernel::{PageId, PageVersionId, SectionId, StoreError, TenantId, Timestamp, event::ActorKind};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    page::{Page, PageStatus},
    ports::SiteRepositories,
    section::{Provenance, Section, SectionType},
    seo::{OpenGraph, Seo},
};

/// The most versions that are kept of a page.
pub const MAX_VERSIONS: usize = 100;

/// The most bytes that the versions of a page take, besides its newest one.
pub const MAX_BYTES: i64 = 16 << 20;

/// The most bytes that a page takes: sections, SEO metadata and itself, in JSON. A long article takes 60,000.
pub const MAX_PAGE_BYTES: i64 = 512 << 10;

/// Who made a change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct VersionAuthor {
    /// Person, key, or Portico itself.
    pub kind: ActorKind,
    /// Id of the person or key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Name of the person or key, where still known. The store looks it up when it reads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// A state that a page had, without its content.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PageVersion {
    /// UUIDv7: that of the first event of the change.
    pub id: PageVersionId,
    /// The tenant.
    #[serde(skip)]
    pub tenant: TenantId,
    /// The page.
    pub page_id: PageId,
    /// 1, 2, 3 …; numbers of versions that are not kept any more are missing.
    pub number: i64,
    /// Who made the change.
    pub author: VersionAuthor,
    /// What was done, in a few words.
    #[cfg_attr(feature = "openapi", schema(example = "2 sections changed"))]
    pub summary: String,
    /// Number of the version that was restored, if it was.
    pub restored_from: Option<i64>,
    /// When.
    pub created_at: Timestamp,
    /// Bytes that its content takes.
    #[serde(skip)]
    pub size: i64,
}

/// A state that a page had, with its content.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FullPageVersion {
    /// The version.
    #[serde(flatten)]
    pub version: PageVersion,
    /// Its content.
    #[serde(flatten)]
    pub content: PageContent,
}

/// What a version keeps of a page.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PageContent {
    /// The page itself.
    pub page: KeptPage,
    /// Its sections by position.
    pub sections: Vec<KeptSection>,
    /// SEO metadata, if any was set.
    pub seo: Option<KeptSeo>,
}

/// A page in a version. Status, home mark and time of publication are shown, and not restored: they are decisions about the
/// site.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct KeptPage {
    /// Heading in the browser tab and in navigation.
    pub title: String,
    /// Last part of the address.
    pub slug: String,
    /// Language, where it is not that of the site.
    pub language: Option<String>,
    /// The page that it is a translation of.
    pub translation_of: Option<PageId>,
    /// Whether it was part of the next deployment.
    pub status: PageStatus,
    /// Whether it answered at `/`.
    pub is_home: bool,
    /// When it was to be published by itself.
    pub publish_at: Option<Timestamp>,
}

/// A section in a version.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct KeptSection {
    /// Id of the section.
    pub id: SectionId,
    /// What sort of block it was.
    #[serde(rename = "type")]
    pub kind: SectionType,
    /// Content of the shape that the type has.
    #[cfg_attr(feature = "openapi", schema(value_type = crate::section::content::SectionContent))]
    pub content: Value,
    /// Whether it was rendered.
    pub visible: bool,
    /// Where its content comes from.
    #[serde(default, skip_serializing_if = "Provenance::is_own")]
    pub provenance: Provenance,
}

/// SEO metadata in a version.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct KeptSeo {
    /// Title in results, instead of the page's.
    pub title: Option<String>,
    /// A sentence or two below it.
    pub description: Option<String>,
    /// What it is about.
    pub keywords: Vec<String>,
    /// Canonical address, where the same page answers at several.
    pub canonical_url: Option<String>,
    /// Directives for robots.
    pub robots: Option<String>,
    /// What social networks show.
    pub open_graph: OpenGraph,
    /// Data of the page's own in the vocabulary of schema.org.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>))]
    pub structured_data: Option<Value>,
}

impl PageContent {
    /// A page with its sections, by position, and what is set for search engines.
    fn new(page: KeptPage, sections: Vec<Section>, seo: Option<Seo>) -> Self {
        let keep = |Section { id, kind, content, visible, provenance, .. }| KeptSection {
            id,
            kind,
            content,
            visible,
            provenance,
        };
        Self { page, sections: sections.into_iter().map(keep).collect(), seo: seo.map(KeptSeo::from) }
    }

    /// The page with its content now, in the open unit of work.
    async fn read(
        repositories: &mut dyn SiteRepositories,
        tenant: TenantId,
        id: PageId,
        page: KeptPage,
    ) -> Result<Self, StoreError> {
        let sections = repositories.sections().list(tenant, id).await?;
        let seo = repositories.seo().find(tenant, id).await?;
        Ok(Self::new(page, sections, seo))
    }
}

impl From<&Page> for KeptPage {
    fn from(page: &Page) -> Self {
        Self {
            title: page.title.clone(),
            slug: page.slug.to_string(),
            language: page.language.clone(),
            translation_of: page.translation_of,
            status: page.status,
            is_home: page.is_home,
            publish_at: page.publish_at,
        }
    }
}

impl From<Seo> for KeptSeo {
    fn from(seo: Seo) -> Self {
        Self {
            title: seo.title,
            description: seo.description,
            keywords: seo.keywords,
            canonical_url: seo.canonical_url,
            robots: seo.robots,
            open_graph: seo.open_graph,
            structured_data: seo.structured_data,
        }
    }
}

impl KeptSeo {
    /// As it is stored: `version` is that of what is stored for the page now.
    fn into_seo(self, page: &Page, updated_at: Timestamp, version: i64) -> Seo {
        Seo {
            tenant: page.tenant,
            page_id: page.id,
            title: self.title,
            description: self.description,
            keywords: self.keywords,
            canonical_url: self.canonical_url,
            robots: self.robots,
            open_graph: self.open_graph,
            structured_data: self.structured_data,
            updated_at,
            version,
        }
    }
}

#[cfg(test)]
mod tests;
