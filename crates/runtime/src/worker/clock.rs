//! Recovery after the clock was set back: rows written before would be due too late by as much.

use std::time::Duration;

use portico_kernel::{StoreError, Timestamp};
use tokio::{sync::watch, time::sleep};

use crate::{clock::TimeWatch, core::Core, logging::chain};

/// Interval of checking the clock.
const EVERY: Duration = Duration::from_secs(5);

/// Checks the clock until shutdown, and first whether it was set back while no process ran.
pub async fn run(core: Core, mut stopping: watch::Receiver<bool>) {
    let mut watch = TimeWatch::new(core.env.now());
    // Until the first check has succeeded.
    let mut is_due = true;
    let mut latest = None;
    while !*stopping.borrow() {
        if is_due {
            is_due = match catch_up(&core, latest).await {
                Ok(()) => false,
                Err(error) => {
                    tracing::debug!(error = %chain(&error), "what the clock makes wait could not be found out");
                    true
                }
            };
        }
        tokio::select! {
            () = sleep(EVERY) => {}
            _ = stopping.changed() => return,
        }
        if let Some(missing) = watch.set_back(core.env.now()) {
            (is_due, latest) = (true, Some(core.env.now() + missing));
        }
    }
}

/// Makes rows due whose time has actually passed, if `latest`, or else the newest event, is in the future.
async fn catch_up(core: &Core, latest: Option<Timestamp>) -> Result<(), StoreError> {
    /// Allowance for leases, as clocks differ.
    const TOLERANCE: Duration = Duration::from_secs(5);
    let latest = match latest {
        Some(latest) => Some(latest),
        None => core.store.newest_event_at().await?,
    };
    let now = core.env.now();
    let settings = &core.settings;
    let lease = settings.worker.lease.max(settings.idempotency.lease).max(settings.webhooks.lease);
    let soon = now + time::Duration::try_from(lease + TOLERANCE).unwrap_or(time::Duration::HOUR);
    if latest.is_some_and(|latest| latest > soon) {
        let rows = core.store.repair_future_times(now, soon).await?;
        tracing::warn!(rows, "the clock was set back: what it would have made wait is due now");
        core.signals.jobs.notify_one();
        core.signals.webhooks.notify_one();
    }
    Ok(())
}
