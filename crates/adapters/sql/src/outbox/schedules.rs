//! Whose turn scheduled work is: compare and set on one row, which is atomic on both databases.

use async_trait::async_trait;
use portico_kernel::{StoreError, Timestamp, schedule::Schedules};
use time::Duration;

use crate::SqlStore;

#[async_trait]
impl Schedules for SqlStore {
    async fn acquire_lease(
        &self,
        schedule: &str,
        worker: &str,
        lease: Duration,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        // Of two at once, the second one waits for the row and finds it taken.
        let sql = "insert into schedules (name, due_at, leased_by, leased_until) values ($1, $4, $2, $3) \
             on conflict (name) do update set leased_by = excluded.leased_by, leased_until = excluded.leased_until \
             where coalesce(schedules.leased_until, schedules.due_at) <= $4";
        Ok(self.write().execute(sql, (schedule, worker, now + lease, now)).await? == 1)
    }

    async fn extend_lease(&self, schedule: &str, worker: &str, until: Timestamp) -> Result<bool, StoreError> {
        let sql = "update schedules set leased_until = $3 where name = $1 and leased_by = $2";
        Ok(self.write().execute(sql, (schedule, worker, until)).await? == 1)
    }

    async fn release_lease(&self, schedule: &str, worker: &str, due: Timestamp) -> Result<bool, StoreError> {
        let sql = "update schedules set due_at = $3, leased_by = null, leased_until = null \
             where name = $1 and leased_by = $2";
        Ok(self.write().execute(sql, (schedule, worker, due)).await? == 1)
    }
}
