//! Readers of the event log: each does its part in the transaction that moves its cursor.

use std::time::Duration;

use portico_kernel::{Env, Event, NewJob, StoreError};
use portico_tenancy::chain::SEALER;
use tokio::{sync::watch, time::sleep};

use crate::{
    flows::{account_mail, avatars},
    report,
    state::App,
    traces, webhooks,
};

/// Events read at once.
const BATCH: u32 = 500;

/// Pause between two rounds, so that a busy system reads in batches and not event by event.
const PAUSE: Duration = Duration::from_millis(100);

/// What a reader does with events.
#[derive(Clone, Copy)]
pub enum Reader {
    /// Turns each into jobs.
    Jobs(fn(&Env, &Event) -> Vec<NewJob>),
    /// Seals them into the chains of the audit trail.
    Seal,
    /// Reads in a task of its own.
    Elsewhere,
}

/// Every reader by the name of its cursor.
pub const READERS: &[(&str, Reader)] = &[
    ("account_mail", Reader::Jobs(account_mail::jobs_for)),
    ("avatars", Reader::Jobs(avatars::jobs_for)),
    (SEALER, Reader::Seal),
    (webhooks::READER, Reader::Elsewhere),
];

/// Lets every reader read until told to stop.
pub async fn run(app: App, mut stopping: watch::Receiver<bool>) {
    while !*stopping.borrow() {
        for (name, reader) in READERS.iter().filter(|(_, reader)| !matches!(reader, Reader::Elsewhere)) {
            loop {
                match read(&app, name, *reader).await {
                    Ok(read) if read == BATCH as usize => {}
                    Ok(_) => break,
                    Err(error) => {
                        report::warn_about("events could not be read", name, &error);
                        break;
                    }
                }
            }
        }
        tokio::select! {
            () = sleep(PAUSE) => {}
            _ = stopping.changed() => {}
        }
        tokio::select! {
            () = app.signals.events.notified() => {}
            () = sleep(app.settings.worker.poll) => {}
            _ = stopping.changed() => {}
        }
    }
}

/// Hands one batch to a reader. Answers how many events it had.
async fn read(app: &App, name: &'static str, reader: Reader) -> Result<usize, StoreError> {
    let mut work = app.begin().await?;
    let events = work.readers().take(name, BATCH).await?;
    if events.is_empty() {
        return Ok(0);
    }
    match reader {
        Reader::Jobs(jobs_for) => {
            for event in &events {
                let jobs = jobs_for(&app.env, event);
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
                traces::of_event(&app.tracer, name, event).run(enqueue).await?;
            }
        }
        Reader::Elsewhere => return Ok(0),
        Reader::Seal => portico_tenancy::chain::seal(&mut *work, &app.env, &events).await?,
    }
    work.commit().await?;
    Ok(events.len())
}
