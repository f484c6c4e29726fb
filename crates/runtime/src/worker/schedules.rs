//! Work that comes round at an interval: whichever instance takes the turn does it, the others leave it alone.

use std::{
    panic::AssertUnwindSafe,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::{FutureExt, future::BoxFuture};
use portico_kernel::{Fault, StoreError, Timestamp};
use tokio::{
    sync::watch,
    time::{interval_at, sleep},
};

use super::{key_usage, retention};
use crate::{backoff::Backoff, core::Core, logging::chain};

/// After the start, so that a server that is just starting has nothing else to do.
const FIRST: Duration = Duration::from_secs(10);

/// How often to look whether something is due.
const LOOK: Duration = Duration::from_secs(30);

/// Pause after a failure, where the interval is not shorter.
const AGAIN: Duration = Duration::from_secs(60);

/// The interval of what deletes old rows.
pub const HOUR: Duration = Duration::from_secs(3600);

/// Something that is done at intervals, by one instance at a time.
#[derive(Clone)]
pub struct Schedule {
    /// Its name in the database and in metrics.
    pub name: &'static str,
    /// From the beginning of one round to that of the next.
    pub every: Duration,
    /// One round; an error says what went wrong. May be cut off and run again.
    work: Arc<dyn Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync>,
}

impl Schedule {
    /// Does `work` with the parts of a feature.
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

/// What features do at intervals, and what is done for all of them.
pub fn all(core: &Core, readers: Vec<&'static str>, features: &[Schedule]) -> Vec<Schedule> {
    let retention = (core.clone(), readers);
    let own = [
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

/// Takes the turns that come to this process until told to stop.
pub async fn run(core: Core, schedules: Vec<Schedule>, mut stopping: watch::Receiver<bool>) {
    let worker = core.env.random_uuid().to_string();
    let mut backoff = Backoff::new("whose turn at scheduled work it is cannot be told");
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
                    // The round is cut off; somebody else may begin it again at once.
                    end(&core, &worker, schedule, core.env.now()).await;
                    return;
                }
            }
        }
    }
}

/// Does the work of a schedule if it is due and nobody else is at it. Answers whether it did.
pub async fn turn(core: &Core, worker: &str, schedule: &Schedule) -> bool {
    try_turn(core, worker, schedule).await.unwrap_or_default()
}

/// Like [`turn`].
///
/// # Errors
/// When nobody can say whose turn it is.
async fn try_turn(core: &Core, worker: &str, schedule: &Schedule) -> Result<bool, StoreError> {
    let (began, started) = (core.env.now(), Instant::now());
    let lease = time::Duration::try_from(core.settings.worker.lease).unwrap_or(time::Duration::SECOND);
    if !core.schedules.take_turn(schedule.name, worker, lease, began).await? {
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
    metrics::histogram!("schedule_duration_seconds", "schedule" => schedule.name, "outcome" => outcome)
        .record(started.elapsed().as_secs_f64());
    let due =
        if done { began + delay(schedule.every) } else { core.env.now() + delay(schedule.every.min(AGAIN)) };
    end(core, worker, schedule, due).await;
    Ok(true)
}

/// One round, while the lease is kept alive; `None` when it was lost.
async fn under_lease(
    core: &Core,
    worker: &str,
    schedule: &Schedule,
    lease: time::Duration,
) -> Option<Result<(), String>> {
    let beat = core.settings.worker.lease / 3;
    let mut heartbeat = interval_at((Instant::now() + beat).into(), beat);
    let work = AssertUnwindSafe((schedule.work)()).catch_unwind();
    tokio::pin!(work);
    loop {
        tokio::select! {
            result = &mut work => return Some(result.unwrap_or_else(|_| Err("it panicked".to_owned()))),
            _ = heartbeat.tick() => match core.schedules.extend_turn(schedule.name, worker, core.env.now() + lease).await {
                Ok(true) => {}
                Ok(false) => return None,
                Err(error) => {
                    tracing::warn!(error = %chain(&error), schedule = schedule.name, "the lease could not be extended");
                }
            },
        }
    }
}

/// Gives up the turn. Where that fails, the lease runs out.
async fn end(core: &Core, worker: &str, schedule: &Schedule, due: Timestamp) {
    if let Err(error) = core.schedules.end_turn(schedule.name, worker, due).await {
        tracing::warn!(error = %chain(&error), schedule = schedule.name, "the end of a turn could not be stored");
    }
}

fn delay(duration: Duration) -> time::Duration {
    duration.try_into().unwrap_or(time::Duration::HOUR)
}
