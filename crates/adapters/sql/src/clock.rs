//! What is due, after the clock was set back.

use portico_kernel::{StoreError, Timestamp};
use time::Duration;

use crate::{SqlStore, db::StatementConnection};

/// Statements of which `$1` is now and `$2` a moment until which leases may last.
const LEASES: &[&str] = &[
    "update jobs set leased_until = $2 where state = 'running' and leased_until > $2 and $1 < $2",
    "update idempotency_keys set leased_until = $2 where answer is null and leased_until > $2 and $1 < $2",
    // Schedules that come too early do no harm.
    "update schedules set due_at = case when due_at > $2 then $1 else due_at end, \
     leased_until = case when leased_until > $2 then $2 else leased_until end where due_at > $2 or leased_until > $2",
    // With nothing to be sent, the worker finds out, and when the next one is due.
    "update webhook_queues set ready_at = case when leased_by is null then $1 else $2 end, held_until = null where ready_at > $2",
];

/// What was planned when the clock went ahead: a new delivery or a repeated one is made now.
const DELIVERIES: &str =
    "update webhook_deliveries set due_at = $1 where status = 'pending' and created_at > $2 and due_at > $1";

/// A webhook gets what happens after it was made. `$1` is a little before now: what happened since the clock was set back, too.
const WEBHOOKS: &str = "update webhooks set created_at = $1 where created_at > $2";

impl SqlStore {
    /// The latest time at which one of the newest events was appended, by the clock of that moment. One of them is not enough: what
    /// is appended after the clock was set back seems older than what came before.
    pub async fn newest_event_at(&self) -> Result<Option<Timestamp>, StoreError> {
        let db = self.read();
        let sql = format!(
            "select max(created_at) as latest from (select created_at from events order by {} limit 1000) as newest",
            db.dialect().newest_event_first
        );
        Ok(db.row(&sql, ()).await?.flatten())
    }

    /// Makes due what lies in the future by more than it can, because the clock went ahead when that was written: jobs that were to
    /// run at once or after a failure, leases, schedules, deliveries. What is to be done at a certain time stays. `soon` is how far in
    /// the future leases may end. Answers how many rows it changed; none on a second run.
    pub async fn repair_future_times(&self, now: Timestamp, soon: Timestamp) -> Result<u64, StoreError> {
        let transaction = self.transaction().await?;
        let db = transaction.db();
        let jobs = format!(
            "update jobs set run_at = $1 where state = 'queued' and run_at > $2 and {}",
            db.dialect().job_waits_too_long
        );
        let mut changed = 0;
        for sql in LEASES.iter().copied().chain([&*jobs, DELIVERIES]) {
            changed += db.execute(sql, (now, soon)).await?;
        }
        let a_little_before = now - Duration::MINUTE;
        changed += db.execute(WEBHOOKS, (a_little_before, soon)).await?;
        transaction.commit().await?;
        Ok(changed)
    }
}
