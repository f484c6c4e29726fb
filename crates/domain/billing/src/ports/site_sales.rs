//! The port of sales of sites.

use async_trait::async_trait;
use portico_kernel::{List, PageRequest, PurchaseId, StoreError, TenantId, Timestamp};

use crate::site_sale::{FoundSale, SiteSale, SiteSaleFilter};

/// Sales of sites.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait SiteSaleRepository: Send {
    /// Stores a new sale. MUST answer `Conflict` while another sale of the site is pending, paid or waiting, also under concurrency.
    async fn insert(&mut self, sale: &SiteSale) -> Result<(), StoreError>;

    /// A sale. MUST answer `None` for one of another tenant.
    async fn find(&mut self, tenant: TenantId, id: PurchaseId) -> Result<Option<SiteSale>, StoreError>;

    /// The same, and keeps others from changing it until the unit of work ends. MUST wait for another unit of work that has locked it, and
    /// answer what that has stored.
    async fn lock(&mut self, tenant: TenantId, id: PurchaseId) -> Result<Option<SiteSale>, StoreError>;

    /// Stores status, address, name and account of the buyer, time of payment, and of the checkout all that
    /// [`CheckoutRepository::update`](crate::ports::CheckoutRepository::update) stores. MUST leave all else as it is.
    async fn update(&mut self, sale: &SiteSale) -> Result<(), StoreError>;

    /// The tenant whose sale has this id.
    async fn tenant_of(&mut self, id: PurchaseId) -> Result<Option<TenantId>, StoreError>;

    /// One page of the sales of a tenant that sells, newest first.
    async fn list(&mut self, tenant: TenantId, page: PageRequest) -> Result<List<SiteSale>, StoreError>;

    /// One page of the sales of all tenants that a filter lets through, newest first: for staff.
    async fn managed(
        &mut self,
        filter: &SiteSaleFilter,
        page: PageRequest,
    ) -> Result<List<FoundSale>, StoreError>;

    /// Whether a site at this slug was paid and not given back, by anybody, in any tenant.
    async fn sold_at<'s>(&mut self, slug: &'s str) -> Result<bool, StoreError>;

    /// Sales of all tenants about whose payments the provider is to be asked by `now`, those first that have waited longest; at most
    /// `limit`.
    async fn due(&mut self, now: Timestamp, limit: u64) -> Result<Vec<SiteSale>, StoreError>;
}
