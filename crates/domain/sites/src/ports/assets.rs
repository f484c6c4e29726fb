//! Files that tenants uploaded: the port.

use async_trait::async_trait;
use portico_kernel::{AssetId, List, PageId, PageRequest, StoreError, TenantId, Timestamp};

use crate::asset::{Asset, AssetFilter};

/// Files that tenants uploaded: what is known of them. Their bytes are in the file store.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait AssetRepository: Send {
    /// Stores new files, all of them in one round trip. None of them is held.
    async fn insert(&mut self, assets: &[Asset]) -> Result<(), StoreError>;

    /// The file. MUST NOT find one that is deleted.
    async fn find(&mut self, tenant: TenantId, id: AssetId) -> Result<Option<Asset>, StoreError>;

    /// The file, for the holder of a link to it. MUST NOT find one that is deleted, nor any of a tenant that is not active.
    async fn linked(&mut self, tenant: TenantId, id: AssetId) -> Result<Option<Asset>, StoreError>;

    /// Those of these files that are there, in any order, in one round trip. MUST NOT find one that is deleted.
    async fn find_many(&mut self, tenant: TenantId, ids: &[AssetId]) -> Result<Vec<Asset>, StoreError>;

    /// A file that is deleted and can still be restored.
    async fn deleted(&mut self, tenant: TenantId, id: AssetId) -> Result<Option<Asset>, StoreError>;

    /// The tenant's files, newest first, without those that are deleted.
    async fn list(
        &mut self,
        tenant: TenantId,
        filter: AssetFilter,
        page: PageRequest,
    ) -> Result<List<Asset>, StoreError>;

    /// Stores name, description and `purge_at` with `version + 1`, and nothing else. MUST answer `Stale` when the stored version is not
    /// `asset.version`.
    async fn update(&mut self, asset: &Asset) -> Result<(), StoreError>;

    /// Notes whether files are held. MUST change no version, and leave files of other tenants as they are.
    async fn hold(&mut self, tenant: TenantId, ids: &[AssetId], held: bool) -> Result<(), StoreError>;

    /// Deletes the row of the file if it is deleted and its time was up at `now`. Answers whether there is none now, also because
    /// there never was one.
    async fn purge(&mut self, tenant: TenantId, id: AssetId, now: Timestamp) -> Result<bool, StoreError>;

    /// The pages that show the file: in a section, or as their picture for social networks. The first hundred, oldest first.
    async fn used_by(&mut self, tenant: TenantId, id: AssetId) -> Result<Vec<PageId>, StoreError>;
}
