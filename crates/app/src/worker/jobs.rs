//! Doing jobs: claim, work under a lease, and tell the queue how it went.

use std::{
    collections::{BTreeSet, VecDeque},
    panic::AssertUnwindSafe,
    time::{Duration, Instant},
};

use futures_util::FutureExt;
use portico_kernel::{Env, Fault, Job, JobId, Kind, StoreError};
use tokio::{
    sync::{mpsc, watch},
    task::{JoinError, JoinSet},
    time::{interval_at, sleep, sleep_until, timeout},
};
use tracing::Instrument;

use super::{
    handlers::{self, JobError},
    pace::Pace,
};
use crate::{backoff::Backoff, http::problem::chain, report, state::App, traces};

/// Longest pause between two attempts.
const MAX_BACKOFF: time::Duration = time::Duration::HOUR;

/// How long a job may take. What it calls has shorter deadlines of its own; this keeps one that hangs all the same from keeping a
/// hand for ever. It is tried again.
const LONGEST: Duration = Duration::from_secs(15 * 60);

/// How long a claimed job may wait for its turn here before another process may have it.
const HOLD: Duration = Duration::from_millis(500);

/// Jobs that are told to be done in one statement.
const BATCH: usize = 256;

/// Pause before the database is told again.
const PAUSE: Duration = Duration::from_millis(100);

/// Claims and does jobs until told to stop, then waits for the running ones.
pub async fn run(app: App, mut stopping: watch::Receiver<bool>) {
    let (done, finished) = mpsc::channel(BATCH);
    let worker = app.env.random_uuid().to_string();
    let completing = tokio::spawn(complete(app.clone(), worker.clone(), finished));
    let mut hands = Hands {
        app,
        worker,
        done,
        claiming: JoinSet::new(),
        waiting: VecDeque::new(),
        running: JoinSet::new(),
        held: BTreeSet::new(),
        pace: Pace::default(),
        seen_all: false,
        backoff: Backoff::new("jobs could not be claimed"),
        pause: None,
    };
    let poll = hands.app.settings.worker.poll;
    while !*stopping.borrow() {
        hands.begin();
        hands.claim();
        let (idle, overdue) = (hands.seen_all && hands.claiming.is_empty(), hands.overdue());
        tokio::select! {
            Some(claimed) = hands.claiming.join_next() => hands.take(claimed),
            Some(ended) = hands.running.join_next() => hands.note(ended),
            () = hands.app.signals.jobs.notified(), if idle && hands.pause.is_none() => hands.seen_all = false,
            () = sleep(hands.pause.unwrap_or(poll)), if idle => hands.seen_all = false,
            () = sleep_until(overdue.unwrap_or_else(Instant::now).into()), if overdue.is_some() => hands.give_back().await,
            _ = stopping.changed() => {}
        }
    }
    while let Some(claimed) = hands.claiming.join_next().await {
        hands.take(claimed);
    }
    hands.give_back().await;
    hands.finish().await;
    drop(hands);
    if completing.await.is_err() {
        tracing::error!("the task that completes jobs panicked; they will run again");
    }
}

/// What came of a claim: the jobs, and whether there may be more.
type Claim = Result<(Vec<Job>, bool), StoreError>;

/// The jobs that this process has claimed.
struct Hands {
    app: App,
    worker: String,
    /// Takes those that are done.
    done: mpsc::Sender<JobId>,
    /// One claim at most, made while there still is something to do.
    claiming: JoinSet<Claim>,
    /// Those that were claimed because they will be begun in a moment, and since when.
    waiting: VecDeque<(Instant, Job)>,
    running: JoinSet<(JobId, Duration)>,
    /// Those that run.
    held: BTreeSet<JobId>,
    pace: Pace,
    /// Whether the latest claim found less than it would have taken.
    seen_all: bool,
    backoff: Backoff,
    /// Before the next claim, after one that failed.
    pause: Option<Duration>,
}

impl Hands {
    /// Begins to claim jobs for free hands, and those that will follow them at once, when it is time to.
    fn claim(&mut self) {
        let concurrency = self.app.settings.worker.concurrency;
        let ahead = self.pace.ahead(concurrency);
        let wanted = (concurrency + ahead).saturating_sub(self.running.len() + self.waiting.len());
        if self.seen_all || !self.claiming.is_empty() || self.waiting.len() > ahead / 2 || wanted == 0 {
            return;
        }
        let (app, worker) = (self.app.clone(), self.worker.clone());
        self.claiming.spawn(async move {
            let jobs = app.jobs.claim(&worker, wanted as u32, lease(&app), app.env.now()).await?;
            let full = jobs.len() == wanted;
            Ok((jobs, full))
        });
    }

    /// Takes what was claimed.
    fn take(&mut self, claimed: Result<Claim, JoinError>) {
        match claimed {
            Ok(Ok((jobs, full))) => {
                let now = Instant::now();
                self.waiting.extend(jobs.into_iter().map(|job| (now, job)));
                self.seen_all = !full;
                self.backoff.succeeded();
                self.pause = None;
            }
            Ok(Err(error)) => {
                self.seen_all = true;
                self.pause = Some(self.backoff.failed(&error));
            }
            Err(error) => {
                self.seen_all = true;
                self.pause = Some(self.backoff.failed(&error));
            }
        }
    }

    /// When others are to have what waits here.
    fn overdue(&self) -> Option<Instant> {
        self.waiting.front().map(|(since, _)| *since + HOLD)
    }

    /// Begins waiting jobs as far as there are hands.
    fn begin(&mut self) {
        while self.running.len() < self.app.settings.worker.concurrency
            && let Some((_, job)) = self.waiting.pop_front()
        {
            let span =
                tracing::info_span!("job", kind = %job.kind, id = %job.id, request_id = %job.request_id);
            self.held.insert(job.id);
            let work = work(self.app.clone(), self.worker.clone(), self.done.clone(), job);
            self.running.spawn(work.instrument(span));
        }
    }

    fn note(&mut self, ended: Result<(JobId, Duration), JoinError>) {
        if let Ok((id, took)) = ended {
            self.held.remove(&id);
            self.pace.note(took);
        }
        while let Some(Ok((id, took))) = self.running.try_join_next() {
            self.held.remove(&id);
            self.pace.note(took);
        }
    }

    /// Lets others have what has waited for too long.
    async fn give_back(&mut self) {
        let ids: Vec<JobId> = self.waiting.drain(..).map(|(_, job)| job.id).collect();
        release(&self.app, &self.worker, &ids).await;
        self.pace.note(HOLD);
    }

    /// Waits for the running jobs. Those that take too long are cut off, as if the process had died, and are free for others at
    /// once.
    async fn finish(&mut self) {
        let patience = self.app.settings.server.shutdown_timeout.mul_f32(0.9);
        let ending = async {
            while let Some(ended) = self.running.join_next().await {
                if let Ok((id, _)) = ended {
                    self.held.remove(&id);
                }
            }
        };
        if timeout(patience, ending).await.is_err() {
            self.running.shutdown().await;
            let ids: Vec<JobId> = std::mem::take(&mut self.held).into_iter().collect();
            tracing::warn!(jobs = ids.len(), "running jobs did not end in time; others will do them");
            release(&self.app, &self.worker, &ids).await;
        }
    }
}

async fn release(app: &App, worker: &str, ids: &[JobId]) {
    if let Err(error) = app.jobs.release(worker, ids).await {
        tracing::warn!(error = %chain(&error), "jobs could not be handed back; their leases will run out");
    }
}

/// Tells the queue what is done: all that has come together while it was told the last time.
async fn complete(app: App, worker: String, mut finished: mpsc::Receiver<JobId>) {
    let mut batch = Vec::with_capacity(BATCH);
    while finished.recv_many(&mut batch, BATCH).await > 0 {
        let begun = Instant::now();
        while let Err(error) = app.jobs.complete(&worker, &batch).await {
            // While the leases last, telling again is better than doing again.
            if error.kind() != Kind::Unavailable || begun.elapsed() > app.settings.worker.lease / 2 {
                let (error, jobs) = (chain(&error), batch.len());
                tracing::warn!(error, jobs, "what was done could not be stored; the jobs will run again");
                break;
            }
            sleep(PAUSE).await;
        }
        batch.clear();
    }
}

fn lease(app: &App) -> time::Duration {
    app.settings.worker.lease.try_into().unwrap_or(time::Duration::SECOND)
}

/// Does one job, keeping its lease alive. Answers how long it took.
async fn work(app: App, worker: String, done: mpsc::Sender<JobId>, job: Job) -> (JobId, Duration) {
    let started = Instant::now();
    let beat = app.settings.worker.lease / 3;
    let mut heartbeat = interval_at((started + beat).into(), beat);
    let handler = AssertUnwindSafe(handlers::handle(&app, &job)).catch_unwind();
    let handler = traces::job(&app.tracer, &job, async {
        handler.await.unwrap_or_else(|_| Err(JobError::Retry("the handler panicked".into())))
    });
    tokio::pin!(handler);
    let result = loop {
        tokio::select! {
            result = &mut handler => break result,
            () = sleep_until((started + LONGEST).into()) => break Err(JobError::Retry("it took too long".into())),
            _ = heartbeat.tick() => {
                match app.jobs.extend(&worker, job.id, app.env.now() + lease(&app)).await {
                    Ok(true) => {}
                    Ok(false) => {
                        tracing::warn!("the lease was lost; another worker has the job");
                        return (job.id, started.elapsed());
                    }
                    Err(error) => report::warn("the lease of a job could not be extended", &error),
                }
            }
        }
    };
    let took = started.elapsed();
    let outcome = match result {
        Ok(()) => {
            // The other end lives as long as this one; were it gone, the job would run again.
            let _ = done.send(job.id).await;
            "done"
        }
        Err(error) => match failed(&app, &worker, &job, error).await {
            Ok(outcome) => outcome,
            Err(error) => {
                tracing::warn!(error = %chain(&error), "the outcome could not be stored; the job will run again");
                "unknown"
            }
        },
    };
    metrics::histogram!("job_duration_seconds", "kind" => job.kind.clone(), "outcome" => outcome)
        .record(started.elapsed().as_secs_f64());
    (job.id, took)
}

async fn failed(app: &App, worker: &str, job: &Job, error: JobError) -> Result<&'static str, StoreError> {
    match error {
        JobError::Retry(error) if job.attempts < job.max_attempts => {
            tracing::warn!(%error, attempt = job.attempts, "the job failed and will run again");
            let at = app.env.now() + backoff(&app.env, job.attempts);
            app.jobs.retry(worker, job.id, at, &error).await?;
            Ok("retried")
        }
        JobError::Retry(error) | JobError::Fatal(error) => {
            report::dead_job(job, &error);
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
fn backoff(env: &Env, attempts: u32) -> time::Duration {
    let exponent = attempts.saturating_sub(1).min(12);
    let base = time::Duration::seconds(1 << exponent).min(MAX_BACKOFF);
    let [random] = env.random_bytes::<1>();
    base + base * f64::from(random) / (4.0 * 255.0)
}
