//! Versions of pages, in memory.

use async_trait::async_trait;
use portico_kernel::{PageId, PageVersionId, StoreError, TenantId};

use super::{View, conflict, missing};
use crate::{
    page_version::{FullPageVersion, PageVersion},
    ports::{LatestPageVersion, NewPageVersion, PageVersionRepository},
};

/// The stored rows.
#[derive(Default)]
pub(crate) struct State {
    /// In the order in which they were stored.
    pub all: Vec<NewPageVersion>,
}

#[async_trait]
impl PageVersionRepository for View<'_> {
    async fn insert(&mut self, new: NewPageVersion) -> Result<(), StoreError> {
        let version = &new.version;
        if !self.0.pages.iter().any(|page| page.tenant == version.tenant && page.id == version.page_id) {
            return missing("page_versions");
        }
        let same = |other: &NewPageVersion| {
            other.version.page_id == version.page_id && other.version.number == version.number
        };
        if self.0.versions.all.iter().any(same) {
            return conflict("page_versions");
        }
        self.0.versions.all.push(new);
        Ok(())
    }
    async fn latest(
        &mut self,
        tenant: TenantId,
        pages: &[PageId],
    ) -> Result<Vec<LatestPageVersion>, StoreError> {
        let of_page = |&page: &PageId| {
            let mine = |new: &&NewPageVersion| new.version.tenant == tenant && new.version.page_id == page;
            let all: Vec<_> = self.0.versions.all.iter().filter(mine).collect();
            all.iter().max_by_key(|new| new.version.number).map(|newest| LatestPageVersion {
                page_id: page,
                number: newest.version.number,
                digest: newest.digest.clone(),
                size: newest.version.size,
                count: all.len() as i64,
                bytes: all.iter().map(|new| new.version.size).sum(),
            })
        };
        Ok(pages.iter().filter_map(of_page).collect())
    }
    async fn list(
        &mut self,
        tenant: TenantId,
        page: PageId,
        before: Option<i64>,
        limit: u64,
    ) -> Result<Vec<PageVersion>, StoreError> {
        let all = self.0.versions.all.iter().map(|new| &new.version);
        let mine = all.filter(|version| version.tenant == tenant && version.page_id == page);
        let mut found: Vec<_> =
            mine.filter(|version| before.is_none_or(|before| version.number < before)).cloned().collect();
        found.sort_by_key(|version| std::cmp::Reverse(version.number));
        found.truncate(limit as usize);
        Ok(found)
    }
    async fn find(
        &mut self,
        tenant: TenantId,
        page: PageId,
        id: PageVersionId,
    ) -> Result<Option<FullPageVersion>, StoreError> {
        let found = self
            .0
            .versions
            .all
            .iter()
            .find(|new| (new.version.tenant, new.version.page_id, new.version.id) == (tenant, page, id));
        Ok(found.map(|new| FullPageVersion {
            version: new.version.clone(),
            content: serde_json::from_value(new.content.clone()).unwrap(),
        }))
    }
    async fn delete(
        &mut self,
        tenant: TenantId,
        page: PageId,
        ids: &[PageVersionId],
    ) -> Result<(), StoreError> {
        self.0.versions.all.retain(|new| {
            let version = &new.version;
            !(version.tenant == tenant && version.page_id == page && ids.contains(&version.id))
        });
        Ok(())
    }
}
