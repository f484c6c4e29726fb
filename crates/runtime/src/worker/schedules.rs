//! Periodic work: the instance that gets the lease runs it, the others skip it.

use std::{
    panic::AssertUnwindSafe,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::{FutureExt, future::BoxFuture};
use portico_kernel::{Fault, StoreError, Timestamp};
use tokio::{sync::watch, time::sleep};

use super::{key_usage, leases, retention, usage};
use crate::{backoff::Backoff, core::Core, logging::chain};

/// Delay after the start, so that a starting server is not busy with it.
const FIRST: Duration = Duration::from_secs(10);

/// Interval of checking whether a schedule is due.
const LOOK: Duration = Duration::from_secs(30);

/// Pause after a failure, where the interval is not shorter.
const AGAIN: Duration = Duration::from_secs(60);

/// Interval of deleting old rows.
pub const HOUR: Duration = Duration::from_secs(3600);

/// Periodic work, run by one instance at a time.
#[derive(Clone)]
pub struct Schedule {
    /// Its name in the database and in metrics.
    pub name: &'static str,
    /// Time from the beginning of one round to that of the next.
    pub every: Duration,
    /// One round; the error is logged. May be aborted and run again.
    work: Arc<dyn Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync>,
}

impl Schedule {
    /// Runs `work` with the dependencies of a feature.
    pub fn new<S, E>(
        name: &'static str,
        every: Duration,
        state: &S,
        work: for<'a> fn(&'a S) -> BoxFuture<'a, Result<(), E>>,
    ) -> Self
    where
        S: Clone + Send + Sync + 'static,
        E: Fault + 'static,
    {
        let state = state.clone();
        let work = move || {
            let state = state.clone();
            async move { work(&state).await.map_err(|error| chain(&error)) }.boxed()
        };
        Self { name, every, work: Arc::new(work) }
    }
}

/// The schedules of the features, and those common to all.
pub fn all(core: &Core, readers: Vec<&'static str>, features: &[Schedule]) -> Vec<Schedule> {
    let retention = (core.clone(), readers);
    let own = [
        Schedule::new("usage_days", usage::RECORD_EVERY, core, |core| Box::pin(usage::record_day(core))),
        Schedule::new("over_limit", HOUR, core, |core| Box::pin(usage::look_again(core))),
        Schedule::new("sweep", Duration::from_secs(600), core, |core| Box::pin(sweep(core))),
        Schedule::new("audit_retention", HOUR, &retention, |(core, readers)| {
            Box::pin(retention::round(core, readers))
        }),
        Schedule::new("key_usage_retention", HOUR, core, |core| Box::pin(key_usage::forget(core))),
    ];
    own.into_iter().chain(features.iter().cloned()).collect()
}

async fn sweep(core: &Core) -> Result<(), StoreError> {
    let rows = core.store.sweep(core.env.now()).await?;
    tracing::debug!(rows, "expired rows deleted");
    Ok(())
}

/// Runs due schedules until shutdown.
pub async fn run(core: Core, schedules: Vec<Schedule>, mut stopping: watch::Receiver<bool>) {
    let worker = core.env.random_uuid().to_string();
    let mut backoff = Backoff::new("the lease of a scheduled task cannot be read");
    let mut pause = FIRST;
    loop {
        tokio::select! {
            () = sleep(pause) => {}
            _ = stopping.changed() => return,
        }
        pause = LOOK;
        for schedule in &schedules {
            tokio::select! {
                taken = try_turn(&core, &worker, schedule) => match taken {
                    Ok(_) => backoff.succeeded(),
                    Err(error) => {
                        pause = backoff.failed(&error);
                        break;
                    }
                },
                _ = stopping.changed() => {
                    // The round is aborted; another instance may start it again at once.
                    end(&core, &worker, schedule, core.env.now()).await;
                    return;
                }
            }
        }
    }
}

/// Runs a schedule if it is due and no other instance is running it. Returns whether it did.
pub async fn turn(core: &Core, worker: &str, schedule: &Schedule) -> bool {
    try_turn(core, worker, schedule).await.unwrap_or_default()
}

/// Like [`turn`].
///
/// # Errors
/// When the database cannot be asked for the lease.
async fn try_turn(core: &Core, worker: &str, schedule: &Schedule) -> Result<bool, StoreError> {
    let (began, started) = (core.env.now(), Instant::now());
    let lease = time::Duration::try_from(core.settings.worker.lease).unwrap_or(time::Duration::SECOND);
    if !core.schedules.acquire_lease(schedule.name, worker, lease, began).await? {
        return Ok(false);
    }
    let done = match under_lease(core, worker, schedule, lease).await {
        Some(Ok(())) => true,
        Some(Err(error)) => {
            tracing::warn!(error, schedule = schedule.name, "scheduled work failed; it will be tried again");
            false
        }
        None => {
            tracing::warn!(schedule = schedule.name, "the lease was lost; another instance has the turn");
            return Ok(false);
        }
    };
    let outcome = if done { "done" } else { "failed" };
    metrics::histogram!("portico_schedule_duration_seconds", "schedule" => schedule.name, "outcome" => outcome)
        .record(started.elapsed().as_secs_f64());
    let due =
        if done { began + delay(schedule.every) } else { core.env.now() + delay(schedule.every.min(AGAIN)) };
    end(core, worker, schedule, due).await;
    Ok(true)
}

/// One round, while its lease is renewed; `None` when the lease was lost.
async fn under_lease(
    core: &Core,
    worker: &str,
    schedule: &Schedule,
    lease: time::Duration,
) -> Option<Result<(), String>> {
    let work = AssertUnwindSafe((schedule.work)()).catch_unwind();
    let kept = leases::keep(core.settings.worker.lease, schedule.name, || {
        core.schedules.extend_lease(schedule.name, worker, core.env.now() + lease)
    });
    tokio::select! {
        result = work => Some(result.unwrap_or_else(|_| Err("it panicked".to_owned()))),
        () = kept => None,
    }
}

/// Releases the lease. If that fails, it expires.
async fn end(core: &Core, worker: &str, schedule: &Schedule, due: Timestamp) {
    if let Err(error) = core.schedules.release_lease(schedule.name, worker, due).await {
        tracing::warn!(error = %chain(&error), schedule = schedule.name, "the end of a turn could not be stored");
    }
}

fn delay(duration: Duration) -> time::Duration {
    duration.try_into().unwrap_or(time::Duration::HOUR)
}
