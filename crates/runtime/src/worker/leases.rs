//! Leases on work, extended while it goes on.

use std::time::Duration;

use futures_util::future::BoxFuture;
use portico_kernel::StoreError;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use crate::logging;

/// Extends a lease when a third of it is over, again and again, and returns when `extend` answers that it is lost. `work` is what goes on, for
/// the log.
///
/// It is to be polled together with the work, never in its place: the work may hold the only connection that writes to SQLite while this waits
/// for it.
pub async fn keep<'a>(
    lease: Duration,
    work: &'a str,
    extend: impl Fn() -> BoxFuture<'a, Result<bool, StoreError>> + Send + 'a,
) {
    let beat = lease / 3;
    let mut beats = interval_at(Instant::now() + beat, beat);
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        beats.tick().await;
        match extend().await {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => logging::warn_about("a lease could not be extended", work, &error),
        }
    }
}
