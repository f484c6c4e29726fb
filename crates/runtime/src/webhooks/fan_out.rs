//! Reads the event log, and plans the deliveries of each event.

use std::sync::Arc;

use portico_kernel::StoreError;
use portico_tenancy::dispatch;
use tokio::{sync::watch, time::sleep};

use super::{Nudges, READER};
use crate::{
    backoff::Backoff,
    core::Core,
    events::catalogue,
    unread::{self, Pauses},
};

/// Events read at once.
const BATCH: u32 = 500;

/// Plans deliveries until shutdown.
pub async fn run(core: Core, nudges: Arc<Nudges>, mut stopping: watch::Receiver<bool>) {
    let mut backoff = Backoff::new("deliveries to webhooks could not be planned");
    let mut pauses = Pauses::new(core.settings.worker.poll);
    while !*stopping.borrow() {
        let mut planned = 0;
        let pause = loop {
            match round(&core, &nudges).await {
                Ok(read) => {
                    backoff.succeeded();
                    planned += read;
                    if read < BATCH as usize || *stopping.borrow() {
                        break pauses.after(planned);
                    }
                }
                Err(error) => break backoff.failed(&error),
            }
        };
        tokio::select! {
            () = sleep(pause) => {}
            _ = stopping.changed() => return,
        }
        if backoff.is_failing() {
            continue;
        }
        tokio::select! {
            () = unread::wait(&core, &[READER], &core.signals.webhooks, &mut pauses) => {}
            _ = stopping.changed() => return,
        }
    }
}

/// Plans the deliveries of one batch of events. Returns how many events there were.
async fn round(core: &Core, nudges: &Nudges) -> Result<usize, StoreError> {
    let mut work = core.begin().await?;
    let events = work.readers().take_heads(READER, BATCH).await?;
    if events.is_empty() {
        // Another process had them, and may have planned more than it can send.
        nudges.ready.notify_one();
        return Ok(0);
    }
    let touched = dispatch::fan_out(&mut *work, &core.env, catalogue(), &events).await?;
    work.commit().await?;
    if !touched.is_empty() {
        nudges.planned(&touched);
    }
    Ok(events.len())
}
