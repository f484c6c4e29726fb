//! SEO metadata of pages: the port.

use async_trait::async_trait;
use portico_kernel::{PageId, SiteId, StoreError, TenantId};

use crate::seo::Seo;

/// SEO metadata of pages.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait SeoRepository: Send {
    /// What is set for the page.
    async fn find(&mut self, tenant: TenantId, page: PageId) -> Result<Option<Seo>, StoreError>;

    /// What is set for these pages, in one round trip.
    async fn of_pages(&mut self, tenant: TenantId, pages: &[PageId]) -> Result<Vec<Seo>, StoreError>;

    /// What is set for all published pages of the site, in one round trip.
    async fn published(&mut self, tenant: TenantId, site: SiteId) -> Result<Vec<Seo>, StoreError>;

    /// What is set for all pages of the site that are not archived, in one round trip.
    async fn unarchived(&mut self, tenant: TenantId, site: SiteId) -> Result<Vec<Seo>, StoreError>;

    /// Stores it for pages for which nothing was set, all in one round trip. MUST answer `Conflict` when something is set
    /// for one of them, also under concurrency, and `MissingReference` when the tenant has no such page.
    async fn insert(&mut self, seo: &[Seo]) -> Result<(), StoreError>;

    /// Stores it with `version + 1`. MUST answer `Stale` when the stored version is not `seo.version`.
    async fn update(&mut self, seo: &Seo) -> Result<(), StoreError>;

    /// Deletes what is set for the page. Answers whether something was.
    async fn delete(&mut self, tenant: TenantId, page: PageId) -> Result<bool, StoreError>;
}
