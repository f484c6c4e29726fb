//! Machines on which licenses are used.

use async_trait::async_trait;
use portico_kernel::{ActivationId, LicenseId, List, PageRequest, StoreError, TenantId, Timestamp};
use portico_licensing::{activation::Activation, ports::ActivationRepository};

use crate::db::{Db, Param, in_pages};

/// Machines over one connection.
pub(crate) struct Activations<'c> {
    pub db: Db<'c>,
}

const COLUMNS: &str = "tenant_id, id, license_id, fingerprint, name, platform, ip, activated_at, last_seen_at, offline_until, \
    lease_ends_at, lapsed";

/// Those that hold a seat at `$3`.
const HELD: &str = "from license_activations where tenant_id = $1 and license_id = $2 \
    and (lease_ends_at is null or lease_ends_at > $3)";

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
    Option<Timestamp>,
    bool,
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
        lease_ends_at,
        lapsed,
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
        lease_ends_at,
        lapsed,
    }
}

#[async_trait]
impl ActivationRepository for Activations<'_> {
    async fn insert(&mut self, activation: &Activation) -> Result<(), StoreError> {
        let sql = format!(
            "insert into license_activations ({COLUMNS}) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)"
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
            activation.lease_ends_at,
            activation.lapsed,
        );
        self.db.execute(&sql, values).await.map(drop)
    }

    async fn count(
        &mut self,
        tenant: TenantId,
        license: LicenseId,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        self.db.total(&format!("select count(*) {HELD}"), (tenant, license, now)).await
    }

    async fn list(
        &mut self,
        tenant: TenantId,
        license: LicenseId,
        now: Timestamp,
        page: PageRequest,
    ) -> Result<List<Activation>, StoreError> {
        let rows = format!("select {COLUMNS} {HELD} order by id desc limit $4 offset $5");
        let count = format!("select count(*) {HELD}");
        let (limit, offset) = (page.limit as i64, page.offset() as i64);
        let rows = async {
            let rows: Vec<Row> = self.db.rows(&rows, (tenant, license, now, limit, offset)).await?;
            Ok(rows.into_iter().map(activation).collect())
        };
        in_pages(page, self.db.total(&count, (tenant, license, now)), rows).await
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
        let sql = "update license_activations set name = $3, platform = $4, ip = $5, last_seen_at = $6, offline_until = $7, \
             lease_ends_at = $8, lapsed = $9 where tenant_id = $1 and id = $2";
        let values = vec![
            activation.tenant_id.value(),
            activation.id.value(),
            (&activation.name).value(),
            (&activation.platform).value(),
            (&activation.ip).value(),
            activation.last_seen_at.value(),
            activation.offline_until.value(),
            activation.lease_ends_at.value(),
            activation.lapsed.value(),
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
    async fn lapsing(&mut self, now: Timestamp, limit: u64) -> Result<Vec<Activation>, StoreError> {
        let sql = format!(
            "select {COLUMNS} from license_activations where lease_ends_at <= $1 and not lapsed \
             order by lease_ends_at, id limit $2"
        );
        let rows: Vec<Row> = self.db.rows(&sql, (now, limit)).await?;
        Ok(rows.into_iter().map(activation).collect())
    }

    async fn forget_lapsed(&mut self, before: Timestamp, limit: u64) -> Result<u64, StoreError> {
        let sql = format!(
            "with gone as (select tenant_id, id from license_activations where lapsed and lease_ends_at <= $1 limit $2 {}) \
             delete from license_activations where (tenant_id, id) in (select tenant_id, id from gone)",
            self.db.dialect().for_update_skip_locked
        );
        self.db.execute(&sql, (before, limit)).await
    }
}
