//! Uses of the writer of texts that are under way, and the tokens of all tenants together.

use async_trait::async_trait;
use portico_billing::{generation::Reservation, period::Period, ports::GenerationRepository};
use portico_kernel::{GenerationId, StoreError, TenantId, Timestamp};
use sea_orm::{ConnectionTrait, QueryResult};
use time::PrimitiveDateTime;
use uuid::Uuid;

use super::meters::signed;
use crate::{
    dialect::{execute, query},
    error::store_error,
    time::{from_row, to_row},
};

/// Uses of the writer over one connection.
pub(crate) struct Generations<'c, C> {
    pub connection: &'c C,
}

const COLUMNS: &str = "tenant_id, id, period, tokens, expires_at";

fn read(row: &QueryResult) -> Result<Reservation, StoreError> {
    let text: String = row.try_get("", "period").map_err(store_error)?;
    let period =
        Period::parse(&text).ok_or_else(|| StoreError::Internal(format!("{text:?} is no period").into()))?;
    Ok(Reservation {
        id: GenerationId::from_uuid(row.try_get::<Uuid>("", "id").map_err(store_error)?),
        tenant: TenantId::from_uuid(row.try_get::<Uuid>("", "tenant_id").map_err(store_error)?),
        period,
        tokens: row.try_get::<i64>("", "tokens").map_err(store_error)?.unsigned_abs(),
        expires_at: from_row(row.try_get::<PrimitiveDateTime>("", "expires_at").map_err(store_error)?),
    })
}

#[async_trait]
impl<C: ConnectionTrait + Send> GenerationRepository for Generations<'_, C> {
    async fn insert(&mut self, reservation: &Reservation) -> Result<(), StoreError> {
        execute(
            self.connection,
            "insert into generation_reservations (tenant_id, id, period, tokens, expires_at) \
             values ($1, $2, $3, $4, $5)",
            [
                reservation.tenant.uuid().into(),
                reservation.id.uuid().into(),
                reservation.period.key().into(),
                signed(reservation.tokens).into(),
                to_row(reservation.expires_at).into(),
            ],
        )
        .await?;
        Ok(())
    }

    async fn find(&mut self, tenant: TenantId, id: GenerationId) -> Result<Option<Reservation>, StoreError> {
        let sql = format!("select {COLUMNS} from generation_reservations where tenant_id = $1 and id = $2");
        let rows = query(self.connection, &sql, [tenant.uuid().into(), id.uuid().into()]).await?;
        rows.first().map(read).transpose()
    }

    async fn take(&mut self, tenant: TenantId, id: GenerationId) -> Result<Option<Reservation>, StoreError> {
        // A deletion waits for another one of the same row, and then finds nothing.
        let sql = format!(
            "delete from generation_reservations where tenant_id = $1 and id = $2 returning {COLUMNS}"
        );
        let rows = query(self.connection, &sql, [tenant.uuid().into(), id.uuid().into()]).await?;
        rows.first().map(read).transpose()
    }

    async fn take_expired(
        &mut self,
        tenant: TenantId,
        now: Timestamp,
    ) -> Result<Vec<Reservation>, StoreError> {
        let sql = format!(
            "delete from generation_reservations where tenant_id = $1 and expires_at < $2 returning {COLUMNS}"
        );
        let rows = query(self.connection, &sql, [tenant.uuid().into(), to_row(now).into()]).await?;
        rows.iter().map(read).collect()
    }

    async fn spend(&mut self, period: Period, tokens: u64, limit: Option<u64>) -> Result<bool, StoreError> {
        let changed = execute(
            self.connection,
            "insert into token_spending (period, tokens) select $1, $2 where $2 <= $3 \
             on conflict (period) do update set tokens = token_spending.tokens + excluded.tokens \
             where token_spending.tokens <= $3 - excluded.tokens",
            [period.key().into(), signed(tokens).into(), limit.map_or(i64::MAX, signed).into()],
        )
        .await?;
        Ok(changed == 1)
    }

    async fn unspend(&mut self, period: Period, tokens: u64) -> Result<(), StoreError> {
        execute(
            self.connection,
            "update token_spending set tokens = case when tokens > $2 then tokens - $2 else 0 end \
             where period = $1",
            [period.key().into(), signed(tokens).into()],
        )
        .await?;
        Ok(())
    }

    async fn spent(&mut self, period: Period) -> Result<u64, StoreError> {
        let sql = "select tokens from token_spending where period = $1";
        let rows = query(self.connection, sql, [period.key().into()]).await?;
        match rows.first() {
            Some(row) => row.try_get::<i64>("", "tokens").map(i64::unsigned_abs).map_err(store_error),
            None => Ok(0),
        }
    }
}
