//! Hearing what other processes commit, so that caches here forget it within the second.

use std::time::{Duration, Instant};

use tokio::{sync::watch, time::sleep};

use crate::{core::Core, logging};

/// Pause before the database is tried again.
const PAUSE: Duration = Duration::from_secs(2);

/// Pause between two warnings: the trouble may last.
const TELL_EVERY: Duration = Duration::from_secs(60);

/// Listens until told to stop. While it cannot, caches believe what they hold for less than a second.
pub async fn run(core: Core, mut stopping: watch::Receiver<bool>) {
    let mut told: Option<Instant> = None;
    while !*stopping.borrow() {
        tokio::select! {
            ended = core.store.follow(&*core.signals) => {
                if let Err(error) = ended
                    && told.is_none_or(|told| told.elapsed() > TELL_EVERY)
                {
                    told = Some(Instant::now());
                    logging::warn("changes of other processes are not heard; trying again", &error);
                }
            }
            _ = stopping.changed() => return,
        }
        tokio::select! {
            () = sleep(PAUSE) => {}
            _ = stopping.changed() => {}
        }
    }
}
