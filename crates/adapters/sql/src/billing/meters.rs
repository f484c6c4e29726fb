//! Counters of what tenants use.

use async_trait::async_trait;
use portico_billing::{
    period::Period,
    ports::{MeterRepository, StorageRoom},
};
use portico_kernel::{Meter, StoreError, TenantId};
use sea_orm::{ConnectionTrait, DbBackend};

use crate::{
    dialect::{execute, query},
    error::{store_error, unreadable},
};

/// Counters over one connection.
pub(crate) struct Meters<'c, C> {
    pub connection: &'c C,
}

/// The column is signed; nothing that is counted comes near its end.
pub(super) fn signed(amount: u64) -> i64 {
    i64::try_from(amount).unwrap_or(i64::MAX)
}

impl<C: ConnectionTrait + Send> Meters<'_, C> {
    async fn room(&self, tenant: TenantId) -> Result<StorageRoom, StoreError> {
        // A part of the count alone can be negative, see the migration.
        let rows = query(
            self.connection,
            "select \
             coalesce((select used from meters where tenant_id = $1 and meter = 'storage' and period = ''), 0) as files, \
             (select cast(coalesce(sum(bytes), 0) as bigint) from stored_texts where tenant_id = $1) as texts, \
             (select coalesce(cast(limits ->> 'storage' as bigint), $2) from subscriptions \
             join plans on plans.id = subscriptions.plan_id \
             where subscriptions.tenant_id = $1 and subscriptions.status = 'active') as included, \
             exists (select 1 from memberships join users on users.id = memberships.user_id \
             where memberships.tenant_id = $1 and memberships.role = 'owner' and users.email_verified) as verified",
            [tenant.uuid().into(), i64::MAX.into()],
        )
        .await?;
        let row = rows.first().ok_or_else(|| unreadable("meters", "no row"))?;
        let number = |column| row.try_get::<i64>("", column).map_err(store_error);
        let included = row.try_get::<Option<i64>>("", "included").map_err(store_error)?.unwrap_or(0);
        Ok(StorageRoom {
            files: number("files")?.unsigned_abs(),
            texts: u64::try_from(number("texts")?).unwrap_or(0),
            limit: (included != i64::MAX).then_some(included.unsigned_abs()),
            verified: row.try_get("", "verified").map_err(store_error)?,
        })
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
        let changed = execute(
            self.connection,
            "insert into meters (tenant_id, meter, period, used) select $1, $2, $5, $3 where $3 <= $4 \
             on conflict (tenant_id, meter, period) do update set used = meters.used + excluded.used \
             where meters.used <= $4 - excluded.used",
            [
                tenant.uuid().into(),
                meter.as_str().into(),
                signed(amount).into(),
                limit.map_or(i64::MAX, signed).into(),
                period.key().into(),
            ],
        )
        .await?;
        Ok(changed == 1)
    }

    async fn subtract(
        &mut self,
        tenant: TenantId,
        meter: Meter,
        period: Period,
        amount: u64,
    ) -> Result<(), StoreError> {
        execute(
            self.connection,
            "update meters set used = case when used > $3 then used - $3 else 0 end \
             where tenant_id = $1 and meter = $2 and period = $4",
            [tenant.uuid().into(), meter.as_str().into(), signed(amount).into(), period.key().into()],
        )
        .await?;
        Ok(())
    }

    async fn storage(&mut self, tenant: TenantId, margin: u64) -> Result<StorageRoom, StoreError> {
        let room = self.room(tenant).await?;
        if room.left() >= margin || self.connection.get_database_backend() == DbBackend::Sqlite {
            // On SQLite nobody else writes meanwhile.
            return Ok(room);
        }
        query(
            self.connection,
            "select 1 from subscriptions where tenant_id = $1 for no key update",
            [tenant.uuid().into()],
        )
        .await?;
        self.room(tenant).await
    }

    async fn used(&mut self, tenant: TenantId, meter: Meter, period: Period) -> Result<u64, StoreError> {
        let rows = query(
            self.connection,
            "select used from meters where tenant_id = $1 and meter = $2 and period = $3",
            [tenant.uuid().into(), meter.as_str().into(), period.key().into()],
        )
        .await?;
        match rows.first() {
            Some(row) => row.try_get::<i64>("", "used").map(i64::unsigned_abs).map_err(store_error),
            None => Ok(0),
        }
    }
}
