//! Storage of visits of published sites, and deletion after the retention period.

use std::time::Duration;

use portico_billing::usage::DAYS_MAX;
use portico_kernel::StoreError;
use portico_runtime::backoff::Backoff;
use tokio::{sync::watch, time::sleep};

use crate::state::App;

/// Interval of storing: the longest period that a crash may lose.
const EVERY: Duration = Duration::from_secs(2);

/// Least time for which the bytes that sites sent are kept: what usage by day tells of, and the billing period before that.
const TRAFFIC_KEPT: time::Duration = time::Duration::days(DAYS_MAX + 31);

/// Rows of one kind that are deleted in one transaction.
const ROWS: u64 = 1000;

/// Stores recorded visits periodically until shutdown, and then once more.
pub async fn run(app: App, mut stopping: watch::Receiver<bool>) {
    let mut backoff = Backoff::new("visits could not be stored");
    let mut pause = EVERY;
    while !*stopping.borrow() {
        tokio::select! {
            () = sleep(pause) => {}
            // A full queue does not shorten the backoff: it stays full while nothing can be stored.
            () = app.hosting.visits.half_full.notified(), if !backoff.is_failing() => {}
            _ = stopping.changed() => return app.hosting.visits.flush(&app.core).await,
        }
        pause = match app.hosting.visits.try_flush(&app.core).await {
            Ok(()) => {
                backoff.succeeded();
                EVERY
            }
            Err(error) => backoff.failed(&error),
        };
    }
}

/// Deletes visit counts and form submissions older than the configured retention.
pub async fn forget(app: &App) -> Result<(), StoreError> {
    let settings = &app.settings.sites;
    if let Some(retention) = kept(settings.analytics_retention) {
        let now = app.core.env.now();
        let day = (now - retention).into_inner().date();
        // The bytes of a billing period count against the plan.
        let traffic = day.min((now - TRAFFIC_KEPT).into_inner().date());
        loop {
            let mut work = app.core.begin().await?;
            let forgotten = work.visits().forget(day, traffic, ROWS).await?;
            work.commit().await?;
            if forgotten == 0 {
                break;
            }
        }
    }
    if let Some(retention) = kept(settings.submission_retention) {
        loop {
            let mut work = app.core.begin().await?;
            let forgotten = work.submissions().forget(app.core.env.now() - retention, ROWS).await?;
            work.commit().await?;
            if forgotten < ROWS {
                break;
            }
        }
    }
    Ok(())
}

/// The retention; `None` for unlimited.
fn kept(retention: Duration) -> Option<time::Duration> {
    if retention.is_zero() { None } else { retention.try_into().ok() }
}
