//! Refunds and disputes in memory.

use async_trait::async_trait;
use portico_kernel::{PurchaseId, StoreError, TenantId};

use super::Shop;
use crate::{
    dispute::PurchaseDispute,
    ports::{DisputeRepository, RefundRepository},
    refund::PurchaseRefund,
};

#[async_trait]
impl RefundRepository for Shop {
    async fn store(&mut self, refund: &PurchaseRefund) -> Result<(), StoreError> {
        let mut rows = self.rows();
        match rows.refunds.iter_mut().find(|stored| stored.id == refund.id) {
            Some(stored) => *stored = refund.clone(),
            None => rows.refunds.push(refund.clone()),
        }
        Ok(())
    }

    async fn of_purchase(
        &mut self,
        tenant: TenantId,
        purchase: PurchaseId,
    ) -> Result<Vec<PurchaseRefund>, StoreError> {
        let rows = self.rows();
        let found = rows.refunds.iter();
        let found = found.filter(|refund| (refund.tenant_id, refund.purchase_id) == (tenant, purchase));
        Ok(found.cloned().collect())
    }
}

/// Refunds of sales of sites over the same rows.
pub(super) struct SiteRefunds(pub(super) Shop);

#[async_trait]
impl RefundRepository for SiteRefunds {
    async fn store(&mut self, refund: &PurchaseRefund) -> Result<(), StoreError> {
        let mut rows = self.0.rows();
        match rows.site_refunds.iter_mut().find(|stored| stored.id == refund.id) {
            Some(stored) => *stored = refund.clone(),
            None => rows.site_refunds.push(refund.clone()),
        }
        Ok(())
    }

    async fn of_purchase(
        &mut self,
        tenant: TenantId,
        sale: PurchaseId,
    ) -> Result<Vec<PurchaseRefund>, StoreError> {
        let rows = self.0.rows();
        let found = rows.site_refunds.iter();
        let found = found.filter(|refund| (refund.tenant_id, refund.purchase_id) == (tenant, sale));
        Ok(found.cloned().collect())
    }
}

#[async_trait]
impl DisputeRepository for Shop {
    async fn store(&mut self, dispute: &PurchaseDispute) -> Result<(), StoreError> {
        let mut rows = self.rows();
        match rows.disputes.iter_mut().find(|stored| stored.id == dispute.id) {
            Some(stored) => *stored = dispute.clone(),
            None => rows.disputes.push(dispute.clone()),
        }
        Ok(())
    }

    async fn of_purchase(
        &mut self,
        tenant: TenantId,
        purchase: PurchaseId,
    ) -> Result<Vec<PurchaseDispute>, StoreError> {
        let rows = self.rows();
        let found = rows.disputes.iter();
        let found = found.filter(|dispute| (dispute.tenant_id, dispute.purchase_id) == (tenant, purchase));
        Ok(found.cloned().collect())
    }
}
