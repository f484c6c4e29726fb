//! Reads the event log, and plans the deliveries of each event.

use std::{sync::Arc, time::Duration};

use portico_kernel::StoreError;
use portico_tenancy::dispatch;
use tokio::{sync::watch, time::sleep};

use super::{Nudges, READER};
use crate::{backoff::Backoff, core::Core, events::catalogue};

/// Events read at once.
const BATCH: u32 = 500;

/// Pause between two rounds, so that on a busy system events are read in batches and not one by one. A round costs a transaction and a
/// look for deliveries that are due, however few events there are. The first event after a pause does not wait.
const PAUSE: Duration = Duration::from_millis(100);

/// Interval of reading again after a notification: a committed event may wait behind a transaction that is still running.
const AGAIN: Duration = Duration::from_millis(100);

/// Plans deliveries until shutdown.
pub async fn run(core: Core, nudges: Arc<Nudges>, mut stopping: watch::Receiver<bool>) {
    let mut backoff = Backoff::new("deliveries to webhooks could not be planned");
    let mut woken = false;
    while !*stopping.borrow() {
        let (mut planned, mut pause) = (0, PAUSE);
        loop {
            match round(&core, &nudges).await {
                Ok(read) => {
                    backoff.succeeded();
                    planned += read;
                    if read < BATCH as usize || *stopping.borrow() {
                        break;
                    }
                }
                Err(error) => {
                    pause = backoff.failed(&error);
                    break;
                }
            }
        }
        // Also without an event: deliveries may have been planned on request of a user.
        if !backoff.is_failing() {
            nudges.ready.notify_one();
        }
        tokio::select! {
            () = sleep(pause) => {}
            _ = stopping.changed() => return,
        }
        if backoff.is_failing() {
            continue;
        }
        let poll = core.settings.worker.poll;
        let wait = if woken || planned > 0 { AGAIN.min(poll) } else { poll };
        woken = tokio::select! {
            () = core.signals.webhooks.notified() => true,
            () = sleep(wait) => false,
            _ = stopping.changed() => return,
        };
    }
}

/// Plans the deliveries of one batch of events. Returns how many events there were.
async fn round(core: &Core, nudges: &Nudges) -> Result<usize, StoreError> {
    let mut work = core.begin().await?;
    let events = work.readers().take(READER, BATCH).await?;
    if events.is_empty() {
        return Ok(0);
    }
    let touched = dispatch::fan_out(&mut *work, &core.env, catalogue(), &events).await?;
    work.commit().await?;
    nudges.planned(&touched);
    Ok(events.len())
}
