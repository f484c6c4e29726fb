//! Writing down how API keys were used, and forgetting what is too old.

use std::time::Duration;

use portico_identity::{IdentityError, api_key::usage::KeyUsage};
use tokio::{sync::watch, time::sleep};

use crate::state::App;

/// How much a crash may lose.
const EVERY: Duration = Duration::from_secs(2);

/// Writes down what is counted until told to stop, and then once more.
pub async fn run(app: App, mut stopping: watch::Receiver<bool>) {
    while !*stopping.borrow() {
        tokio::select! {
            () = sleep(EVERY) => {}
            _ = stopping.changed() => {}
        }
        app.key_usage.flush(&app).await;
    }
}

/// Deletes counts that are too old.
pub async fn forget(app: &App) -> Result<(), IdentityError> {
    let mut work = app.begin().await?;
    KeyUsage::new(&mut *work, &app.env).forget().await?;
    Ok(work.commit().await?)
}
