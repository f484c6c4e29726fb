//! How much mail recipients may still get: one row for each key, with the time at which all of its quota is there again.

use async_trait::async_trait;
use portico_identity::ports::{FailureKey, MailBudgetRepository};
use portico_kernel::{StoreError, Timestamp, limits::Quota};

use crate::db::Db;

/// Budgets over one connection.
pub(crate) struct MailBudgets<'c> {
    pub db: Db<'c>,
}

/// The time in which one comes back, and in which all of them do, in microseconds.
fn times(quota: Quota) -> (i64, i64) {
    let interval = i64::try_from(quota.interval().as_micros()).unwrap_or(i64::MAX);
    (interval, interval.saturating_mul(i64::from(quota.most().get())))
}

#[async_trait]
impl MailBudgetRepository for MailBudgets<'_> {
    async fn take(&mut self, key: FailureKey, quota: Quota, now: Timestamp) -> Result<bool, StoreError> {
        let (interval, all) = times(quota);
        let at = now.unix_micros();
        let values = (
            key,
            at,
            interval,
            at.saturating_add(interval),
            at.saturating_add(all - interval),
            now + time::Duration::microseconds(all),
        );
        let sql = "insert into mail_budgets (key, full_at, expires_at) values ($1, $4, $6) \
                   on conflict (key) do update set expires_at = excluded.expires_at, full_at = \
                   case when mail_budgets.full_at > $2 then mail_budgets.full_at + $3 else excluded.full_at end \
                   where mail_budgets.full_at <= $5";
        Ok(self.db.execute(sql, values).await? > 0)
    }

    async fn give_back(&mut self, key: FailureKey, quota: Quota) -> Result<(), StoreError> {
        let (interval, _) = times(quota);
        let sql = "update mail_budgets set full_at = full_at - $2 where key = $1";
        self.db.execute(sql, (key, interval)).await.map(drop)
    }
}
