//! Counters of what tenants use.

use async_trait::async_trait;
use portico_billing::{period::Period, plan::Meter, ports::MeterRepository};
use portico_kernel::{StoreError, TenantId};
use sea_orm::ConnectionTrait;

use crate::{
    dialect::{execute, query},
    error::store_error,
};

/// Counters over one connection.
pub(crate) struct Meters<'c, C> {
    pub connection: &'c C,
}

/// The column is signed; nothing that is counted comes near its end.
pub(super) fn signed(amount: u64) -> i64 {
    i64::try_from(amount).unwrap_or(i64::MAX)
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
