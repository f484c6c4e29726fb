//! Files that tenants uploaded, in memory.

use async_trait::async_trait;
use portico_kernel::{AssetId, List, PageId, PageRequest, StoreError, TenantId, Timestamp};

use super::{View, page_of, replace};
use crate::{
    asset::{Asset, AssetFilter},
    ports::AssetRepository,
};

/// The stored rows.
#[derive(Default)]
pub(crate) struct State {
    pub assets: Vec<Asset>,
}

#[async_trait]
impl AssetRepository for View<'_> {
    async fn insert(&mut self, assets: &[Asset]) -> Result<(), StoreError> {
        self.0.assets.assets.extend_from_slice(assets);
        Ok(())
    }
    async fn find(&mut self, tenant: TenantId, id: AssetId) -> Result<Option<Asset>, StoreError> {
        Ok(AssetRepository::find_many(self, tenant, &[id]).await?.pop())
    }
    async fn linked(&mut self, tenant: TenantId, id: AssetId) -> Result<Option<Asset>, StoreError> {
        AssetRepository::find(self, tenant, id).await
    }
    async fn find_many(&mut self, tenant: TenantId, ids: &[AssetId]) -> Result<Vec<Asset>, StoreError> {
        let mine = self.0.assets.assets.iter();
        let found = mine.filter(|asset| asset.tenant == tenant && ids.contains(&asset.id));
        Ok(found.filter(|asset| asset.purge_at.is_none()).cloned().collect())
    }
    async fn deleted(&mut self, tenant: TenantId, id: AssetId) -> Result<Option<Asset>, StoreError> {
        let mut mine = self.0.assets.assets.iter();
        let found = mine.find(|asset| asset.tenant == tenant && asset.id == id && asset.purge_at.is_some());
        Ok(found.cloned())
    }
    async fn list(
        &mut self,
        tenant: TenantId,
        filter: AssetFilter,
        page: PageRequest,
    ) -> Result<List<Asset>, StoreError> {
        let mine = self.0.assets.assets.iter().rev();
        let found = mine
            .filter(|asset| asset.tenant == tenant && asset.purge_at.is_none())
            .filter(|asset| filter.kind.is_none_or(|kind| asset.content_type.kind() == kind));
        Ok(page_of(found.cloned().collect(), page))
    }
    async fn update(&mut self, asset: &Asset) -> Result<(), StoreError> {
        let (tenant, id) = (asset.tenant, asset.id);
        replace(
            &mut self.0.assets.assets,
            |other| other.tenant == tenant && other.id == id,
            |asset| &mut asset.version,
            asset,
        )
    }
    async fn hold(&mut self, tenant: TenantId, ids: &[AssetId], held: bool) -> Result<(), StoreError> {
        let mine = self.0.assets.assets.iter_mut().filter(|asset| asset.tenant == tenant);
        for asset in mine.filter(|asset| ids.contains(&asset.id)) {
            asset.held = held;
        }
        Ok(())
    }
    async fn purge(&mut self, tenant: TenantId, id: AssetId, now: Timestamp) -> Result<bool, StoreError> {
        let is_it = |asset: &Asset| asset.tenant == tenant && asset.id == id;
        let due = |asset: &Asset| asset.purge_at.is_some_and(|at| at <= now);
        self.0.assets.assets.retain(|asset| !(is_it(asset) && due(asset)));
        Ok(!self.0.assets.assets.iter().any(is_it))
    }
    async fn used_by(&mut self, tenant: TenantId, id: AssetId) -> Result<Vec<PageId>, StoreError> {
        let mine = self.0.sections.iter().filter(|section| section.tenant == tenant);
        let shown = mine.filter(|section| section.content.to_string().contains(&id.to_string()));
        let mut pages: Vec<PageId> = shown.map(|section| section.page_id).collect();
        pages.dedup();
        Ok(pages)
    }
}
