//! Readers of the event log: each does its work in the transaction that advances its cursor.

use std::{sync::Arc, time::Duration};

use portico_kernel::{Env, Event, NewJob, StoreError};
use portico_otlp::{Span, Tracer, Work};
use tokio::{sync::watch, time::sleep};

use crate::{backoff::Backoff, core::Core};

pub use portico_tenancy::chain::SEALER;

/// Events read at once.
const BATCH: u32 = 500;

/// Pause between two rounds, so that on a busy system events are read in batches and not one by one.
const PAUSE: Duration = Duration::from_millis(100);

/// The same while there are [`MANY`] events: a round costs a transaction of five statements for each reader.
const PAUSE_WHEN_BUSY: Duration = Duration::from_millis(300);

/// Events of one reader in one round.
const MANY: usize = 20;

/// Turns events into jobs, in the transaction that advances its cursor.
#[derive(Clone, Copy)]
pub struct EventReader {
    /// The name of its cursor.
    pub name: &'static str,
    /// The jobs that follow from an event.
    pub jobs_for: fn(&Env, &Event) -> Vec<NewJob>,
}

/// Runs every reader until shutdown.
pub async fn run(core: Core, readers: Arc<[EventReader]>, mut stopping: watch::Receiver<bool>) {
    let mut backoff = Backoff::new("events could not be read");
    while !*stopping.borrow() {
        let (mut failure, mut is_busy) = (None, false);
        let all = readers.iter().map(|reader| (reader.name, Some(reader.jobs_for))).chain([(SEALER, None)]);
        for (name, jobs_for) in all {
            loop {
                match read(&core, name, jobs_for).await {
                    Ok(read) => {
                        is_busy |= read >= MANY;
                        if read < BATCH as usize {
                            break;
                        }
                    }
                    Err(error) => {
                        tracing::debug!(%error, reader = name, "events could not be read");
                        failure = Some(error);
                        break;
                    }
                }
            }
        }
        let pause = match &failure {
            Some(error) => backoff.failed(error),
            None => {
                backoff.succeeded();
                if is_busy { PAUSE_WHEN_BUSY } else { PAUSE }
            }
        };
        tokio::select! {
            () = sleep(pause) => {}
            _ = stopping.changed() => {}
        }
        tokio::select! {
            () = std::future::ready(()), if failure.is_some() => {}
            () = core.signals.events.notified() => {}
            () = sleep(core.settings.worker.poll) => {}
            _ = stopping.changed() => {}
        }
    }
}

/// Passes one batch to a reader, or seals it into the chains of the audit trail. Returns how many events it had.
async fn read(
    core: &Core,
    name: &'static str,
    jobs_for: Option<fn(&Env, &Event) -> Vec<NewJob>>,
) -> Result<usize, StoreError> {
    let mut work = core.begin().await?;
    let events = work.readers().take(name, BATCH).await?;
    if events.is_empty() {
        return Ok(0);
    }
    match jobs_for {
        Some(jobs_for) => {
            for event in &events {
                let jobs = jobs_for(&core.env, event);
                if jobs.is_empty() {
                    continue;
                }
                // The jobs follow from the event, and so belong to its trace and not to that of this batch.
                let enqueue = async {
                    for job in jobs {
                        work.jobs().enqueue(job).await?;
                    }
                    Ok::<(), StoreError>(())
                };
                span_of(&core.tracer, name, event).run(enqueue).await?;
            }
        }
        None => portico_tenancy::chain::seal(&mut *work, &core.env, &events).await?,
    }
    work.commit().await?;
    Ok(events.len())
}

/// The span of a reader's work on an event.
fn span_of(tracer: &Tracer, reader: &'static str, event: &Event) -> Span {
    let span = tracer.begin(Work::Later, format!("event {}", event.kind), event.trace_parent);
    if span.is_recorded() {
        span.set("portico.event.id", event.id.to_string());
        span.set("portico.reader", reader);
        span.set("portico.request_id", event.request_id.clone());
        span.set("portico.tenant.id", event.tenant.to_string());
    }
    span
}
