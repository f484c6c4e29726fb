//! Sales of sites in memory.

use async_trait::async_trait;
use portico_kernel::{PurchaseId, StoreError, TenantId, Timestamp};

use super::Shop;
use crate::{ports::SiteSaleRepository, site_sale::SiteSale};

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

    async fn sold_at<'s>(&mut self, slug: &'s str) -> Result<bool, StoreError> {
        Ok(self.rows().sales.iter().any(|sale| sale.slug == slug && sale.status.is_paid()))
    }

    async fn due(&mut self, now: Timestamp, _: u64) -> Result<Vec<SiteSale>, StoreError> {
        let rows = self.rows();
        let due = rows.sales.iter().filter(|sale| sale.checkout.check_at.is_some_and(|at| at <= now));
        Ok(due.cloned().collect())
    }
}
