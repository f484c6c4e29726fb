//! Versions of pages: the port.

use async_trait::async_trait;
use portico_kernel::{PageId, PageVersionId, StoreError, TenantId};
use serde_json::Value;

use crate::page_version::{FullPageVersion, PageVersion};

/// A version to be stored.
#[derive(Clone, Debug, PartialEq)]
pub struct NewPageVersion {
    /// The version.
    pub version: PageVersion,
    /// Digest of its content.
    pub digest: String,
    /// A [`crate::page_version::PageContent`] in its JSON form.
    pub content: Value,
}

/// What has to be known of the versions of a page to add one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LatestPageVersion {
    /// The page.
    pub page_id: PageId,
    /// Number of the newest one.
    pub number: i64,
    /// Digest of its content.
    pub digest: String,
    /// Bytes that it takes.
    pub size: i64,
    /// How many there are.
    pub count: i64,
    /// How many bytes they take.
    pub bytes: i64,
}

/// Versions of pages.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait PageVersionRepository: Send {
    /// Stores a version. MUST answer `Conflict` when the page has one of this number, also under concurrency, and
    /// `MissingReference` when the tenant has no such page.
    async fn insert(&mut self, version: NewPageVersion) -> Result<(), StoreError>;

    /// The newest version of each of these pages, and how much there is of the page, in one round trip. Pages without a version are
    /// left out.
    async fn latest(
        &mut self,
        tenant: TenantId,
        pages: &[PageId],
    ) -> Result<Vec<LatestPageVersion>, StoreError>;

    /// Versions of a page, newest first, at most `limit`; with `before` only those with a lower number. MUST answer the names of
    /// their authors where they are known.
    async fn list(
        &mut self,
        tenant: TenantId,
        page: PageId,
        before: Option<i64>,
        limit: u64,
    ) -> Result<Vec<PageVersion>, StoreError>;

    /// The version with its content.
    async fn find(
        &mut self,
        tenant: TenantId,
        page: PageId,
        id: PageVersionId,
    ) -> Result<Option<FullPageVersion>, StoreError>;

    /// Deletes versions of the page.
    async fn delete(
        &mut self,
        tenant: TenantId,
        page: PageId,
        ids: &[PageVersionId],
    ) -> Result<(), StoreError>;
}
