//! Running jobs in a test, as a worker would.

use std::sync::Arc;

use portico::{background, state::App};
use portico_kernel::Job;
use portico_runtime::worker::jobs::JobError;

/// Runs a job.
///
/// # Errors
/// As the handler fails.
pub async fn handle(app: &App, job: &Job) -> Result<(), JobError> {
    background::handlers(app).handle(&Arc::new(job.clone())).await
}

/// Runs what follows when a job has failed for good.
///
/// # Errors
/// As the handler fails.
pub async fn give_up(app: &App, job: &Job) -> Result<(), JobError> {
    background::handlers(app).give_up(&Arc::new(job.clone())).await
}
