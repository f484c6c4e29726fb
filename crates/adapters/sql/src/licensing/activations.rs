//! Machines on which licenses are used.

use async_trait::async_trait;
use portico_kernel::{ActivationId, LicenseId, List, PageRequest, StoreError, TenantId, Timestamp};
use portico_licensing::{activation::Activation, ports::ActivationRepository};
use sea_orm::ConnectionTrait;

use crate::db::{Db, Param, in_pages};

/// Machines over one connection.
pub(crate) struct Activations<'c, C> {
    pub db: Db<'c, C>,
}

const COLUMNS: &str =
    "tenant_id, id, license_id, fingerprint, name, platform, ip, activated_at, last_seen_at, offline_until";

/// A row of [`COLUMNS`].
type Row = (
    TenantId,
    ActivationId,
    LicenseId,
    String,
    Option<String>,
    Option<String>,
    Option<String>,
    Timestamp,
    Timestamp,
    Option<Timestamp>,
);

fn activation(
    (
        tenant_id,
        id,
        license_id,
        fingerprint,
        name,
        platform,
        ip,
        activated_at,
        last_seen_at,
        offline_until,
    ): Row,
) -> Activation {
    Activation {
        id,
        tenant_id,
        license_id,
        fingerprint,
        name,
        platform,
        ip,
        activated_at,
        last_seen_at,
        offline_until,
    }
}

#[async_trait]
impl<C: ConnectionTrait + Send> ActivationRepository for Activations<'_, C> {
    async fn insert(&mut self, activation: &Activation) -> Result<(), StoreError> {
        let sql = format!(
            "insert into license_activations ({COLUMNS}) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"
        );
        let values = (
            activation.tenant_id,
            activation.id,
            activation.license_id,
            &activation.fingerprint,
            &activation.name,
            &activation.platform,
            &activation.ip,
            activation.activated_at,
            activation.last_seen_at,
            activation.offline_until,
        );
        self.db.execute(&sql, values).await.map(drop)
    }

    async fn count(&mut self, tenant: TenantId, license: LicenseId) -> Result<u64, StoreError> {
        let sql = "select count(*) from license_activations where tenant_id = $1 and license_id = $2";
        self.db.total(sql, (tenant, license)).await
    }

    async fn list(
        &mut self,
        tenant: TenantId,
        license: LicenseId,
        page: PageRequest,
    ) -> Result<List<Activation>, StoreError> {
        let rows = format!(
            "select {COLUMNS} from license_activations where tenant_id = $1 and license_id = $2 \
             order by id desc limit $3 offset $4"
        );
        let count = "select count(*) from license_activations where tenant_id = $1 and license_id = $2";
        let (limit, offset) = (page.limit as i64, page.offset() as i64);
        let rows = async {
            let rows: Vec<Row> = self.db.rows(&rows, (tenant, license, limit, offset)).await?;
            Ok(rows.into_iter().map(activation).collect())
        };
        in_pages(page, self.db.total(count, (tenant, license)), rows).await
    }

    async fn find(
        &mut self,
        tenant: TenantId,
        license: LicenseId,
        id: ActivationId,
    ) -> Result<Option<Activation>, StoreError> {
        let sql = format!(
            "select {COLUMNS} from license_activations where tenant_id = $1 and license_id = $2 and id = $3"
        );
        Ok(self.db.row(&sql, (tenant, license, id)).await?.map(activation))
    }

    async fn of_fingerprint<'s>(
        &mut self,
        tenant: TenantId,
        license: LicenseId,
        fingerprint: &'s str,
    ) -> Result<Option<Activation>, StoreError> {
        let sql = format!(
            "select {COLUMNS} from license_activations where tenant_id = $1 and license_id = $2 and fingerprint = $3"
        );
        Ok(self.db.row(&sql, (tenant, license, fingerprint)).await?.map(activation))
    }

    async fn update(&mut self, activation: &Activation) -> Result<(), StoreError> {
        let sql = "update license_activations set name = $3, platform = $4, ip = $5, last_seen_at = $6, offline_until = $7 \
             where tenant_id = $1 and id = $2";
        let values = vec![
            activation.tenant_id.value(),
            activation.id.value(),
            (&activation.name).value(),
            (&activation.platform).value(),
            (&activation.ip).value(),
            activation.last_seen_at.value(),
            activation.offline_until.value(),
        ];
        self.db.execute(sql, values).await.map(drop)
    }

    async fn delete(
        &mut self,
        tenant: TenantId,
        license: LicenseId,
        id: ActivationId,
    ) -> Result<Option<Activation>, StoreError> {
        let sql = format!(
            "delete from license_activations where tenant_id = $1 and license_id = $2 and id = $3 returning {COLUMNS}"
        );
        Ok(self.db.row(&sql, (tenant, license, id)).await?.map(activation))
    }

    async fn delete_all(&mut self, tenant: TenantId, license: LicenseId) -> Result<u64, StoreError> {
        let sql = "delete from license_activations where tenant_id = $1 and license_id = $2";
        self.db.execute(sql, (tenant, license)).await
    }
}
