//! Counts of failed guesses at credentials.

use async_trait::async_trait;
use portico_identity::{
    ports::{FailureKey, SignInFailureRepository},
    throttle::FailureCount,
};
use portico_kernel::{StoreError, Timestamp};

use crate::db::{Db, Param, Params, placeholders};

/// Counts over one connection.
pub(crate) struct SignInFailures<'c> {
    pub db: Db<'c>,
}

#[async_trait]
impl SignInFailureRepository for SignInFailures<'_> {
    async fn add(
        &mut self,
        keys: &[FailureKey],
        since: Timestamp,
        now: Timestamp,
        expires_at: Timestamp,
    ) -> Result<(), StoreError> {
        // In one order, so that two units of work which count the same keys wait for each other and do not deadlock.
        let mut keys: Vec<_> = keys.to_vec();
        keys.sort_unstable();
        keys.dedup();
        if keys.is_empty() {
            return Ok(());
        }
        let rows: Vec<_> = (0..keys.len()).map(|index| format!("(${}, $1, 1, $2, $3)", index + 4)).collect();
        let sql = format!(
            "insert into sign_in_failures (key, since, failures, last_at, expires_at) values {} \
             on conflict (key, since) do update set failures = sign_in_failures.failures + 1, \
             last_at = excluded.last_at, expires_at = excluded.expires_at",
            rows.join(", ")
        );
        let values =
            (since, now, expires_at).values().into_iter().chain(keys.iter().copied().map(Param::value));
        self.db.execute(&sql, values.collect::<Vec<_>>()).await.map(drop)
    }

    async fn counts(
        &mut self,
        keys: &[FailureKey],
        after: Timestamp,
    ) -> Result<Vec<FailureCount>, StoreError> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let sql = format!(
            "select key, since, failures, last_at from sign_in_failures where since > $1 and key in ({})",
            placeholders(2, keys.len())
        );
        let values: Vec<_> =
            std::iter::once(after.value()).chain(keys.iter().copied().map(Param::value)).collect();
        let count = |(key, since, failures, last_at)| FailureCount { key, since, failures, last_at };
        Ok(self.db.rows(&sql, values).await?.into_iter().map(count).collect())
    }

    async fn clear(&mut self, keys: &[FailureKey]) -> Result<(), StoreError> {
        if keys.is_empty() {
            return Ok(());
        }
        let sql = format!("delete from sign_in_failures where key in ({})", placeholders(1, keys.len()));
        self.db.execute(&sql, keys.iter().copied().map(Param::value).collect::<Vec<_>>()).await.map(drop)
    }
}
