//! Enqueuing jobs, and handing them to workers.

use async_trait::async_trait;
use portico_kernel::{
    DeadLetters, Job, JobId, JobQueue, JobState, List, NewJob, PageRequest, StoreError, TenantId, Timestamp,
    TraceParent, WorkQueue, job::QueueFigures,
};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, FromQueryResult, PaginatorTrait,
    QueryFilter, QueryOrder, QuerySelect, Value,
};
use time::{Duration, PrimitiveDateTime};

use crate::{
    SqlStore,
    dialect::{dialect, execute, query},
    error::{store_error, unreadable},
    time::{from_row, to_row},
};

/// A row of the queue.
pub(crate) mod row {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "jobs")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub tenant_id: Uuid,
        pub kind: String,
        pub payload: Json,
        pub state: String,
        pub attempts: i32,
        pub max_attempts: i32,
        pub run_at: TimeDateTime,
        pub leased_by: Option<String>,
        pub leased_until: Option<TimeDateTime>,
        pub last_error: Option<String>,
        pub request_id: String,
        pub trace_parent: Option<String>,
        pub created_at: TimeDateTime,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

impl TryFrom<row::Model> for Job {
    type Error = StoreError;

    fn try_from(row: row::Model) -> Result<Self, StoreError> {
        Ok(Self {
            id: JobId::from_uuid(row.id),
            kind: row.kind,
            payload: row.payload,
            tenant_id: TenantId::from_uuid(row.tenant_id),
            state: JobState::parse(&row.state).ok_or_else(|| unreadable("jobs.state", &row.state))?,
            attempts: row.attempts.unsigned_abs(),
            max_attempts: row.max_attempts.unsigned_abs(),
            run_at: from_row(row.run_at),
            last_error: row.last_error,
            request_id: row.request_id,
            trace_parent: row.trace_parent.and_then(|text| text.parse().ok()),
            created_at: from_row(row.created_at),
        })
    }
}

/// The queue as a unit of work writes it.
pub(crate) struct Jobs<'c, C> {
    pub connection: &'c C,
    pub enqueued: &'c mut bool,
    /// The trace of the work at hand.
    pub trace: Option<TraceParent>,
}

#[async_trait]
impl<C: ConnectionTrait + Send> JobQueue for Jobs<'_, C> {
    async fn enqueue(&mut self, job: NewJob) -> Result<(), StoreError> {
        let row = row::ActiveModel {
            id: Set(job.id.uuid()),
            tenant_id: Set(job.tenant.uuid()),
            kind: Set(job.kind.to_owned()),
            state: Set(JobState::Queued.as_str().to_owned()),
            attempts: Set(0),
            max_attempts: Set(i32::try_from(job.max_attempts).unwrap_or(i32::MAX)),
            run_at: Set(to_row(job.run_at)),
            leased_by: Set(None),
            leased_until: Set(None),
            last_error: Set(None),
            created_at: Set(to_row(enqueued_at(&job))),
            payload: Set(job.payload),
            request_id: Set(job.request_id),
            trace_parent: Set(self.trace.map(|parent| parent.to_string())),
        };
        row::Entity::insert(row).exec_without_returning(self.connection).await.map_err(store_error)?;
        *self.enqueued = true;
        Ok(())
    }
}

#[async_trait]
impl<C: ConnectionTrait + Send> DeadLetters for Jobs<'_, C> {
    async fn replay(&mut self, id: JobId, now: Timestamp) -> Result<Option<Job>, StoreError> {
        let rows = query(
            self.connection,
            "update jobs set state = 'queued', attempts = 0, run_at = $2 where id = $1 and state = 'dead' \
             returning *",
            [id.uuid().into(), to_row(now).into()],
        )
        .await?;
        *self.enqueued |= !rows.is_empty();
        rows.first()
            .map(|row| row::Model::from_query_result(row, "").map_err(store_error)?.try_into())
            .transpose()
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

fn optional_time(time: Option<Timestamp>) -> Value {
    time.map(to_row).into()
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
        let changed = execute(
            self.writer(),
            "update jobs set state = $3, run_at = coalesce($4, run_at), last_error = $5, leased_by = null, \
             leased_until = null where id = $1 and leased_by = $2 and state = 'running'",
            [id.uuid().into(), worker.into(), state.as_str().into(), optional_time(run_at), error.into()],
        )
        .await?;
        Ok(changed == 1)
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
            let places: Vec<String> = (2..length + 2).map(|number| format!("${number}")).collect();
            let sql = format!(
                "{what} where id in ({}) and leased_by = $1 and state = 'running'",
                places.join(", ")
            );
            let padded = ids.iter().chain(std::iter::repeat(last)).take(length);
            let values = std::iter::once(worker.into()).chain(padded.map(|id| id.uuid().into()));
            settled += execute(self.writer(), &sql, values.collect::<Vec<Value>>()).await?;
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
             where id in (select id from due) returning *",
            lock = dialect(self.writer()).for_update_skip_locked
        );
        let values: [Value; 4] =
            [worker.into(), to_row(now + lease).into(), to_row(now).into(), i64::from(limit).into()];
        let rows = query(self.writer(), &sql, values).await?;
        let mut jobs = rows
            .iter()
            .map(|row| row::Model::from_query_result(row, "").map_err(store_error)?.try_into())
            .collect::<Result<Vec<Job>, StoreError>>()?;
        jobs.sort_by_key(|job| (job.run_at, job.id));
        Ok(jobs)
    }

    async fn extend(&self, worker: &str, id: JobId, until: Timestamp) -> Result<bool, StoreError> {
        let changed = execute(
            self.writer(),
            "update jobs set leased_until = $3 where id = $1 and leased_by = $2 and state = 'running'",
            [id.uuid().into(), worker.into(), to_row(until).into()],
        )
        .await?;
        Ok(changed == 1)
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

    async fn bury(&self, worker: &str, id: JobId, error: &str) -> Result<bool, StoreError> {
        self.hand_back(worker, id, JobState::Dead, None, error).await
    }

    async fn list(&self, state: Option<JobState>, page: PageRequest) -> Result<List<Job>, StoreError> {
        let mut found = row::Entity::find();
        if let Some(state) = state {
            found = found.filter(row::Column::State.eq(state.as_str()));
        }
        let connection = self.read_connection();
        let total = found.clone().count(connection).await.map_err(store_error)?;
        let rows = found
            .order_by_desc(row::Column::Id)
            .limit(page.limit)
            .offset(page.offset())
            .all(connection)
            .await
            .map_err(store_error)?;
        let jobs = rows.into_iter().map(Job::try_from).collect::<Result<_, _>>()?;
        Ok(List::new(jobs, page, total))
    }

    async fn figures(&self, now: Timestamp) -> Result<QueueFigures, StoreError> {
        let connection = self.read_connection();
        let mut figures = QueueFigures::default();
        let counts = query(connection, "select state, count(*) as jobs from jobs group by state", []).await?;
        for row in counts {
            let state: String = row.try_get("", "state").map_err(store_error)?;
            let jobs = row.try_get::<i64>("", "jobs").map_err(store_error)?.unsigned_abs();
            match JobState::parse(&state) {
                Some(JobState::Queued) => figures.queued = jobs,
                Some(JobState::Running) => figures.running = jobs,
                Some(JobState::Dead) => figures.dead = jobs,
                None => return Err(unreadable("jobs.state", &state)),
            }
        }
        let oldest = query(
            connection,
            "select coalesce(leased_until, run_at) as due from jobs \
             where state <> 'dead' and coalesce(leased_until, run_at) <= $1 \
             order by coalesce(leased_until, run_at) limit 1",
            [to_row(now).into()],
        )
        .await?;
        if let Some(row) = oldest.first() {
            let due: PrimitiveDateTime = row.try_get("", "due").map_err(store_error)?;
            figures.oldest_due = now - from_row(due);
        }
        Ok(figures)
    }
}
