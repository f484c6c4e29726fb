//! Carrying hints between processes, where there is a quicker way than the database.

use std::time::{Duration, Instant};

use tokio::{sync::watch, time::sleep};

use crate::core::Core;

/// Pause before the way is tried again.
const PAUSE: Duration = Duration::from_secs(1);

/// Pause between two warnings: the trouble may last.
const TELL_EVERY: Duration = Duration::from_secs(60);

/// Carries until told to stop. While it cannot, the database tells what has to be known, as it does without such a way.
pub async fn run(core: Core, mut stopping: watch::Receiver<bool>) {
    let Some(broadcasts) = &core.signals.broadcasts else { return };
    let hear = |message: &str| {
        if let Some(hint) = broadcasts.read(message) {
            core.signals.hinted(&hint);
        }
    };
    let mut told: Option<Instant> = None;
    while !*stopping.borrow() {
        tokio::select! {
            error = broadcasts.way().carry(&hear) => {
                if told.is_none_or(|told| told.elapsed() > TELL_EVERY) {
                    told = Some(Instant::now());
                    tracing::warn!(%error, "hints of other processes are not heard; the database tells, more slowly");
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
