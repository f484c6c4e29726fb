//! Writing down how API keys were used, and forgetting what is too old.

use std::time::Duration;

use portico_identity::{IdentityError, api_key::usage::KeyUsage};
use tokio::{
    sync::watch,
    time::{Instant, sleep},
};

use crate::{http::problem::chain, state::App};

/// How much a crash may lose.
const EVERY: Duration = Duration::from_secs(2);

/// How often old counts are looked for.
const FORGET_EVERY: Duration = Duration::from_secs(3600);

/// Writes down what is counted until told to stop, and then once more.
pub async fn run(app: App, mut stopping: watch::Receiver<bool>) {
    let mut forget_at = Instant::now() + EVERY;
    while !*stopping.borrow() {
        tokio::select! {
            () = sleep(EVERY) => {}
            _ = stopping.changed() => {}
        }
        app.key_usage.flush(&app).await;
        if Instant::now() >= forget_at {
            forget_at = Instant::now() + FORGET_EVERY;
            if let Err(error) = forget(&app).await {
                tracing::warn!(error = %chain(&error), "old counts of keys could not be deleted");
            }
        }
    }
}

async fn forget(app: &App) -> Result<(), IdentityError> {
    let mut work = app.begin().await?;
    KeyUsage::new(&mut *work, &app.env).forget().await?;
    Ok(work.commit().await?)
}
