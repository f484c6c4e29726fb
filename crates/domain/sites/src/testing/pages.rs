//! Pages and their sections, in memory.

use async_trait::async_trait;
use portico_kernel::{List, PageId, PageRequest, SectionId, SiteId, StoreError, TenantId, Timestamp};

use super::{View, conflict, missing, page_of, replace};
use crate::{
    page::{self, Page, PageStatus},
    ports::*,
    section::{ContentReview, Provenance, SamplePlace, Section},
};

#[async_trait]
impl PageRepository for View<'_> {
    async fn insert(&mut self, page: &Page) -> Result<(), StoreError> {
        if !self.0.sites.iter().any(|site| site.tenant_id == page.tenant && site.id == page.site_id) {
            return missing("pages_site");
        }
        if self.0.pages.iter().any(|other| other.site_id == page.site_id && other.slug == page.slug) {
            return conflict("pages_slug");
        }
        self.0.pages.push(page.clone());
        Ok(())
    }
    async fn insert_all(&mut self, pages: &[Page]) -> Result<(), StoreError> {
        for page in pages {
            PageRepository::insert(self, page).await?;
        }
        Ok(())
    }
    async fn find(&mut self, tenant: TenantId, id: PageId) -> Result<Option<Page>, StoreError> {
        Ok(self.0.pages.iter().find(|page| page.tenant == tenant && page.id == id).cloned())
    }
    async fn lock(&mut self, tenant: TenantId, id: PageId) -> Result<Option<Page>, StoreError> {
        PageRepository::find(self, tenant, id).await
    }
    async fn lock_all(&mut self, tenant: TenantId, ids: &[PageId]) -> Result<Vec<Page>, StoreError> {
        let mine = |page: &&Page| page.tenant == tenant && ids.contains(&page.id);
        Ok(self.0.pages.iter().filter(mine).cloned().collect())
    }
    async fn by_slug<'s>(
        &mut self,
        tenant: TenantId,
        site: Option<SiteId>,
        slug: &'s str,
    ) -> Result<Option<Page>, StoreError> {
        let site = site.or(SiteRepository::primary(self, tenant).await?);
        let mut mine = self.0.pages.iter().filter(|page| page.tenant == tenant);
        Ok(mine.find(|page| Some(page.site_id) == site && page.slug == slug).cloned())
    }
    async fn list(
        &mut self,
        tenant: TenantId,
        site: SiteId,
        filter: PageFilter,
        page: PageRequest,
    ) -> Result<List<Page>, StoreError> {
        let mine = self.0.pages.iter().filter(|page| page.tenant == tenant && page.site_id == site);
        let found = mine.filter(|page| filter.status.is_none_or(|status| page.status == status));
        Ok(page_of(found.cloned().collect(), page))
    }
    async fn published(&mut self, tenant: TenantId, site: SiteId) -> Result<Vec<Page>, StoreError> {
        let mine = self.0.pages.iter().filter(|page| page.tenant == tenant && page.site_id == site);
        Ok(mine.filter(|page| page.status == PageStatus::Published).cloned().collect())
    }
    async fn unarchived(&mut self, tenant: TenantId, site: SiteId) -> Result<Vec<Page>, StoreError> {
        let mine = self.0.pages.iter().filter(|page| page.tenant == tenant && page.site_id == site);
        Ok(mine.filter(|page| page.status != PageStatus::Archived).cloned().collect())
    }
    async fn slugs_like<'s>(
        &mut self,
        tenant: TenantId,
        site: SiteId,
        base: &'s str,
    ) -> Result<Vec<String>, StoreError> {
        let mine = self.0.pages.iter().filter(|page| page.tenant == tenant && page.site_id == site);
        let like = |slug: &str| slug == base || slug.starts_with(&format!("{base}-"));
        Ok(mine.map(|page| page.slug.to_string()).filter(|slug| like(slug)).collect())
    }
    async fn update(&mut self, page: &Page) -> Result<(), StoreError> {
        let clash =
            |other: &Page| other.id != page.id && other.site_id == page.site_id && other.slug == page.slug;
        if self.0.pages.iter().any(clash) {
            return conflict("pages_slug");
        }
        replace(&mut self.0.pages, |other| other.id == page.id, |page| &mut page.version, page)
    }
    async fn clear_home(&mut self, tenant: TenantId, site: SiteId) -> Result<(), StoreError> {
        for page in self.0.pages.iter_mut().filter(|page| page.tenant == tenant && page.site_id == site) {
            page.is_home = false;
        }
        Ok(())
    }
    async fn delete(&mut self, tenant: TenantId, id: PageId) -> Result<bool, StoreError> {
        let before = self.0.pages.len();
        self.0.pages.retain(|page| (page.tenant, page.id) != (tenant, id));
        self.0.sections.retain(|section| section.page_id != id);
        Ok(self.0.pages.len() < before)
    }
}

#[async_trait]
impl SectionRepository for View<'_> {
    async fn insert(&mut self, sections: &[Section]) -> Result<(), StoreError> {
        for section in sections {
            if !self.0.pages.iter().any(|page| page.id == section.page_id) {
                return missing("sections_page");
            }
            let same_place =
                |other: &Section| other.page_id == section.page_id && other.position == section.position;
            if self.0.sections.iter().any(same_place) {
                return conflict("sections_position");
            }
            self.0.sections.push(section.clone());
        }
        Ok(())
    }
    async fn find(
        &mut self,
        tenant: TenantId,
        page: PageId,
        id: SectionId,
    ) -> Result<Option<Section>, StoreError> {
        let mut mine = self.0.sections.iter().filter(|section| section.tenant == tenant);
        Ok(mine.find(|section| section.page_id == page && section.id == id).cloned())
    }
    async fn list(&mut self, tenant: TenantId, page: PageId) -> Result<Vec<Section>, StoreError> {
        let mine =
            self.0.sections.iter().filter(|section| section.tenant == tenant && section.page_id == page);
        let mut sections: Vec<Section> = mine.cloned().collect();
        sections.sort_by_key(|section| section.position);
        Ok(sections)
    }
    async fn of_pages(&mut self, tenant: TenantId, pages: &[PageId]) -> Result<Vec<Section>, StoreError> {
        let mine = |section: &&Section| section.tenant == tenant && pages.contains(&section.page_id);
        let mut sections: Vec<Section> = self.0.sections.iter().filter(mine).cloned().collect();
        sections.sort_by_key(|section| (section.page_id, section.position));
        Ok(sections)
    }
    async fn published(&mut self, tenant: TenantId, _: SiteId) -> Result<Vec<Section>, StoreError> {
        Ok(self
            .0
            .sections
            .iter()
            .filter(|section| section.tenant == tenant && section.visible)
            .cloned()
            .collect())
    }
    async fn unarchived(&mut self, tenant: TenantId, site: SiteId) -> Result<Vec<Section>, StoreError> {
        SectionRepository::published(self, tenant, site).await
    }
    async fn samples(&mut self, tenant: TenantId, site: SiteId) -> Result<Vec<SamplePlace>, StoreError> {
        let shown = PageRepository::published(self, tenant, site).await?;
        let visible: Vec<Section> = self.0.sections.iter().filter(|s| s.visible).cloned().collect();
        Ok(page::sample_places(&shown, &visible))
    }
    async fn review(&mut self, tenant: TenantId, site: SiteId) -> Result<ContentReview, StoreError> {
        let shown = PageRepository::published(self, tenant, site).await?;
        let visible: Vec<Section> = self.0.sections.iter().filter(|s| s.visible).cloned().collect();
        Ok(page::review(&shown, &visible))
    }
    async fn confirm(&mut self, tenant: TenantId, site: SiteId, at: Timestamp) -> Result<(), StoreError> {
        let places = SectionRepository::samples(self, tenant, site).await?;
        let is_one = |s: &Section| places.iter().any(|place| place.section_id == s.id);
        for section in self.0.sections.iter_mut().filter(|s| is_one(s)) {
            (section.provenance, section.updated_at) = (Provenance::Own, at);
            section.version += 1;
        }
        Ok(())
    }
    async fn update(&mut self, section: &Section) -> Result<(), StoreError> {
        replace(&mut self.0.sections, |other| other.id == section.id, |section| &mut section.version, section)
    }
    async fn delete(&mut self, tenant: TenantId, page: PageId, ids: &[SectionId]) -> Result<(), StoreError> {
        let goes = |s: &Section| s.tenant == tenant && s.page_id == page && ids.contains(&s.id);
        self.0.sections.retain(|section| !goes(section));
        Ok(())
    }
    async fn order(&mut self, tenant: TenantId, page: PageId, ids: &[SectionId]) -> Result<(), StoreError> {
        let mine = self.0.sections.iter_mut().filter(|s| s.tenant == tenant && s.page_id == page);
        for section in mine {
            let position = ids.iter().position(|id| *id == section.id);
            section.position = position.ok_or(StoreError::Stale)? as i32;
        }
        Ok(())
    }
}
