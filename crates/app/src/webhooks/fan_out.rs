//! Planning: reads the event log, and plans who is told of what.

use std::{sync::Arc, time::Duration};

use portico_kernel::StoreError;
use portico_tenancy::dispatch;
use tokio::{sync::watch, time::sleep};

use super::{Nudges, READER};
use crate::{report, state::App};

/// Events read at once.
const BATCH: u32 = 500;

/// Pause between two rounds, so that a busy system reads in batches and not event by event.
const PAUSE: Duration = Duration::from_millis(20);

/// Until it looks once more after it was woken: what was committed may wait behind a transaction that is still running.
const AGAIN: Duration = Duration::from_millis(100);

/// Plans until told to stop.
pub async fn run(app: App, nudges: Arc<Nudges>, mut stopping: watch::Receiver<bool>) {
    let mut woken = false;
    while !*stopping.borrow() {
        let mut planned = 0;
        loop {
            match round(&app, &nudges).await {
                Ok(read) => {
                    planned += read;
                    if read < BATCH as usize || *stopping.borrow() {
                        break;
                    }
                }
                Err(error) => {
                    report::warn("deliveries to webhooks could not be planned", &error);
                    break;
                }
            }
        }
        // Also without an event: somebody may have had deliveries planned.
        nudges.ready.notify_one();
        tokio::select! {
            () = sleep(PAUSE) => {}
            _ = stopping.changed() => return,
        }
        let poll = app.settings.worker.poll;
        let wait = if woken || planned > 0 { AGAIN.min(poll) } else { poll };
        woken = tokio::select! {
            () = app.signals.webhooks.notified() => true,
            () = sleep(wait) => false,
            _ = stopping.changed() => return,
        };
    }
}

/// Plans the deliveries of one batch of events. Answers how many events there were.
async fn round(app: &App, nudges: &Nudges) -> Result<usize, StoreError> {
    let mut work = app.begin().await?;
    let events = work.readers().take(READER, BATCH).await?;
    if events.is_empty() {
        return Ok(0);
    }
    let touched = dispatch::fan_out(&mut *work, &app.env, &events).await?;
    work.commit().await?;
    nudges.planned(&touched);
    Ok(events.len())
}
