//! Work that comes round at an interval: whichever instance takes the turn does it, the others leave it alone.

use std::{
    panic::AssertUnwindSafe,
    pin::Pin,
    time::{Duration, Instant},
};

use futures_util::FutureExt;
use portico_kernel::{Fault, Timestamp};
use tokio::{
    sync::watch,
    time::{interval_at, sleep},
};

use super::{key_usage, retention, visits};
use crate::{flows::deliveries, http::problem::chain, report, state::App};

/// After the start, so that a server that is just starting has nothing else to do.
const FIRST: Duration = Duration::from_secs(10);

/// How often to look whether something is due.
const LOOK: Duration = Duration::from_secs(30);

/// Pause after a failure, where the interval is not shorter.
const AGAIN: Duration = Duration::from_secs(60);

const HOUR: Duration = Duration::from_secs(3600);

/// A round under way; an error says what went wrong.
type Round<'a> = Pin<Box<dyn Future<Output = Result<(), String>> + Send + 'a>>;

/// Something that is to be done now and then, once over all instances.
pub struct Schedule {
    /// What it goes by in the database and in metrics.
    pub name: &'static str,
    /// From the beginning of one round to that of the next.
    pub every: Duration,
    /// One round. May be cut off and run again.
    pub work: for<'a> fn(&'a App) -> Round<'a>,
}

/// Everything that comes round.
pub const SCHEDULES: &[Schedule] = &[
    Schedule { name: "sweep", every: Duration::from_secs(600), work: |app| Box::pin(sweep(app)) },
    Schedule { name: "audit_retention", every: HOUR, work: |app| Box::pin(told(retention::round(app))) },
    Schedule { name: "key_usage_retention", every: HOUR, work: |app| Box::pin(told(key_usage::forget(app))) },
    Schedule { name: "site_retention", every: HOUR, work: |app| Box::pin(told(visits::forget(app))) },
    Schedule { name: "delivery_retention", every: HOUR, work: |app| Box::pin(told(deliveries::forget(app))) },
];

async fn told<F: Fault>(work: impl Future<Output = Result<(), F>>) -> Result<(), String> {
    work.await.map_err(|error| chain(&error))
}

async fn sweep(app: &App) -> Result<(), String> {
    let rows = app.store.sweep(app.env.now()).await.map_err(|error| chain(&error))?;
    tracing::debug!(rows, "expired rows deleted");
    Ok(())
}

/// Takes the turns that come to this process until told to stop.
pub async fn run(app: App, mut stopping: watch::Receiver<bool>) {
    let worker = app.env.random_uuid().to_string();
    let mut pause = FIRST;
    loop {
        tokio::select! {
            () = sleep(pause) => {}
            _ = stopping.changed() => return,
        }
        pause = LOOK;
        for schedule in SCHEDULES {
            tokio::select! {
                _ = turn(&app, &worker, schedule) => {}
                _ = stopping.changed() => {
                    // The round is cut off; somebody else may begin it again at once.
                    end(&app, &worker, schedule, app.env.now()).await;
                    return;
                }
            }
        }
    }
}

/// Does the work of a schedule if it is due and nobody else is at it. Answers whether it did.
pub async fn turn(app: &App, worker: &str, schedule: &Schedule) -> bool {
    let (began, started) = (app.env.now(), Instant::now());
    let lease = time::Duration::try_from(app.settings.worker.lease).unwrap_or(time::Duration::SECOND);
    match app.schedules.take_turn(schedule.name, worker, lease, began).await {
        Ok(true) => {}
        Ok(false) => return false,
        Err(error) => {
            report::warn_about("whose turn it is cannot be told", schedule.name, &error);
            return false;
        }
    }
    let done = match under_lease(app, worker, schedule, lease).await {
        Some(Ok(())) => true,
        Some(Err(error)) => {
            tracing::warn!(error, schedule = schedule.name, "scheduled work failed; it will be tried again");
            false
        }
        None => {
            tracing::warn!(schedule = schedule.name, "the lease was lost; another instance has the turn");
            return false;
        }
    };
    let outcome = if done { "done" } else { "failed" };
    metrics::histogram!("schedule_duration_seconds", "schedule" => schedule.name, "outcome" => outcome)
        .record(started.elapsed().as_secs_f64());
    let due =
        if done { began + delay(schedule.every) } else { app.env.now() + delay(schedule.every.min(AGAIN)) };
    end(app, worker, schedule, due).await;
    true
}

/// One round, while the lease is kept alive; `None` when it was lost.
async fn under_lease(
    app: &App,
    worker: &str,
    schedule: &Schedule,
    lease: time::Duration,
) -> Option<Result<(), String>> {
    let beat = app.settings.worker.lease / 3;
    let mut heartbeat = interval_at((Instant::now() + beat).into(), beat);
    let work = AssertUnwindSafe((schedule.work)(app)).catch_unwind();
    tokio::pin!(work);
    loop {
        tokio::select! {
            result = &mut work => return Some(result.unwrap_or_else(|_| Err("it panicked".to_owned()))),
            _ = heartbeat.tick() => match app.schedules.extend_turn(schedule.name, worker, app.env.now() + lease).await {
                Ok(true) => {}
                Ok(false) => return None,
                Err(error) => {
                    report::warn_about("the lease could not be extended", schedule.name, &error);
                }
            },
        }
    }
}

/// Gives up the turn. Where that fails, the lease runs out.
async fn end(app: &App, worker: &str, schedule: &Schedule, due: Timestamp) {
    if let Err(error) = app.schedules.end_turn(schedule.name, worker, due).await {
        report::warn_about("the end of a turn could not be stored", schedule.name, &error);
    }
}

fn delay(duration: Duration) -> time::Duration {
    duration.try_into().unwrap_or(time::Duration::HOUR)
}
