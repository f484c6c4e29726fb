//! Licenses that are given away, in memory.

use async_trait::async_trait;
use portico_kernel::{LicenseId, StoreError, TenantId, Timestamp};

use super::Repositories;
use crate::{ports::LicenseTransferRepository, transfer::TransferOffer};

#[async_trait]
impl LicenseTransferRepository for Repositories {
    async fn offer(&mut self, offer: &TransferOffer) -> Result<(), StoreError> {
        let mut rows = self.rows();
        rows.offers.retain(|stored| stored.license_id != offer.license_id);
        rows.offers.push(offer.clone());
        Ok(())
    }

    async fn find(
        &mut self,
        tenant: TenantId,
        license: LicenseId,
    ) -> Result<Option<TransferOffer>, StoreError> {
        let rows = self.rows();
        let found = rows.offers.iter().find(|offer| (offer.tenant_id, offer.license_id) == (tenant, license));
        Ok(found.cloned())
    }

    async fn withdraw(&mut self, tenant: TenantId, license: LicenseId) -> Result<bool, StoreError> {
        let mut rows = self.rows();
        let before = rows.offers.len();
        rows.offers.retain(|offer| (offer.tenant_id, offer.license_id) != (tenant, license));
        Ok(rows.offers.len() < before)
    }

    async fn accept(
        &mut self,
        tenant: TenantId,
        license: LicenseId,
        heir: (TenantId, LicenseId),
    ) -> Result<bool, StoreError> {
        let is_open = self.withdraw(tenant, license).await?;
        if is_open {
            self.rows().heirs.push(((tenant, license), heir));
        }
        Ok(is_open)
    }

    async fn heir(
        &mut self,
        tenant: TenantId,
        license: LicenseId,
    ) -> Result<Option<(TenantId, LicenseId)>, StoreError> {
        let rows = self.rows();
        Ok(rows.heirs.iter().find(|(given, _)| *given == (tenant, license)).map(|(_, heir)| *heir))
    }

    async fn delete_expired(&mut self, now: Timestamp) -> Result<u64, StoreError> {
        let mut rows = self.rows();
        let before = rows.offers.len();
        rows.offers.retain(|offer| offer.expires_at > now);
        Ok((before - rows.offers.len()) as u64)
    }
}
