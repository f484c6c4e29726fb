//! The database: events appended in bulk, and the state of their deliveries.

use anyhow::{Context, ensure};
use sqlx::{Connection, PgConnection};
use uuid::Uuid;

/// Appends events to the log of a tenant, copies of its last `page.created`, in one transaction, as if a server had
/// done it. The tenant must have made a page before.
pub async fn append(database: &str, tenant: &str, number: usize) -> anyhow::Result<()> {
    let mut connection = PgConnection::connect(database).await?;
    let ids: Vec<Uuid> = (0..number).map(|_| new_id()).collect();
    let appended = sqlx::query(
        "insert into events (tenant_id, id, kind, resource_type, resource_id, actor_kind, actor_id, after, request_id,
            created_at)
         select tenant_id, fresh.id, kind, resource_type, resource_id, actor_kind, actor_id, after, request_id,
            now() at time zone 'utc'
         from (select * from events where tenant_id = $1::uuid and kind = 'page.created' order by id desc limit 1) pattern
         cross join unnest($2::uuid[]) fresh (id)",
    )
    .bind(tenant)
    .bind(ids)
    .execute(&mut connection)
    .await?;
    ensure!(appended.rows_affected() == u64::try_from(number)?, "the tenant has not made a page yet");
    Ok(())
}

/// Deliveries of a tenant by state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deliveries {
    /// Different events of which a delivery succeeded.
    pub succeeded: usize,
    /// Attempts that are still to be made.
    pub pending: usize,
    /// Attempts that failed.
    pub failed: usize,
}

impl Deliveries {
    /// Counts them.
    pub async fn of(database: &str, tenant: &str) -> anyhow::Result<Self> {
        let mut connection = PgConnection::connect(database).await?;
        let (succeeded, pending, failed): (i64, i64, i64) = sqlx::query_as(
            "select count(distinct event_id) filter (where status = 'succeeded'),
                count(*) filter (where status = 'pending'), count(*) filter (where status = 'failed')
             from webhook_deliveries where tenant_id = $1::uuid",
        )
        .bind(tenant)
        .fetch_one(&mut connection)
        .await
        .context("the deliveries cannot be counted")?;
        Ok(Self {
            succeeded: succeeded.try_into()?,
            pending: pending.try_into()?,
            failed: failed.try_into()?,
        })
    }
}

/// Ids of all `page.created` events of a tenant.
pub async fn events(database: &str, tenant: &str) -> anyhow::Result<Vec<Uuid>> {
    let mut connection = PgConnection::connect(database).await?;
    let query = "select id from events where tenant_id = $1::uuid and kind = 'page.created'";
    Ok(sqlx::query_scalar(query).bind(tenant).fetch_all(&mut connection).await?)
}

#[expect(clippy::disallowed_methods, reason = "nobody repeats a measurement with the same ids")]
fn new_id() -> Uuid {
    Uuid::now_v7()
}
