//! Licenses that are given to other tenants.

use async_trait::async_trait;
use portico_kernel::{LicenseId, StoreError, TenantId, Timestamp};
use portico_licensing::{ports::LicenseTransferRepository, transfer::TransferOffer};

use crate::db::Db;

/// Offers and what came of them over one connection.
pub(crate) struct LicenseTransfers<'c> {
    pub db: Db<'c>,
}

/// A row of an open offer.
type Row = ([u8; 32], String, Timestamp, Timestamp);

#[async_trait]
impl LicenseTransferRepository for LicenseTransfers<'_> {
    async fn offer(&mut self, offer: &TransferOffer) -> Result<(), StoreError> {
        let sql = "insert into license_transfers (tenant_id, license_id, digest, email, expires_at, created_at) \
             values ($1, $2, $3, $4, $5, $6) on conflict (tenant_id, license_id) do update \
             set digest = $3, email = $4, expires_at = $5, created_at = $6";
        let values = (
            offer.tenant_id,
            offer.license_id,
            offer.digest,
            &offer.email,
            offer.expires_at,
            offer.created_at,
        );
        self.db.execute(sql, values).await.map(drop)
    }

    async fn find(
        &mut self,
        tenant: TenantId,
        license: LicenseId,
    ) -> Result<Option<TransferOffer>, StoreError> {
        let sql = "select digest, email, expires_at, created_at from license_transfers \
             where tenant_id = $1 and license_id = $2 and digest is not null";
        let row: Option<Row> = self.db.row(sql, (tenant, license)).await?;
        Ok(row.map(|(digest, email, expires_at, created_at)| TransferOffer {
            tenant_id: tenant,
            license_id: license,
            digest,
            email,
            expires_at,
            created_at,
        }))
    }

    async fn withdraw(&mut self, tenant: TenantId, license: LicenseId) -> Result<bool, StoreError> {
        let sql =
            "delete from license_transfers where tenant_id = $1 and license_id = $2 and digest is not null";
        Ok(self.db.execute(sql, (tenant, license)).await? > 0)
    }

    async fn accept(
        &mut self,
        tenant: TenantId,
        license: LicenseId,
        heir: (TenantId, LicenseId),
    ) -> Result<bool, StoreError> {
        let sql = "update license_transfers set digest = null, email = null, heir_tenant_id = $3, heir_license_id = $4 \
             where tenant_id = $1 and license_id = $2 and digest is not null";
        Ok(self.db.execute(sql, (tenant, license, heir.0, heir.1)).await? > 0)
    }

    async fn heir(
        &mut self,
        tenant: TenantId,
        license: LicenseId,
    ) -> Result<Option<(TenantId, LicenseId)>, StoreError> {
        let sql = "select heir_tenant_id, heir_license_id from license_transfers \
             where tenant_id = $1 and license_id = $2 and heir_license_id is not null";
        self.db.row(sql, (tenant, license)).await
    }

    async fn delete_expired(&mut self, now: Timestamp) -> Result<u64, StoreError> {
        let sql = format!(
            "with ended as (select tenant_id, license_id from license_transfers where expires_at <= $1 and digest is not null {}) \
             delete from license_transfers where (tenant_id, license_id) in (select tenant_id, license_id from ended)",
            self.db.dialect().for_update_skip_locked
        );
        self.db.execute(&sql, [now]).await
    }
}
