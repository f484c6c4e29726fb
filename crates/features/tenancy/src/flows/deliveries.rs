//! Webhook deliveries in the background: bulk resending, and deletion of old attempts.

use portico_kernel::{Job, StoreError};
use portico_runtime::{
    events::catalogue,
    worker::jobs::{JobError, scope},
};
use portico_tenancy::delivery::{Deliveries, ResendPlan};

use crate::state::App;

/// Attempts that are deleted in one transaction.
const ROWS: u64 = 1000;

/// `webhook.resend`: queues all events of a period again, one batch in a transaction.
pub async fn resend(app: &App, plan: ResendPlan, job: &Job) -> Result<(), JobError> {
    let mut last = None;
    loop {
        let mut work = app.core.begin().await?;
        last = Deliveries::new(&mut *work, &scope(job), &app.core.env).plan(&plan, last, catalogue()).await?;
        work.commit().await?;
        if last.is_none() {
            return Ok(());
        }
    }
}

/// Deletes attempts older than the configured retention.
pub async fn forget(app: &App) -> Result<(), StoreError> {
    let kept = app.core.settings.webhooks.delivery_retention;
    let Some(kept) = time::Duration::try_from(kept).ok().filter(|kept| !kept.is_zero()) else {
        return Ok(());
    };
    loop {
        let mut work = app.core.begin().await?;
        let forgotten = work.deliveries().forget(app.core.env.now() - kept, ROWS).await?;
        work.commit().await?;
        if forgotten < ROWS {
            return Ok(());
        }
    }
}
