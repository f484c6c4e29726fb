//! Writes the usage of API keys, and deletes old counts.

use std::time::Duration;

use portico_identity::{IdentityError, api_key::usage::KeyUsage};
use tokio::{sync::watch, time::sleep};

use crate::{backoff::Backoff, core::Core};

/// Interval of writing: the longest period that a crash may lose.
const EVERY: Duration = Duration::from_secs(2);

/// Writes counts periodically until shutdown, and then once more.
pub async fn run(core: Core, mut stopping: watch::Receiver<bool>) {
    let mut backoff = Backoff::new("the use of keys could not be recorded");
    let mut pause = EVERY;
    while !*stopping.borrow() {
        tokio::select! {
            () = sleep(pause) => {}
            _ = stopping.changed() => return core.key_usage.flush(&*core.store, &core.env).await,
        }
        pause = match core.key_usage.try_flush(&*core.store, &core.env).await {
            Ok(()) => {
                backoff.succeeded();
                EVERY
            }
            Err(error) => backoff.failed(&error).max(EVERY),
        };
    }
}

/// Deletes counts older than their retention.
pub async fn forget(core: &Core) -> Result<(), IdentityError> {
    let mut work = core.begin().await?;
    KeyUsage::new(&mut *work, &core.env).forget().await?;
    Ok(work.commit().await?)
}
