//! Running jobs: claim, work under a lease, and report the result to the queue.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    panic::AssertUnwindSafe,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::{FutureExt, future::BoxFuture};
use portico_kernel::{Env, Fault, Job, JobId, JobType, Kind, RequestInfo, Scope, StoreError, Timestamp};
use portico_otlp::Tracer;
use tokio::{
    sync::{mpsc, watch},
    task::{JoinError, JoinSet},
    time::{sleep, sleep_until, timeout},
};
use tracing::Instrument;

use super::{
    leases,
    pace::{Pace, slots},
};
use crate::{
    backoff::Backoff,
    context::{CURRENT, RequestContext},
    core::Core,
    logging::chain,
    report,
};

/// Longest pause between two attempts.
const MAX_BACKOFF: time::Duration = time::Duration::HOUR;

/// Timeout of a job. The calls it makes have shorter timeouts; this keeps a hanging job from occupying a worker slot
/// forever. It is retried.
const LONGEST: Duration = Duration::from_secs(15 * 60);

/// How long a claimed job may wait here before it is released for other processes.
const HOLD: Duration = Duration::from_millis(500);

/// How often to look whether requests still wait, while jobs are held back for them.
const GLANCE: Duration = Duration::from_millis(20);

/// Pause after which a job of a kind that is not known here is offered to all instances again: a tenth of the time since it was due, at
/// least and at most this. Many of them are a day's work for the database otherwise, where there is no newer instance any more.
const ELSEWHERE: [time::Duration; 2] = [time::Duration::seconds(10), time::Duration::HOUR];

/// How long after it was due a job of a kind that is not known here is left to instances of another version: longer than it takes to
/// replace all of them.
const UPGRADE: time::Duration = time::Duration::DAY;

/// Completed jobs reported in one statement.
const BATCH: usize = 256;

/// Pause before a failed report is repeated.
const PAUSE: Duration = Duration::from_millis(100);

/// How a job fails.
#[derive(Debug)]
pub enum JobError {
    /// A retry may succeed.
    Retry(String),
    /// A retry cannot succeed.
    Fatal(String),
}

impl<F: Fault> From<F> for JobError {
    fn from(fault: F) -> Self {
        match fault.kind() {
            Kind::Internal | Kind::Unavailable | Kind::Conflict | Kind::RateLimited => {
                Self::Retry(chain(&fault))
            }
            _ => Self::Fatal(chain(&fault)),
        }
    }
}

/// Runs a job with the dependencies of a feature. May run more than once for the same job, and must then have the effect of
/// one run.
pub type Work<S, J> = for<'a> fn(&'a S, J, &'a Job) -> BoxFuture<'a, Result<(), JobError>>;

type Handler = Box<dyn Fn(Arc<Job>) -> BoxFuture<'static, Result<(), JobError>> + Send + Sync>;

/// The handlers of jobs, by type.
#[derive(Default)]
pub struct Handlers {
    handlers: HashMap<&'static str, Handler>,
    given_up: HashMap<&'static str, Handler>,
}

impl Handlers {
    /// Registers the handler of a type of job.
    pub fn on<S: Clone + Send + Sync + 'static, J: JobType>(&mut self, state: &S, work: Work<S, J>) {
        self.handlers.insert(J::KIND, handler(state, work));
    }

    /// Registers a handler that runs after a job of a type failed for good. It is not called for a job whose payload cannot
    /// be read.
    pub fn when_given_up<S: Clone + Send + Sync + 'static, J: JobType>(
        &mut self,
        state: &S,
        work: Work<S, J>,
    ) {
        self.given_up.insert(J::KIND, handler(state, work));
    }

    /// Whether a job is of a kind that is not known here, and was due so recently that instances of another version may know it.
    fn leave(&self, job: &Job, now: Timestamp) -> bool {
        !self.handlers.contains_key(job.kind.as_str()) && now < due(job) + UPGRADE
    }

    /// Runs a job.
    ///
    /// # Errors
    /// Whether to retry.
    pub async fn handle(&self, job: &Arc<Job>) -> Result<(), JobError> {
        match self.handlers.get(job.kind.as_str()) {
            Some(handler) => handler(job.clone()).await,
            None => Err(JobError::Fatal(format!("no handler for {}", job.kind))),
        }
    }

    /// Runs the handler for a job that failed for good.
    ///
    /// # Errors
    /// When its result could not be stored.
    pub async fn give_up(&self, job: &Arc<Job>) -> Result<(), JobError> {
        match self.given_up.get(job.kind.as_str()) {
            Some(handler) => handler(job.clone()).await,
            None => Ok(()),
        }
    }
}

fn handler<S: Clone + Send + Sync + 'static, J: JobType>(state: &S, work: Work<S, J>) -> Handler {
    let state = state.clone();
    Box::new(move |job| {
        let state = state.clone();
        async move {
            let payload = J::deserialize(&job.payload);
            let payload = payload.map_err(|error| JobError::Fatal(format!("payload: {error}")))?;
            work(&state, payload, &job).await
        }
        .boxed()
    })
}

/// The scope of Portico itself, acting for the request that enqueued the job.
pub fn scope(job: &Job) -> Scope {
    let request = RequestInfo { id: job.request_id.clone(), ..RequestInfo::default() };
    Scope::system(Some(job.tenant_id), request)
}

/// Claims and runs jobs until shutdown, then waits for the running ones.
pub async fn run(core: Core, handlers: Arc<Handlers>, mut stopping: watch::Receiver<bool>) {
    let (done, finished) = mpsc::channel(BATCH);
    let worker = core.env.random_uuid().to_string();
    let completing = tokio::spawn(complete(core.clone(), worker.clone(), finished));
    let mut hands = Hands {
        core,
        handlers,
        worker,
        done,
        claiming: JoinSet::new(),
        asked: 0,
        waiting: VecDeque::new(),
        running: JoinSet::new(),
        held: BTreeSet::new(),
        began: Instant::now(),
        pace: Pace::default(),
        seen_all: false,
        backoff: Backoff::new("jobs could not be claimed"),
        pause: None,
    };
    let poll = hands.core.settings.worker.poll;
    while !*stopping.borrow() {
        hands.begin();
        hands.claim();
        let (idle, overdue) = (hands.seen_all && hands.claiming.is_empty(), hands.overdue());
        let yields = hands.yields();
        tokio::select! {
            Some(claimed) = hands.claiming.join_next() => hands.take(claimed),
            Some(ended) = hands.running.join_next() => hands.note(ended),
            () = hands.core.signals.jobs.notified(), if idle && hands.pause.is_none() => hands.seen_all = false,
            () = sleep(hands.pause.unwrap_or(poll)), if idle => hands.seen_all = false,
            () = sleep(GLANCE), if yields => {}
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

/// A claim: how many jobs it asked for, and those that it got.
type Claim = (usize, Result<Vec<Job>, StoreError>);

/// The jobs that this process has claimed.
struct Hands {
    core: Core,
    handlers: Arc<Handlers>,
    worker: String,
    /// Receives completed jobs.
    done: mpsc::Sender<JobId>,
    /// Claims under way, concurrent with running jobs.
    claiming: JoinSet<Claim>,
    /// Jobs that these ask for.
    asked: usize,
    /// Claimed jobs that are about to start, with the time of their claim.
    waiting: VecDeque<(Instant, Job)>,
    running: JoinSet<(JobId, Duration)>,
    /// Running jobs.
    held: BTreeSet<JobId>,
    /// When the latest job began.
    began: Instant,
    pace: Pace,
    /// Whether there is nothing to claim: the latest claim returned fewer jobs than requested, or failed.
    seen_all: bool,
    backoff: Backoff,
    /// Pause before the next claim, after one that failed.
    pause: Option<Duration>,
}

impl Hands {
    /// Worker slots to be used now.
    fn slots(&self) -> usize {
        let requests_wait = self.core.signals.waiting.any();
        slots(self.core.settings.worker.concurrency, self.running.len(), requests_wait, self.began.elapsed())
    }

    /// Whether free worker slots stay empty because requests wait: otherwise these jobs would have begun, or been claimed.
    fn yields(&self) -> bool {
        let has_more = !self.waiting.is_empty() || (!self.seen_all && self.claiming.is_empty());
        has_more && self.running.len() < self.core.settings.worker.concurrency
    }

    /// Claims jobs for free worker slots, and those that will follow at once, if it is time to.
    fn claim(&mut self) {
        while !self.seen_all {
            let wanted = self.pace.wanted(self.slots(), self.running.len(), self.waiting.len() + self.asked);
            if wanted == 0 {
                return;
            }
            self.asked += wanted;
            let (core, worker) = (self.core.clone(), self.worker.clone());
            self.claiming.spawn(async move {
                (wanted, core.jobs.claim(&worker, wanted as u32, lease(&core), core.env.now()).await)
            });
        }
    }

    /// Receives the claimed jobs.
    fn take(&mut self, claimed: Result<Claim, JoinError>) {
        match claimed {
            Ok((wanted, Ok(jobs))) => {
                self.asked -= wanted.min(self.asked);
                self.seen_all = jobs.len() < wanted;
                let now = Instant::now();
                self.waiting.extend(jobs.into_iter().map(|job| (now, job)));
                self.backoff.succeeded();
                self.pause = None;
            }
            Ok((wanted, Err(error))) => {
                self.asked -= wanted.min(self.asked);
                self.seen_all = true;
                self.pause = Some(self.backoff.failed(&error));
            }
            Err(error) => {
                // How many it asked for is lost with it. Until the other claims have ended more may be asked for than there is room.
                self.asked = 0;
                self.seen_all = true;
                self.pause = Some(self.backoff.failed(&error));
            }
        }
    }

    /// When the oldest waiting job is to be released.
    fn overdue(&self) -> Option<Instant> {
        self.waiting.front().map(|(since, _)| *since + HOLD)
    }

    /// Starts waiting jobs while there are free worker slots.
    fn begin(&mut self) {
        while self.running.len() < self.slots()
            && let Some((_, job)) = self.waiting.pop_front()
        {
            let span =
                tracing::info_span!("job", kind = %job.kind, id = %job.id, request_id = %job.request_id);
            self.held.insert(job.id);
            self.began = Instant::now();
            let (core, handlers, worker) = (self.core.clone(), self.handlers.clone(), self.worker.clone());
            let work = work(core, handlers, worker, self.done.clone(), Arc::new(job));
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

    /// Releases jobs that have waited for too long. They are still due: the next free worker slot asks for them, unless claims fail.
    async fn give_back(&mut self) {
        let ids: Vec<JobId> = self.waiting.drain(..).map(|(_, job)| job.id).collect();
        release(&self.core, &self.worker, &ids).await;
        self.pace.note(HOLD);
        self.seen_all = self.pause.is_some();
    }

    /// Waits for the running jobs. Those that exceed the timeout are aborted, as if the process had died, and released at
    /// once.
    async fn finish(&mut self) {
        let patience = self.core.settings.shutdown_timeout.mul_f32(0.9);
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
            release(&self.core, &self.worker, &ids).await;
        }
    }
}

async fn release(core: &Core, worker: &str, ids: &[JobId]) {
    if let Err(error) = core.jobs.release(worker, ids).await {
        tracing::warn!(error = %chain(&error), "jobs could not be handed back; their leases will run out");
    }
}

/// Reports completed jobs to the queue: all that completed during one report are in the next.
async fn complete(core: Core, worker: String, mut finished: mpsc::Receiver<JobId>) {
    let mut batch = Vec::with_capacity(BATCH);
    while finished.recv_many(&mut batch, BATCH).await > 0 {
        let begun = Instant::now();
        while let Err(error) = core.jobs.complete(&worker, &batch).await {
            // While the leases last, repeating the report is better than repeating the jobs.
            if error.kind() != Kind::Unavailable || begun.elapsed() > core.settings.worker.lease / 2 {
                let (error, jobs) = (chain(&error), batch.len());
                tracing::warn!(error, jobs, "what was done could not be stored; the jobs will run again");
                break;
            }
            sleep(PAUSE).await;
        }
        batch.clear();
    }
}

fn lease(core: &Core) -> time::Duration {
    core.settings.worker.lease.try_into().unwrap_or(time::Duration::SECOND)
}

/// Runs a job in a span that follows from the one that enqueued it. Its logs and events name the request that caused it.
async fn in_span(
    tracer: &Tracer,
    job: &Job,
    work: impl Future<Output = Result<(), JobError>>,
) -> Result<(), JobError> {
    let span = tracer.begin(portico_otlp::Work::Later, format!("job {}", job.kind), job.trace_parent);
    if span.is_recorded() {
        span.set("portico.job.id", job.id.to_string());
        span.set("portico.job.kind", job.kind.clone());
        span.set("portico.job.attempt", i64::from(job.attempts));
        span.set("portico.request_id", job.request_id.clone());
        span.set("portico.tenant.id", job.tenant_id.to_string());
    }
    let info = RequestInfo { id: job.request_id.clone(), ..RequestInfo::default() };
    let context = RequestContext { info, ..RequestContext::default() };
    let result = CURRENT.scope(context, span.run(work)).await;
    match &result {
        Ok(()) => {}
        Err(JobError::Retry(_)) => span.fail("to be tried again"),
        Err(JobError::Fatal(_)) => span.fail("hopeless"),
    }
    result
}

/// Runs one job, renewing its lease. Returns the duration.
async fn work(
    core: Core,
    handlers: Arc<Handlers>,
    worker: String,
    done: mpsc::Sender<JobId>,
    job: Arc<Job>,
) -> (JobId, Duration) {
    let started = Instant::now();
    if handlers.leave(&job, core.env.now()) {
        leave(&core, &worker, &job).await;
        return (job.id, started.elapsed());
    }
    let handler = AssertUnwindSafe(handlers.handle(&job)).catch_unwind();
    let handler = in_span(&core.tracer, &job, async {
        handler.await.unwrap_or_else(|_| Err(JobError::Retry("the handler panicked".into())))
    });
    let kept = leases::keep(core.settings.worker.lease, &job.kind, || {
        core.jobs.extend(&worker, job.id, core.env.now() + lease(&core))
    });
    let result = tokio::select! {
        // The work first: what is done at once needs neither of the timers.
        biased;
        result = handler => result,
        () = sleep_until((started + LONGEST).into()) => Err(JobError::Retry("it took too long".into())),
        () = kept => {
            tracing::warn!("the lease was lost; another worker has the job");
            return (job.id, started.elapsed());
        }
    };
    let took = started.elapsed();
    let outcome = match result {
        Ok(()) => {
            // The receiver lives as long as this task; without it, the job would run again.
            let _ = done.send(job.id).await;
            "done"
        }
        Err(error) => match failed(&core, &handlers, &worker, &job, error).await {
            Ok(outcome) => outcome,
            Err(error) => {
                tracing::warn!(error = %chain(&error), "the outcome could not be stored; the job will run again");
                "unknown"
            }
        },
    };
    metrics::histogram!("portico_job_duration_seconds", "kind" => job.kind.clone(), "outcome" => outcome)
        .record(started.elapsed().as_secs_f64());
    (job.id, took)
}

/// When a job was due, before it was left to others.
fn due(job: &Job) -> Timestamp {
    job.due_at.unwrap_or(job.run_at)
}

/// Leaves a job to instances that know its kind.
async fn leave(core: &Core, worker: &str, job: &Job) {
    tracing::debug!("no handler here: the job is left to an instance of another version");
    let error = format!("no handler for {}", job.kind);
    let (now, [shortest, longest]) = (core.env.now(), ELSEWHERE);
    let tenth: time::Duration = (now - due(job)) / 10;
    let pause = tenth.clamp(shortest, longest);
    if let Err(error) = core.jobs.defer(worker, job.id, now + pause, &error).await {
        tracing::warn!(error = %chain(&error), "a job could not be left to others; its lease will run out");
    }
}

async fn failed(
    core: &Core,
    handlers: &Handlers,
    worker: &str,
    job: &Arc<Job>,
    error: JobError,
) -> Result<&'static str, StoreError> {
    match error {
        JobError::Retry(error) if job.attempts < job.max_attempts => {
            tracing::warn!(%error, attempt = job.attempts, "the job failed and will run again");
            let at = core.env.now() + backoff(&core.env, job.attempts);
            core.jobs.retry(worker, job.id, at, &error).await?;
            Ok("retried")
        }
        JobError::Retry(error) | JobError::Fatal(error) => {
            report::dead_job(job, &error);
            // First the handler, then the mark: if the process dies in between, the handler runs again, which is harmless.
            if let Err(JobError::Retry(error) | JobError::Fatal(error)) = handlers.give_up(job).await {
                tracing::error!(error, "the consequences of a dead job could not be stored");
            }
            core.jobs.bury(worker, job.id, &error).await?;
            Ok("dead")
        }
    }
}

/// 1 s, 2 s, 4 s … up to an hour, each with up to a quarter of jitter, so that jobs that failed together are not retried
/// together.
fn backoff(env: &Env, attempts: u32) -> time::Duration {
    let exponent = attempts.saturating_sub(1).min(12);
    let base = time::Duration::seconds(1 << exponent).min(MAX_BACKOFF);
    let [random] = env.random_bytes::<1>();
    base + base * f64::from(random) / (4.0 * 255.0)
}
