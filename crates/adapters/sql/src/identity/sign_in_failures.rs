//! Counts of failed guesses at credentials.

use async_trait::async_trait;
use portico_identity::{
    ports::{FailureKey, SignInFailureRepository},
    throttle::FailureCount,
};
use portico_kernel::{StoreError, Timestamp};
use sea_orm::{ConnectionTrait, FromQueryResult, Value, prelude::TimeDateTime};

use crate::{
    dialect::{execute, query},
    error::{store_error, unreadable},
    time::{from_row, to_row},
};

#[derive(FromQueryResult)]
struct Row {
    key: Vec<u8>,
    since: TimeDateTime,
    failures: i32,
    last_at: TimeDateTime,
}

/// Counts over one connection.
pub(crate) struct SignInFailures<'c, C> {
    pub connection: &'c C,
}

/// `$first, …` for so many values.
fn placeholders(first: usize, count: usize) -> String {
    (first..first + count).map(|number| format!("${number}")).collect::<Vec<_>>().join(", ")
}

#[async_trait]
impl<C: ConnectionTrait + Send> SignInFailureRepository for SignInFailures<'_, C> {
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
        let times = [since, now, expires_at].map(|time| Value::from(to_row(time)));
        let keys = keys.iter().map(|key| Value::from(key.to_vec()));
        execute(self.connection, &sql, times.into_iter().chain(keys)).await?;
        Ok(())
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
        let keys = keys.iter().map(|key| Value::from(key.to_vec()));
        let rows = query(self.connection, &sql, [to_row(after).into()].into_iter().chain(keys)).await?;
        rows.iter()
            .map(|row| {
                let row = Row::from_query_result(row, "").map_err(store_error)?;
                let key = row.key.as_slice().try_into();
                Ok(FailureCount {
                    key: key.map_err(|_| unreadable("sign_in_failures.key", &row.key.len().to_string()))?,
                    since: from_row(row.since),
                    failures: u32::try_from(row.failures).unwrap_or(0),
                    last_at: from_row(row.last_at),
                })
            })
            .collect()
    }

    async fn clear(&mut self, keys: &[FailureKey]) -> Result<(), StoreError> {
        if keys.is_empty() {
            return Ok(());
        }
        let sql = format!("delete from sign_in_failures where key in ({})", placeholders(1, keys.len()));
        execute(self.connection, &sql, keys.iter().map(|key| Value::from(key.to_vec()))).await?;
        Ok(())
    }
}
