//! Licenses that are given to other tenants.

use async_trait::async_trait;
use portico_kernel::{LicenseId, StoreError, TenantId, Timestamp};
use portico_licensing::{
    ports::LicenseTransferRepository,
    succession::{LicensePlace, Succession},
    transfer::TransferOffer,
};
use sea_orm::{ConnectionTrait, Value};

use crate::db::{Db, Param, placeholders};

/// Offers and what came of them over one connection.
pub(crate) struct LicenseTransfers<'c, C> {
    pub db: Db<'c, C>,
}

/// A row of an open offer.
type Row = ([u8; 32], String, Timestamp, Timestamp);

#[async_trait]
impl<C: ConnectionTrait + Send> LicenseTransferRepository for LicenseTransfers<'_, C> {
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

    async fn successions(&mut self, licenses: &[LicensePlace]) -> Result<Vec<Succession>, StoreError> {
        if licenses.is_empty() {
            // A list without an item is none to SQL.
            return Ok(Vec::new());
        }
        // Ids of licenses are there once in all tenants, so which tenant is whose need not be said. The tenants are for the index, and so
        // that a database that is spread by tenant asks few servers.
        let tenants = placeholders(1, licenses.len());
        let ids = placeholders(1 + licenses.len(), licenses.len());
        let columns = "tenant_id, license_id, heir_tenant_id, heir_license_id";
        let sql = format!(
            "select {columns} from license_transfers where tenant_id in ({tenants}) and license_id in ({ids}) \
             and heir_license_id is not null \
             union select {columns} from license_transfers where heir_tenant_id in ({tenants}) and heir_license_id in ({ids})"
        );
        let tenants = licenses.iter().map(|place| place.tenant_id.value());
        let ids = licenses.iter().map(|place| place.license_id.value());
        let values: Vec<Value> = tenants.chain(ids).collect();
        let rows: Vec<(TenantId, LicenseId, TenantId, LicenseId)> = self.db.rows(&sql, values).await?;
        let place = |tenant_id, license_id| LicensePlace { license_id, tenant_id };
        let succession = |(tenant, license, heir, follows)| Succession {
            from: place(tenant, license),
            to: place(heir, follows),
        };
        Ok(rows.into_iter().map(succession).collect())
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
