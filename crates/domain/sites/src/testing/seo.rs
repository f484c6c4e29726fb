//! SEO metadata, in memory.

use async_trait::async_trait;
use portico_kernel::{PageId, SiteId, StoreError, TenantId};

use super::{View, conflict, missing, replace};
use crate::{page::PageStatus, ports::SeoRepository, seo::Seo};

#[async_trait]
impl SeoRepository for View<'_> {
    async fn find(&mut self, tenant: TenantId, page: PageId) -> Result<Option<Seo>, StoreError> {
        Ok(self.0.seo.iter().find(|seo| seo.tenant == tenant && seo.page_id == page).cloned())
    }
    async fn of_pages(&mut self, tenant: TenantId, pages: &[PageId]) -> Result<Vec<Seo>, StoreError> {
        let mine = |seo: &&Seo| seo.tenant == tenant && pages.contains(&seo.page_id);
        Ok(self.0.seo.iter().filter(mine).cloned().collect())
    }
    async fn published(&mut self, tenant: TenantId, site: SiteId) -> Result<Vec<Seo>, StoreError> {
        let is_published = |seo: &&Seo| {
            self.0.pages.iter().any(|page| {
                page.id == seo.page_id
                    && page.tenant == tenant
                    && page.site_id == site
                    && page.status == PageStatus::Published
            })
        };
        Ok(self.0.seo.iter().filter(is_published).cloned().collect())
    }
    async fn unarchived(&mut self, tenant: TenantId, site: SiteId) -> Result<Vec<Seo>, StoreError> {
        let mine = |seo: &&Seo| {
            self.0.pages.iter().any(|page| {
                page.id == seo.page_id
                    && page.tenant == tenant
                    && page.site_id == site
                    && page.status != PageStatus::Archived
            })
        };
        Ok(self.0.seo.iter().filter(mine).cloned().collect())
    }
    async fn insert(&mut self, all: &[Seo]) -> Result<(), StoreError> {
        for seo in all {
            if !self.0.pages.iter().any(|page| page.id == seo.page_id && page.tenant == seo.tenant) {
                return missing("page_seo");
            }
            if self.0.seo.iter().any(|other| other.page_id == seo.page_id) {
                return conflict("page_seo");
            }
            self.0.seo.push(seo.clone());
        }
        Ok(())
    }
    async fn update(&mut self, seo: &Seo) -> Result<(), StoreError> {
        let (tenant, page) = (seo.tenant, seo.page_id);
        replace(
            &mut self.0.seo,
            |other| other.tenant == tenant && other.page_id == page,
            |seo| &mut seo.version,
            seo,
        )
    }
    async fn delete(&mut self, tenant: TenantId, page: PageId) -> Result<bool, StoreError> {
        let before = self.0.seo.len();
        self.0.seo.retain(|seo| !(seo.tenant == tenant && seo.page_id == page));
        Ok(self.0.seo.len() < before)
    }
}
