//! Deleting from the audit trail what is older than it has to be kept.

use std::time::Duration;

use portico_kernel::StoreError;
use portico_tenancy::retention::{self, Retention};
use tokio::{sync::watch, time::sleep};

use super::READERS;
use crate::{http::problem::chain, state::App};

/// After the start, so that a server that is just starting has nothing else to do.
const FIRST: Duration = Duration::from_secs(60);

/// Between two rounds. A trail loses whole days, so most rounds find nothing.
const EVERY: Duration = Duration::from_secs(3600);

/// Deletes what is of age, every now and then, until told to stop.
pub async fn run(app: App, mut stopping: watch::Receiver<bool>) {
    let mut pause = FIRST;
    loop {
        tokio::select! {
            () = sleep(pause) => {}
            _ = stopping.changed() => return,
        }
        pause = EVERY;
        tokio::select! {
            result = round(&app) => if let Err(error) = result {
                tracing::warn!(error = %chain(&error), "the audit trail could not be shortened");
            },
            _ = stopping.changed() => return,
        }
    }
}

/// Deletes everything that is of age now, a batch in a transaction.
pub async fn round(app: &App) -> Result<(), StoreError> {
    let kept = app.settings.audit.retention;
    let kept = time::Duration::try_from(kept).ok().filter(|kept| !kept.is_zero());
    let readers: Vec<&'static str> = READERS.iter().map(|(name, _)| *name).collect();
    let due = Retention::new(kept).due(&mut *app.reader(), app.env.now()).await?;
    for (tenant, cutoff) in due {
        loop {
            let mut work = app.begin().await?;
            let more = retention::expire(&mut *work, &app.env, tenant, readers.clone(), cutoff).await?;
            work.commit().await?;
            if !more {
                break;
            }
        }
    }
    Ok(())
}
