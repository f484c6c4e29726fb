//! Carries hints between processes, over a channel that is faster than the database, if there is one.

use std::time::{Duration, Instant};

use tokio::{sync::watch, time::sleep};

use crate::core::Core;

/// Pause before the next attempt to connect.
const PAUSE: Duration = Duration::from_secs(1);

/// Minimum time between two warnings.
const WARN_EVERY: Duration = Duration::from_secs(60);

/// Carries hints until shutdown. While it cannot, processes rely on the database, as without such a channel.
pub async fn run(core: Core, mut stopping: watch::Receiver<bool>) {
    let Some(broadcasts) = &core.signals.broadcasts else { return };
    let receive = |message: &str| {
        if let Some(hint) = broadcasts.read(message) {
            core.signals.apply_hint(&hint);
        }
    };
    let mut warned_at: Option<Instant> = None;
    while !*stopping.borrow() {
        tokio::select! {
            error = broadcasts.way().run(&receive) => {
                if warned_at.is_none_or(|warned_at| warned_at.elapsed() > WARN_EVERY) {
                    warned_at = Some(Instant::now());
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
