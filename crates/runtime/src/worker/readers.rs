//! Readers of the event log: their work is done in the transaction that advances their cursors, one for all of them (ADR 103).

use std::{sync::Arc, time::Duration};

use portico_kernel::{Env, Event, NewJob, StoreError, TakenEvents};
use portico_otlp::{Span, Tracer, Work};
use portico_tenancy::chain;
use tokio::{sync::watch, time::sleep};

use crate::{
    backoff::Backoff,
    core::Core,
    unread::{self, Pauses},
};

pub use portico_tenancy::chain::SEALER;

/// Events read at once.
const BATCH: u32 = 500;

/// Pause between two rounds while there are [`MANY`] events.
const PAUSE_WHEN_BUSY: Duration = Duration::from_millis(300);

/// Events of one round.
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
    let names: Vec<&'static str> = readers.iter().map(|reader| reader.name).chain([SEALER]).collect();
    let mut backoff = Backoff::new("events could not be read");
    let mut pauses = Pauses::new(core.settings.worker.poll);
    while !*stopping.borrow() {
        let pause = match read_all(&core, &readers, &names, &stopping).await {
            Ok(read) => {
                backoff.succeeded();
                let pause = pauses.after(read);
                if read >= MANY { PAUSE_WHEN_BUSY } else { pause }
            }
            Err(error) => backoff.failed(&error),
        };
        tokio::select! {
            () = sleep(pause) => {}
            _ = stopping.changed() => return,
        }
        if backoff.is_failing() {
            continue;
        }
        tokio::select! {
            () = unread::wait(&core, &names, &core.signals.events, &mut pauses) => {}
            _ = stopping.changed() => return,
        }
    }
}

/// Passes events to all readers of these names until each was given every one; where that fails, to each by itself, so that none holds up
/// the others. Returns how many were read.
async fn read_all(
    core: &Core,
    readers: &[EventReader],
    names: &[&'static str],
    stopping: &watch::Receiver<bool>,
) -> Result<usize, StoreError> {
    let error = match read_on(core, readers, names, stopping).await {
        Ok(read) => return Ok(read),
        Err(error) => error,
    };
    tracing::debug!(%error, "events could not be read for all readers at once");
    let (mut read, mut failure) = (0, None);
    for name in names {
        match read_on(core, readers, &[*name], stopping).await {
            Ok(own) => read += own,
            Err(error) => {
                tracing::debug!(%error, reader = name, "events could not be read");
                failure = Some(error);
            }
        }
    }
    failure.map_or(Ok(read), Err)
}

/// Passes events to the readers of these names, a transaction for each batch, until there are no more or the process stops. Returns how many
/// there were.
async fn read_on(
    core: &Core,
    readers: &[EventReader],
    names: &[&'static str],
    stopping: &watch::Receiver<bool>,
) -> Result<usize, StoreError> {
    let mut read = 0;
    loop {
        let taken = read_batch(core, readers, names).await?;
        read += taken.events.len();
        if taken.events.len() < BATCH as usize || *stopping.borrow() {
            return Ok(read);
        }
        // One that has much to catch up with, because it is new or failed for long, does not keep the others waiting.
        let ahead = taken.ahead();
        if !ahead.is_empty() {
            read += read_batch(core, readers, &ahead).await?.events.len();
        }
    }
}

/// Passes one batch to the readers of these names: enqueues the jobs that follow from it, and seals it into the chains of the audit trail.
async fn read_batch(
    core: &Core,
    readers: &[EventReader],
    names: &[&'static str],
) -> Result<TakenEvents, StoreError> {
    let mut work = core.begin().await?;
    let taken = work.readers().take(names.to_vec(), BATCH).await?;
    if taken.events.is_empty() {
        return Ok(taken);
    }
    for reader in readers {
        for event in taken.new_to(reader.name) {
            let jobs = (reader.jobs_for)(&core.env, event);
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
            span_of(&core.tracer, reader.name, event).run(enqueue).await?;
        }
    }
    chain::seal(&mut *work, &core.env, taken.new_to(SEALER)).await?;
    work.commit().await?;
    Ok(taken)
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
