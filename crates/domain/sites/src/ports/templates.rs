//! Website templates: the port.

use async_trait::async_trait;
use portico_kernel::{List, PageId, PageRequest, StoreError, TemplateId, TenantId, Timestamp, name::Slug};

use crate::{
    section::SectionOrigin,
    template::{LibraryTemplate, Template, TemplateSummary},
};

/// By what a list of templates is sorted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TemplateSortKey {
    /// Display name.
    #[default]
    Name,
    /// How often it was used.
    Popularity,
    /// Time of creation.
    CreatedAt,
}

/// Order of a list of templates. The default is by name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TemplateSort {
    /// The key.
    pub key: TemplateSortKey,
    /// Largest first.
    pub descending: bool,
}

/// Which templates to list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TemplateFilter {
    /// Part of the name, slug or description, ignoring case.
    pub q: Option<String>,
    /// Category.
    pub category: Option<String>,
    /// Industry.
    pub industry: Option<String>,
    /// Language of the texts.
    pub language: Option<String>,
    /// Whether they are shown first.
    pub featured: Option<bool>,
    /// Whether only some plans may use them.
    pub premium: Option<bool>,
    /// Order.
    pub sort: TemplateSort,
}

/// A stored template that came with the program once, or has the slug of one that may.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateRecord {
    /// Its id.
    pub id: TemplateId,
    /// Its slug.
    pub slug: Slug,
    /// The fingerprint of the version of the library that is stored; `None` for what staff made.
    pub fingerprint: Option<String>,
    /// Whether staff changed or deleted it since: then the library leaves it alone.
    pub is_staffs: bool,
    /// Whether it was deleted.
    pub is_deleted: bool,
}

/// Website templates, and what was made from them. A template that was deleted is not found by any method, except where that is
/// said.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait TemplateRepository: Send {
    /// Stores a template that staff made. MUST answer `Conflict` when another template has the slug, also under
    /// concurrency.
    async fn insert(&mut self, template: &Template) -> Result<(), StoreError>;

    /// The template.
    async fn find(&mut self, id: TemplateId) -> Result<Option<Template>, StoreError>;

    /// The template of this slug.
    async fn by_slug<'s>(&mut self, slug: &'s str) -> Result<Option<Template>, StoreError>;

    /// Whether there is such a template.
    async fn exists(&mut self, id: TemplateId) -> Result<bool, StoreError>;

    /// The templates, without the content of their sections.
    async fn list(
        &mut self,
        filter: TemplateFilter,
        page: PageRequest,
    ) -> Result<List<TemplateSummary>, StoreError>;

    /// The categories that templates have, and how many of each there are, in alphabetical order.
    async fn categories(&mut self) -> Result<Vec<(String, u64)>, StoreError>;

    /// The industries that templates are for, and how many of each there are, in alphabetical order.
    async fn industries(&mut self) -> Result<Vec<(String, u64)>, StoreError>;

    /// Stores the template with `version + 1`, as the staff's: the library does not change it any more. MUST answer
    /// `Stale` when the stored version is not `template.version`, and `Conflict` like [`TemplateRepository::insert`].
    /// MUST leave the popularity as it is.
    async fn update(&mut self, template: &Template) -> Result<(), StoreError>;

    /// Deletes the template, given that its version is still this one; answers whether it was. MUST keep the row of one
    /// that was used, because pages refer to it, and of one of the library, so that it does not come back.
    async fn delete(&mut self, id: TemplateId, version: i64, at: Timestamp) -> Result<bool, StoreError>;

    /// Counts one more use. MUST be exact under concurrency. Answers whether there is such a template.
    async fn count_use(&mut self, id: TemplateId) -> Result<bool, StoreError>;

    /// Every template, deleted ones included, as far as the library needs to know. One query.
    async fn records(&mut self) -> Result<Vec<TemplateRecord>, StoreError>;

    /// Stores templates of the library, new ones and new versions, in one round trip. MUST leave alone what staff
    /// changed or deleted, and the popularity.
    async fn put_library(&mut self, templates: &[LibraryTemplate]) -> Result<(), StoreError>;

    /// Stores what sections were made from. MUST answer `MissingReference` when the tenant has no such page.
    async fn track(&mut self, origins: &[SectionOrigin]) -> Result<(), StoreError>;

    /// What the sections of a page were made from, by the position they had, those that are gone included.
    async fn origins(&mut self, tenant: TenantId, page: PageId) -> Result<Vec<SectionOrigin>, StoreError>;

    /// Deletes what is stored about the origin of the sections of a page.
    async fn untrack(&mut self, tenant: TenantId, page: PageId) -> Result<(), StoreError>;
}
