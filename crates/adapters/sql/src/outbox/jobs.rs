//! Enqueuing jobs, and handing them to workers.

use async_trait::async_trait;
use portico_kernel::{
    DeadLetters, Job, JobId, JobQueue, JobState, List, NewJob, PageRequest, StoreError, TenantId, Timestamp,
    TraceParent, WorkQueue, job::QueueFigures,
};
use sea_orm::{
    ActiveValue::{NotSet, Set},
    ColumnTrait, EntityTrait, QueryFilter, QueryOrder,
};
use time::Duration;

use crate::{
    SqlStore,
    columns::{Col, words},
    connection::Until,
    db::{Db, Param, placeholders},
};

/// A row of the queue.
pub(crate) mod row {
    use portico_kernel::{JobId, JobState, TenantId, Timestamp};
    use sea_orm::entity::prelude::*;

    use crate::columns::Col;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "jobs")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Col<JobId>,
        pub tenant_id: Col<TenantId>,
        pub kind: String,
        pub payload: Json,
        pub state: Col<JobState>,
        pub attempts: Col<u32>,
        pub max_attempts: Col<u32>,
        pub run_at: Col<Timestamp>,
        pub due_at: Col<Option<Timestamp>>,
        pub leased_by: Option<String>,
        pub leased_until: Col<Option<Timestamp>>,
        pub last_error: Option<String>,
        pub request_id: String,
        pub trace_parent: Option<String>,
        pub created_at: Col<Timestamp>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

words!(JobState);

impl From<row::Model> for Job {
    fn from(row: row::Model) -> Self {
        Self {
            id: row.id.0,
            kind: row.kind,
            payload: row.payload,
            tenant_id: row.tenant_id.0,
            state: row.state.0,
            attempts: row.attempts.0,
            max_attempts: row.max_attempts.0,
            run_at: row.run_at.0,
            due_at: row.due_at.0,
            last_error: row.last_error,
            request_id: row.request_id,
            trace_parent: row.trace_parent.and_then(|text| text.parse().ok()),
            created_at: row.created_at.0,
        }
    }
}

/// What a worker needs of the jobs that it claims.
const CLAIMED: &str = "id, tenant_id, kind, payload, attempts, max_attempts, run_at, due_at, last_error, request_id, trace_parent, \
    created_at";

/// The same, by position: there are many, and no column of them is looked up by its name.
type Claimed = (
    JobId,
    TenantId,
    String,
    serde_json::Value,
    u32,
    u32,
    Timestamp,
    Option<Timestamp>,
    Option<String>,
    String,
    Option<String>,
    Timestamp,
);

fn claimed(row: Claimed) -> Job {
    let (
        id,
        tenant_id,
        kind,
        payload,
        attempts,
        max_attempts,
        run_at,
        due_at,
        last_error,
        request_id,
        trace,
        created_at,
    ) = row;
    Job {
        id,
        kind,
        payload,
        tenant_id,
        state: JobState::Running,
        attempts,
        max_attempts,
        run_at,
        due_at,
        last_error,
        request_id,
        trace_parent: trace.and_then(|text| text.parse().ok()),
        created_at,
    }
}

/// The row of a new job that belongs to a trace.
pub(crate) fn new_row(job: NewJob, trace: Option<TraceParent>) -> row::ActiveModel {
    row::ActiveModel {
        id: Set(Col(job.id)),
        tenant_id: Set(Col(job.tenant)),
        kind: Set(job.kind.to_owned()),
        state: Set(Col(JobState::Queued)),
        attempts: Set(Col(0)),
        max_attempts: Set(Col(job.max_attempts)),
        run_at: Set(Col(job.run_at)),
        due_at: NotSet,
        leased_by: Set(None),
        leased_until: Set(Col(None)),
        last_error: Set(None),
        created_at: Set(Col(enqueued_at(&job))),
        payload: Set(job.payload),
        request_id: Set(job.request_id),
        trace_parent: Set(trace.map(|parent| parent.to_string())),
    }
}

/// The queue as a unit of work writes it.
pub(crate) struct Jobs<'c> {
    pub db: Db<'c>,
    pub enqueued: &'c mut bool,
    /// The trace of the work at hand.
    pub trace: Option<TraceParent>,
}

#[async_trait]
impl JobQueue for Jobs<'_> {
    async fn enqueue(&mut self, job: NewJob) -> Result<(), StoreError> {
        self.db.insert_later(new_row(job, self.trace), Until::Read(&["jobs"])).await?;
        *self.enqueued = true;
        Ok(())
    }
}

#[async_trait]
impl DeadLetters for Jobs<'_> {
    async fn replay(&mut self, id: JobId, now: Timestamp) -> Result<Option<Job>, StoreError> {
        let sql = "update jobs set state = 'queued', attempts = 0, run_at = $2, due_at = null where id = $1 and state = 'dead' \
             returning *";
        let replayed: Option<row::Model> = self.db.model(sql, (id, now)).await?;
        *self.enqueued |= replayed.is_some();
        Ok(replayed.map(Job::from))
    }
}

/// The id of a job tells when it was made; its `run_at` may lie in the future.
fn enqueued_at(job: &NewJob) -> Timestamp {
    let made = job.id.uuid().get_timestamp().map(|time| time.to_unix());
    made.and_then(|(seconds, nanos)| {
        let micros = i64::try_from(seconds).ok()?.checked_mul(1_000_000)?;
        Timestamp::from_unix_micros(micros + i64::from(nanos / 1000))
    })
    .unwrap_or(job.run_at)
}

impl SqlStore {
    /// Puts a job that `worker` holds into `state` and gives up the lease. Answers whether the worker did hold it.
    async fn hand_back(
        &self,
        worker: &str,
        id: JobId,
        state: JobState,
        run_at: Option<Timestamp>,
        error: &str,
    ) -> Result<bool, StoreError> {
        let sql = "update jobs set state = $3, run_at = coalesce($4, run_at), due_at = null, last_error = $5, leased_by = null, \
             leased_until = null where id = $1 and leased_by = $2 and state = 'running'";
        Ok(self.write().execute(sql, (id, worker, state, run_at, error)).await? == 1)
    }

    /// Does something to the jobs among `ids` that `worker` holds. Answers to how many.
    async fn settle(&self, what: &str, worker: &str, ids: &[JobId]) -> Result<u64, StoreError> {
        /// Well below what a statement may bind on either database.
        const AT_ONCE: usize = 1024;
        let mut settled = 0;
        for ids in ids.chunks(AT_ONCE) {
            let Some(last) = ids.last() else { continue };
            // Few lengths, so that few statements have to be prepared.
            let length = ids.len().next_power_of_two();
            let sql = format!(
                "{what} where id in ({}) and leased_by = $1 and state = 'running'",
                placeholders(2, length)
            );
            let padded = ids.iter().chain(std::iter::repeat(last)).take(length);
            let values = std::iter::once(worker.value()).chain(padded.copied().map(Param::value));
            settled += self.write().execute(&sql, values.collect::<Vec<_>>()).await?;
        }
        Ok(settled)
    }
}

#[async_trait]
impl WorkQueue for SqlStore {
    async fn claim(
        &self,
        worker: &str,
        limit: u32,
        lease: Duration,
        now: Timestamp,
    ) -> Result<Vec<Job>, StoreError> {
        // The expression on the due time is that of the index.
        let sql = format!(
            "with due as (select id from jobs where state <> 'dead' and coalesce(leased_until, run_at) <= $3 \
             order by coalesce(leased_until, run_at) limit $4 {lock}) \
             update jobs set state = 'running', attempts = attempts + 1, leased_by = $1, leased_until = $2 \
             where id in (select id from due) returning {CLAIMED}",
            lock = self.write().dialect().for_update_skip_locked
        );
        let values = (worker, now + lease, now, i64::from(limit));
        let rows: Vec<Claimed> = self.write().rows(&sql, values).await?;
        let mut jobs: Vec<Job> = rows.into_iter().map(claimed).collect();
        jobs.sort_by_key(|job| (job.run_at, job.id));
        Ok(jobs)
    }

    async fn extend(&self, worker: &str, id: JobId, until: Timestamp) -> Result<bool, StoreError> {
        let sql = "update jobs set leased_until = $3 where id = $1 and leased_by = $2 and state = 'running'";
        Ok(self.write().execute(sql, (id, worker, until)).await? == 1)
    }

    async fn complete(&self, worker: &str, ids: &[JobId]) -> Result<u64, StoreError> {
        self.settle("delete from jobs", worker, ids).await
    }

    async fn retry(
        &self,
        worker: &str,
        id: JobId,
        run_at: Timestamp,
        error: &str,
    ) -> Result<bool, StoreError> {
        self.hand_back(worker, id, JobState::Queued, Some(run_at), error).await
    }

    async fn release(&self, worker: &str, ids: &[JobId]) -> Result<u64, StoreError> {
        let queue = "update jobs set state = 'queued', attempts = attempts - 1, leased_by = null, leased_until = null";
        self.settle(queue, worker, ids).await
    }

    async fn defer(
        &self,
        worker: &str,
        id: JobId,
        run_at: Timestamp,
        error: &str,
    ) -> Result<bool, StoreError> {
        let sql = "update jobs set state = 'queued', attempts = attempts - 1, due_at = coalesce(due_at, run_at), run_at = $3, \
             last_error = $4, leased_by = null, leased_until = null where id = $1 and leased_by = $2 and state = 'running'";
        Ok(self.write().execute(sql, (id, worker, run_at, error)).await? == 1)
    }

    async fn bury(&self, worker: &str, id: JobId, error: &str) -> Result<bool, StoreError> {
        self.hand_back(worker, id, JobState::Dead, None, error).await
    }

    async fn list(&self, state: Option<JobState>, page: PageRequest) -> Result<List<Job>, StoreError> {
        let mut found = row::Entity::find();
        if let Some(state) = state {
            found = found.filter(row::Column::State.eq(Col(state)));
        }
        self.read().page(found.order_by_desc(row::Column::Id), page).await
    }

    async fn figures(&self, now: Timestamp) -> Result<QueueFigures, StoreError> {
        let db = self.read();
        let mut figures = QueueFigures::default();
        for (state, jobs) in db.rows("select state, count(*) as jobs from jobs group by state", ()).await? {
            match state {
                JobState::Queued => figures.queued = jobs,
                JobState::Running => figures.running = jobs,
                JobState::Dead => figures.dead = jobs,
            }
        }
        let sql = "select coalesce(leased_until, run_at) as due from jobs \
             where state <> 'dead' and coalesce(leased_until, run_at) <= $1 \
             order by coalesce(leased_until, run_at) limit 1";
        if let Some(due) = db.row::<Timestamp>(sql, [now]).await? {
            figures.oldest_due = now - due;
        }
        Ok(figures)
    }
}
