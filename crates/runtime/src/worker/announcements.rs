//! Receives announcements of other processes' commits, so that caches here are invalidated within a second.

use std::time::{Duration, Instant};

use tokio::{sync::watch, time::sleep};

use crate::{core::Core, logging};

/// Pause before the next attempt to connect.
const PAUSE: Duration = Duration::from_secs(2);

/// Minimum time between two warnings.
const WARN_EVERY: Duration = Duration::from_secs(60);

/// Receives announcements until shutdown. While it cannot, cache entries are valid for less than a second.
pub async fn run(core: Core, mut stopping: watch::Receiver<bool>) {
    let mut warned_at: Option<Instant> = None;
    while !*stopping.borrow() {
        tokio::select! {
            ended = core.store.follow(&*core.signals) => {
                if let Err(error) = ended
                    && warned_at.is_none_or(|warned_at| warned_at.elapsed() > WARN_EVERY)
                {
                    warned_at = Some(Instant::now());
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
