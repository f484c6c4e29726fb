//! Uses of the writer of texts that are under way, and the tokens of all tenants together.

use async_trait::async_trait;
use portico_billing::{generation::Reservation, period::Period, ports::GenerationRepository};
use portico_kernel::{GenerationId, StoreError, TenantId, Timestamp};

use crate::db::Db;

/// Uses of the writer over one connection.
pub(crate) struct Generations<'c> {
    pub db: Db<'c>,
}

const COLUMNS: &str = "tenant_id, id, period, tokens, expires_at";

fn reservation(
    (tenant, id, period, tokens, expires_at): (TenantId, GenerationId, Period, u64, Timestamp),
) -> Reservation {
    Reservation { id, tenant, period, tokens, expires_at }
}

#[async_trait]
impl GenerationRepository for Generations<'_> {
    async fn insert(&mut self, reservation: &Reservation) -> Result<(), StoreError> {
        let sql = "insert into generation_reservations (tenant_id, id, period, tokens, expires_at) \
             values ($1, $2, $3, $4, $5)";
        let values = (
            reservation.tenant,
            reservation.id,
            reservation.period,
            reservation.tokens,
            reservation.expires_at,
        );
        self.db.execute(sql, values).await.map(drop)
    }

    async fn find(&mut self, tenant: TenantId, id: GenerationId) -> Result<Option<Reservation>, StoreError> {
        let sql = format!("select {COLUMNS} from generation_reservations where tenant_id = $1 and id = $2");
        Ok(self.db.row(&sql, (tenant, id)).await?.map(reservation))
    }

    async fn take(&mut self, tenant: TenantId, id: GenerationId) -> Result<Option<Reservation>, StoreError> {
        // A deletion waits for another one of the same row, and then finds nothing.
        let sql = format!(
            "delete from generation_reservations where tenant_id = $1 and id = $2 returning {COLUMNS}"
        );
        Ok(self.db.row(&sql, (tenant, id)).await?.map(reservation))
    }

    async fn take_expired(
        &mut self,
        tenant: TenantId,
        now: Timestamp,
    ) -> Result<Vec<Reservation>, StoreError> {
        let sql = format!(
            "delete from generation_reservations where tenant_id = $1 and expires_at < $2 returning {COLUMNS}"
        );
        Ok(self.db.rows(&sql, (tenant, now)).await?.into_iter().map(reservation).collect())
    }

    async fn spend(&mut self, period: Period, tokens: u64, limit: Option<u64>) -> Result<bool, StoreError> {
        let sql = "insert into token_spending (period, tokens) select $1, $2 where $2 <= $3 \
             on conflict (period) do update set tokens = token_spending.tokens + excluded.tokens \
             where token_spending.tokens <= $3 - excluded.tokens";
        Ok(self.db.execute(sql, (period, tokens, limit.unwrap_or(u64::MAX))).await? == 1)
    }

    async fn unspend(&mut self, period: Period, tokens: u64) -> Result<(), StoreError> {
        let sql = "update token_spending set tokens = case when tokens > $2 then tokens - $2 else 0 end \
             where period = $1";
        self.db.execute(sql, (period, tokens)).await.map(drop)
    }

    async fn spent(&mut self, period: Period) -> Result<u64, StoreError> {
        let sql = "select tokens from token_spending where period = $1";
        self.db.total(sql, [period]).await
    }
}
