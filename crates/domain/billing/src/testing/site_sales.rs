//! Sales of sites in memory.

use async_trait::async_trait;
use portico_kernel::{List, PageRequest, PurchaseId, StoreError, TenantId, Timestamp};

use super::Shop;
use crate::{
    ports::SiteSaleRepository,
    refund::RefundStatus,
    site_sale::{FoundSale, SiteSale, SiteSaleFilter},
};

#[async_trait]
impl SiteSaleRepository for Shop {
    async fn insert(&mut self, sale: &SiteSale) -> Result<(), StoreError> {
        let mut rows = self.rows();
        let is_held = |other: &SiteSale| {
            (other.tenant_id, other.site_id) == (sale.tenant_id, sale.site_id) && other.status.holds_site()
        };
        if rows.sales.iter().any(is_held) {
            return Err(StoreError::Conflict("site_sales_active_key".to_owned()));
        }
        rows.sales.push(sale.clone());
        Ok(())
    }

    async fn find(&mut self, tenant: TenantId, id: PurchaseId) -> Result<Option<SiteSale>, StoreError> {
        let rows = self.rows();
        Ok(rows.sales.iter().find(|sale| (sale.tenant_id, sale.id) == (tenant, id)).cloned())
    }

    async fn lock(&mut self, tenant: TenantId, id: PurchaseId) -> Result<Option<SiteSale>, StoreError> {
        SiteSaleRepository::find(self, tenant, id).await
    }

    async fn update(&mut self, sale: &SiteSale) -> Result<(), StoreError> {
        let mut rows = self.rows();
        let stored = rows.sales.iter_mut().find(|stored| stored.id == sale.id).unwrap();
        *stored = sale.clone();
        Ok(())
    }

    async fn tenant_of(&mut self, id: PurchaseId) -> Result<Option<TenantId>, StoreError> {
        Ok(self.rows().sales.iter().find(|sale| sale.id == id).map(|sale| sale.tenant_id))
    }

    async fn list(&mut self, tenant: TenantId, page: PageRequest) -> Result<List<SiteSale>, StoreError> {
        let rows = self.rows();
        let items: Vec<SiteSale> =
            rows.sales.iter().rev().filter(|sale| sale.tenant_id == tenant).cloned().collect();
        let total = items.len() as u64;
        Ok(List::new(items, page, total))
    }

    /// By id, seller and status.
    async fn managed(
        &mut self,
        filter: &SiteSaleFilter,
        page: PageRequest,
    ) -> Result<List<FoundSale>, StoreError> {
        let rows = self.rows();
        let is_meant = |sale: &&SiteSale| {
            filter.id.is_none_or(|id| id == sale.id)
                && filter.seller.is_none_or(|seller| seller == sale.tenant_id)
                && filter.status.is_none_or(|status| status == sale.status)
        };
        let found = |sale: &SiteSale| FoundSale {
            sale: sale.clone(),
            account_email: None,
            is_refunding: rows.site_refunds.iter().any(|refund| {
                refund.purchase_id == sale.id
                    && matches!(refund.status, RefundStatus::Requested | RefundStatus::Pending)
            }),
        };
        let items: Vec<FoundSale> = rows.sales.iter().rev().filter(is_meant).map(found).collect();
        let total = items.len() as u64;
        Ok(List::new(items, page, total))
    }

    async fn sold_at<'s>(&mut self, slug: &'s str) -> Result<bool, StoreError> {
        Ok(self.rows().sales.iter().any(|sale| sale.slug == slug && sale.status.is_paid()))
    }

    async fn due(&mut self, now: Timestamp, _: u64) -> Result<Vec<SiteSale>, StoreError> {
        let rows = self.rows();
        let due = rows.sales.iter().filter(|sale| sale.checkout.check_at.is_some_and(|at| at <= now));
        Ok(due.cloned().collect())
    }
}
