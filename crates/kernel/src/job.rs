//! Background jobs, enqueued in the transaction that calls for them.

use async_trait::async_trait;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

use time::Duration;

use crate::{Env, Event, JobId, List, PageRequest, Scope, StoreError, TenantId, Timestamp, TraceParent};

/// What a job is to do, as a type with the data that it needs. Declared where it is enqueued; a feature registers the handler.
///
/// It is stored as JSON: jobs of an earlier version may still be queued when a new one starts.
pub trait JobType: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// `topic.verb`, for instance `email.verification`. Unique among the types.
    const KIND: &'static str;
    /// After this many failed attempts the job is dead and waits for staff.
    const MAX_ATTEMPTS: u32;
}

/// A job to be enqueued.
#[derive(Clone, Debug, PartialEq)]
pub struct NewJob {
    /// UUIDv7.
    pub id: JobId,
    /// What to do: `topic.verb`, for instance `email.verification`. The worker has one handler for each.
    pub kind: &'static str,
    /// What the handler needs. MUST NOT contain secrets.
    pub payload: Value,
    /// The tenant that the job works for; [`TenantId::PLATFORM`] for none.
    pub tenant: TenantId,
    /// Not before this time.
    pub run_at: Timestamp,
    /// After this many failed attempts the job is dead and waits for staff.
    pub max_attempts: u32,
    /// Request that caused it.
    pub request_id: String,
}

impl NewJob {
    /// A job for a tenant, due now, caused by a caller.
    pub fn new<J: JobType>(env: &Env, scope: &Scope, tenant: TenantId, job: &J) -> Self {
        Self::made(env.new_id(), env.now(), tenant, &scope.request.id, job)
    }

    /// A job, due now, caused by an event.
    pub fn following<J: JobType>(env: &Env, event: &Event, job: &J) -> Self {
        Self::made(env.new_id(), env.now(), event.tenant, &event.request_id, job)
    }

    /// A job, due now, that is a part of another one. A part that has the same id at every attempt is enqueued once.
    pub fn part_of<J: JobType>(env: &Env, whole: &Job, id: JobId, job: &J) -> Self {
        Self::made(id, env.now(), whole.tenant_id, &whole.request_id, job)
    }

    /// Not before this time.
    #[must_use]
    pub fn at(self, run_at: Timestamp) -> Self {
        Self { run_at, ..self }
    }

    /// For this tenant.
    #[must_use]
    pub fn in_tenant(self, tenant: TenantId) -> Self {
        Self { tenant, ..self }
    }

    fn made<J: JobType>(id: JobId, run_at: Timestamp, tenant: TenantId, request_id: &str, job: &J) -> Self {
        Self {
            id,
            kind: J::KIND,
            // Structs with named fields always become objects.
            payload: serde_json::to_value(job).unwrap_or_default(),
            tenant,
            run_at,
            max_attempts: J::MAX_ATTEMPTS,
            request_id: request_id.to_owned(),
        }
    }
}

/// Enqueues jobs, inside the open unit of work.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait JobQueue: Send {
    /// MUST enqueue the job if and only if the unit of work commits. MUST store the current trace. What the database has
    /// against it may be told by a later call of the unit of work, by its commit at the latest.
    async fn enqueue(&mut self, job: NewJob) -> Result<(), StoreError>;
}

/// State of a job. A job that is done is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum JobState {
    /// Waits for its time and a free worker.
    Queued,
    /// A worker holds its lease.
    Running,
    /// Failed too often; waits for staff.
    Dead,
}

impl JobState {
    /// Name in JSON and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Dead => "dead",
        }
    }

    /// The state of this name.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Queued, Self::Running, Self::Dead].into_iter().find(|state| state.as_str() == text)
    }
}

/// A job as a worker or staff sees it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Job {
    /// UUIDv7.
    pub id: JobId,
    /// What to do.
    pub kind: String,
    /// What the handler needs; absent for a reader without the right to see it.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub payload: Value,
    /// The tenant that the job works for.
    pub tenant_id: TenantId,
    /// State.
    pub state: JobState,
    /// How often it was started, this time included.
    pub attempts: u32,
    /// After this many failed attempts it is dead.
    pub max_attempts: u32,
    /// Not before this time.
    pub run_at: Timestamp,
    /// When it was due before workers that could not do it put it off; `None` where none has since its last attempt.
    #[serde(skip)]
    pub due_at: Option<Timestamp>,
    /// Why the last attempt failed.
    pub last_error: Option<String>,
    /// Request that caused it.
    pub request_id: String,
    /// The trace that it belongs to, and the span in it that it follows from.
    #[serde(skip)]
    pub trace_parent: Option<TraceParent>,
    /// When it was enqueued.
    pub created_at: Timestamp,
}

/// Figures of the queue, for metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueFigures {
    /// Jobs that wait.
    pub queued: u64,
    /// Jobs that a worker holds.
    pub running: u64,
    /// Jobs that failed too often.
    pub dead: u64,
    /// How long the oldest job that is due has waited.
    pub oldest_due: Duration,
}

/// The queue as workers and staff use it. Each call is a transaction of its own.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait WorkQueue: Send + Sync {
    /// Takes up to `limit` jobs that are due (queued with `run_at` reached, or running with a lease that has ended) for
    /// `worker` until `now + lease`, and counts an attempt for each. MUST give a job to one worker only, also under
    /// concurrency.
    async fn claim(
        &self,
        worker: &str,
        limit: u32,
        lease: Duration,
        now: Timestamp,
    ) -> Result<Vec<Job>, StoreError>;

    /// Extends the lease. MUST answer `false`, like `retry` and `bury`, when `worker` does not hold it any more.
    async fn extend(&self, worker: &str, id: JobId, until: Timestamp) -> Result<bool, StoreError>;

    /// Deletes jobs that are done. MUST leave those alone that `worker` does not hold any more. Answers how many it deleted.
    async fn complete(&self, worker: &str, ids: &[JobId]) -> Result<u64, StoreError>;

    /// Queues a job again after a failure.
    async fn retry(
        &self,
        worker: &str,
        id: JobId,
        run_at: Timestamp,
        error: &str,
    ) -> Result<bool, StoreError>;

    /// Queues jobs again that were not started, or not finished in time, for instance at shutdown; the attempt does not count,
    /// and they keep their position. MUST leave those alone that `worker` does not hold any more. Answers how many it queued.
    async fn release(&self, worker: &str, ids: &[JobId]) -> Result<u64, StoreError>;

    /// Queues a job again that `worker` cannot do, for a later time. The attempt MUST NOT count, so that a worker that can do it has all of
    /// them. MUST keep in `due_at` when the job was due before it was first put off; an attempt that fails clears that. MUST answer `false`, like `retry` and `bury`, when `worker` does not hold it any more.
    async fn defer(
        &self,
        worker: &str,
        id: JobId,
        run_at: Timestamp,
        error: &str,
    ) -> Result<bool, StoreError>;

    /// Declares a job dead.
    async fn bury(&self, worker: &str, id: JobId, error: &str) -> Result<bool, StoreError>;

    /// The jobs in a state (all for `None`), newest first.
    async fn list(&self, state: Option<JobState>, page: PageRequest) -> Result<List<Job>, StoreError>;

    /// Figures for metrics.
    async fn figures(&self, now: Timestamp) -> Result<QueueFigures, StoreError>;
}

/// Dead jobs, inside the open unit of work.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait DeadLetters: Send {
    /// Queues a dead job again with its attempts back at zero, if and only if the unit of work commits. Answers the job, or
    /// `None` when there is no such dead job. MUST succeed once for a dead job, also under concurrency.
    async fn replay(&mut self, id: JobId, now: Timestamp) -> Result<Option<Job>, StoreError>;
}
