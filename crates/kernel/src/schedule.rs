//! Work that comes round at an interval, once over all instances.

use async_trait::async_trait;
use time::Duration;

use crate::{StoreError, Timestamp};

/// Whose turn it is. Each call is a transaction of its own.
///
/// A schedule has a name and a time at which it is due. One that nobody took before is due at once.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait Schedules: Send + Sync {
    /// Takes the turn of a schedule that is due for `worker` until `now + lease`. MUST answer `true` to one worker only, also
    /// under concurrency, and `false` to everybody while that worker's lease lasts. A lease that has ended MUST NOT keep
    /// others from taking the turn.
    async fn take_turn(
        &self,
        schedule: &str,
        worker: &str,
        lease: Duration,
        now: Timestamp,
    ) -> Result<bool, StoreError>;

    /// Extends the lease. MUST answer `false`, like the call below, when `worker` does not hold it any more.
    async fn extend_turn(&self, schedule: &str, worker: &str, until: Timestamp) -> Result<bool, StoreError>;

    /// Gives up the turn; the schedule is due again at `due`.
    async fn end_turn(&self, schedule: &str, worker: &str, due: Timestamp) -> Result<bool, StoreError>;
}
