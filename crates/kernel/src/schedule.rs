//! Periodic work, run by one of all instances at a time.

use async_trait::async_trait;
use time::Duration;

use crate::{StoreError, Timestamp};

/// Leases of schedules. Each call is a transaction of its own.
///
/// A schedule has a name and a time at which it is due. One that was never taken is due at once.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait Schedules: Send + Sync {
    /// Takes the lease of a schedule that is due for `worker` until `now + lease`. MUST answer `true` to one worker only, also
    /// under concurrency, and `false` to every worker while that lease lasts. A lease that has ended MUST NOT keep other workers
    /// from taking it.
    async fn acquire_lease(
        &self,
        schedule: &str,
        worker: &str,
        lease: Duration,
        now: Timestamp,
    ) -> Result<bool, StoreError>;

    /// Extends the lease. MUST answer `false`, like the call below, when `worker` does not hold it any more.
    async fn extend_lease(&self, schedule: &str, worker: &str, until: Timestamp) -> Result<bool, StoreError>;

    /// Releases the lease; the schedule is due again at `due`.
    async fn release_lease(&self, schedule: &str, worker: &str, due: Timestamp) -> Result<bool, StoreError>;
}
