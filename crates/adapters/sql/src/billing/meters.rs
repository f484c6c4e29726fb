//! Counters of what tenants use.

use async_trait::async_trait;
use portico_billing::{
    period::Period,
    ports::{MeterRepository, StorageRoom},
};
use portico_kernel::{Meter, StoreError, TenantId};
use sea_orm::{ConnectionTrait, DbBackend};

use crate::{columns::Stored, db::Db};

/// By its key.
impl Stored for Period {
    type Raw = String;

    fn store(&self) -> String {
        self.key()
    }

    fn load(raw: String) -> Result<Self, String> {
        Self::parse(&raw).ok_or(raw)
    }
}

/// Counters over one connection.
pub(crate) struct Meters<'c, C> {
    pub db: Db<'c, C>,
}

impl<C: ConnectionTrait + Send> Meters<'_, C> {
    async fn room(&self, tenant: TenantId) -> Result<StorageRoom, StoreError> {
        // A part of the count alone can be negative, see the migration.
        let sql = "select \
             coalesce((select used from meters where tenant_id = $1 and meter = 'storage' and period = ''), 0) as files, \
             (select cast(coalesce(sum(bytes), 0) as bigint) from stored_texts where tenant_id = $1) as texts, \
             (select case cast(overrides -> 'limits' -> 'storage' as text) when 'null' then $2 \
             else coalesce(cast(overrides -> 'limits' ->> 'storage' as bigint), cast(plans.limits ->> 'storage' as bigint), $2) \
             end from subscriptions join plans on plans.id = subscriptions.plan_id \
             where subscriptions.tenant_id = $1 and subscriptions.status = 'active') as included, \
             exists (select 1 from memberships join users on users.id = memberships.user_id \
             where memberships.tenant_id = $1 and memberships.role = 'owner' and users.email_verified) as verified";
        let room = self.db.row(sql, (tenant, i64::MAX)).await?;
        let Some((files, texts, included, verified)) = room else {
            return Err(StoreError::Internal("a query without a condition has no row".into()));
        };
        let included: Option<i64> = included;
        let limit = included.map_or(Some(0), |most| (most != i64::MAX).then_some(most.unsigned_abs()));
        Ok(StorageRoom { files, texts, limit, verified })
    }
}

#[async_trait]
impl<C: ConnectionTrait + Send> MeterRepository for Meters<'_, C> {
    async fn add(
        &mut self,
        tenant: TenantId,
        meter: Meter,
        period: Period,
        amount: u64,
        limit: Option<u64>,
    ) -> Result<bool, StoreError> {
        // One statement, so that no other one comes between the check and the change. The limit is compared without
        // adding to it or to `used`, which could overflow.
        let sql = "insert into meters (tenant_id, meter, period, used) select $1, $2, $5, $3 where $3 <= $4 \
             on conflict (tenant_id, meter, period) do update set used = meters.used + excluded.used \
             where meters.used <= $4 - excluded.used";
        Ok(self.db.execute(sql, (tenant, meter.as_str(), amount, limit.unwrap_or(u64::MAX), period)).await?
            == 1)
    }

    async fn subtract(
        &mut self,
        tenant: TenantId,
        meter: Meter,
        period: Period,
        amount: u64,
    ) -> Result<(), StoreError> {
        let sql = "update meters set used = case when used > $3 then used - $3 else 0 end \
             where tenant_id = $1 and meter = $2 and period = $4";
        self.db.execute(sql, (tenant, meter.as_str(), amount, period)).await.map(drop)
    }

    async fn storage(&mut self, tenant: TenantId, margin: u64) -> Result<StorageRoom, StoreError> {
        let room = self.room(tenant).await?;
        if room.left() >= margin || self.db.0.get_database_backend() == DbBackend::Sqlite {
            // On SQLite nobody else writes meanwhile.
            return Ok(room);
        }
        self.db
            .exists("select 1 from subscriptions where tenant_id = $1 for no key update", [tenant])
            .await?;
        self.room(tenant).await
    }

    async fn used(&mut self, tenant: TenantId, meter: Meter, period: Period) -> Result<u64, StoreError> {
        if meter == Meter::Bandwidth {
            // Counted by day, which begins with the month.
            let sql = "select cast(coalesce(sum(bytes), 0) as bigint) as used from traffic_days \
                 where tenant_id = $1 and day >= $2 || '-01' and day <= $2 || '-31'";
            return self.db.total(sql, (tenant, period)).await;
        }
        let sql = "select used from meters where tenant_id = $1 and meter = $2 and period = $3";
        self.db.total(sql, (tenant, meter.as_str(), period)).await
    }
}
