//! Doing jobs: claim, work under a lease, and tell the queue how it went.

use std::{panic::AssertUnwindSafe, time::Instant};

use futures_util::FutureExt;
use portico_kernel::{Env, Job, StoreError};
use time::Duration;
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{interval_at, sleep},
};
use tracing::Instrument;

use super::handlers::{self, JobError};
use crate::{http::problem::chain, state::App};

/// Longest pause between two attempts.
const MAX_BACKOFF: Duration = Duration::HOUR;

/// Claims and does jobs until told to stop, then waits for the running ones.
pub async fn run(app: App, mut stopping: watch::Receiver<bool>) {
    let worker = app.env.random_uuid().to_string();
    let settings = app.settings.worker.clone();
    let lease = Duration::try_from(settings.lease).unwrap_or(Duration::SECOND);
    let mut running = JoinSet::new();
    while !*stopping.borrow() {
        let free = settings.concurrency.saturating_sub(running.len());
        let mut claimed = 0;
        if free > 0 {
            match app.jobs.claim(&worker, free as u32, lease, app.env.now()).await {
                Ok(jobs) => {
                    claimed = jobs.len();
                    for job in jobs {
                        let span = tracing::info_span!("job", kind = %job.kind, id = %job.id, request_id = %job.request_id);
                        running.spawn(work(app.clone(), worker.clone(), job).instrument(span));
                    }
                }
                Err(error) => tracing::warn!(error = %chain(&error), "jobs could not be claimed"),
            }
        }
        if claimed > 0 && claimed == free {
            // The pool is full; go on as soon as one is done.
            tokio::select! {
                _ = running.join_next() => {}
                _ = stopping.changed() => {}
            }
            continue;
        }
        tokio::select! {
            () = app.signals.jobs.notified() => {}
            () = sleep(settings.poll) => {}
            Some(_) = running.join_next() => {}
            _ = stopping.changed() => {}
        }
    }
    while running.join_next().await.is_some() {}
}

/// Does one job, keeping its lease alive.
async fn work(app: App, worker: String, job: Job) {
    let started = Instant::now();
    let lease = app.settings.worker.lease;
    let mut heartbeat = interval_at((Instant::now() + lease / 3).into(), lease / 3);
    let handler = AssertUnwindSafe(handlers::handle(&app, &job)).catch_unwind();
    tokio::pin!(handler);
    let result = loop {
        tokio::select! {
            result = &mut handler => break result.unwrap_or_else(|_| Err(JobError::Retry("the handler panicked".into()))),
            _ = heartbeat.tick() => {
                let until = app.env.now() + Duration::try_from(lease).unwrap_or(Duration::SECOND);
                match app.jobs.extend(&worker, job.id, until).await {
                    Ok(true) => {}
                    Ok(false) => {
                        tracing::warn!("the lease was lost; another worker has the job");
                        return;
                    }
                    Err(error) => tracing::warn!(error = %chain(&error), "the lease could not be extended"),
                }
            }
        }
    };
    let outcome = match settle(&app, &worker, &job, result).await {
        Ok(outcome) => outcome,
        Err(error) => {
            tracing::warn!(error = %chain(&error), "the outcome could not be stored; the job will run again");
            "unknown"
        }
    };
    metrics::histogram!("job_duration_seconds", "kind" => job.kind.clone(), "outcome" => outcome)
        .record(started.elapsed().as_secs_f64());
}

async fn settle(
    app: &App,
    worker: &str,
    job: &Job,
    result: Result<(), JobError>,
) -> Result<&'static str, StoreError> {
    match result {
        Ok(()) => {
            app.jobs.complete(worker, job.id).await?;
            Ok("done")
        }
        Err(JobError::Retry(error)) if job.attempts < job.max_attempts => {
            tracing::warn!(%error, attempt = job.attempts, "the job failed and will run again");
            let at = app.env.now() + backoff(&app.env, job.attempts);
            app.jobs.retry(worker, job.id, at, &error).await?;
            Ok("retried")
        }
        Err(JobError::Retry(error) | JobError::Fatal(error)) => {
            tracing::error!(%error, "the job is dead");
            // First the consequences, then the mark: dying in between runs the job once more, which is harmless.
            if let Err(error) = handlers::dead(app, job).await {
                tracing::error!(error = %chain(&error), "the consequences of a dead job could not be stored");
            }
            app.jobs.bury(worker, job.id, &error).await?;
            Ok("dead")
        }
    }
}

/// 1 s, 2 s, 4 s … up to an hour, each up to a quarter longer, so that jobs that failed together do not come back together.
fn backoff(env: &Env, attempts: u32) -> Duration {
    let exponent = attempts.saturating_sub(1).min(12);
    let base = Duration::seconds(1 << exponent).min(MAX_BACKOFF);
    let [random] = env.random_bytes::<1>();
    base + base * f64::from(random) / (4.0 * 255.0)
}
