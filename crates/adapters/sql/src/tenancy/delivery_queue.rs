//! Deliveries as workers make them.

use std::collections::{BTreeMap, HashSet};

use async_trait::async_trait;
use portico_kernel::{DeliveryId, Event, StoreError, TenantId, Timestamp, WebhookId};
use portico_tenancy::{
    delivery::DeliveryStatus,
    ports::{DeliveryFigures, DeliveryQueue, Due, DueDelivery, Health, Outcome},
    webhook::WebhookStatus,
};
use sea_orm::FromQueryResult;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::{deliveries::row, delivery_plans, webhooks};
use crate::{
    SqlStore,
    db::{Db, Params, StatementConnection, placeholders},
    outbox::events,
};

/// Outcomes stored in one statement: eight values each, and SQLite takes 32,766. A power of two.
const CHUNK: usize = 512;

/// Most deliveries that are counted for metrics.
const COUNTED: i64 = 100_000;

/// The columns of a delivery, none of which hides one of the event beside it.
const DELIVERY: &str = "d.tenant_id as d_tenant_id, d.id as d_id, d.webhook_id as d_webhook_id, d.event_id as d_event_id, \
    d.event_type as d_event_type, d.sequence as d_sequence, d.attempt as d_attempt, d.cause as d_cause, \
    d.payload as d_payload, d.status as d_status, d.due_at as d_due_at, d.response_status as d_response_status, \
    d.response_body as d_response_body, d.duration_ms as d_duration_ms, d.error as d_error, \
    d.created_at as d_created_at, d.finished_at as d_finished_at";

/// A delivery with its event, if the event log still has it.
#[derive(FromQueryResult)]
struct DueRow {
    #[sea_orm(nested(prefix = "d_"))]
    delivery: row::Model,
    #[sea_orm(nested)]
    event: Option<events::row::Model>,
}

impl From<DueRow> for DueDelivery {
    fn from(mut row: DueRow) -> Self {
        let payload = row.delivery.payload.take();
        Self { delivery: row.delivery.into(), payload, event: row.event.map(Event::from) }
    }
}

/// A webhook, and what tells whether it is to be served.
#[derive(FromQueryResult)]
struct ServedRow {
    #[sea_orm(nested)]
    webhook: webhooks::row::Model,
    generation: i64,
    has_tenant: bool,
}

/// Notes how attempts went. Answers those that were pending.
///
/// One that is pending has no end. By the word for its state Postgres would use the index of what is pending: of that it knows, at
/// best, that it was empty at some time, and would read all of it for each batch.
///
/// Rows are locked in the order of their keys: another process may note the same ones when leases have ended.
async fn note(db: &Db<'_>, outcomes: &[Outcome]) -> Result<HashSet<DeliveryId>, StoreError> {
    const WIDTH: usize = 8;
    let mut noted = HashSet::with_capacity(outcomes.len());
    let mut outcomes: Vec<&Outcome> = outcomes.iter().collect();
    outcomes.sort_unstable_by_key(|outcome| (outcome.tenant, outcome.id));
    let lock = db.dialect().for_update;
    // Where nothing is locked, the order would only have SQLite read the table in it.
    let source = if lock.is_empty() {
        "batch".to_owned()
    } else {
        format!(
            "(select batch.* from batch join webhook_deliveries d on d.tenant_id = batch.tenant_id and d.id = batch.id \
             where d.finished_at is null order by d.tenant_id, d.id {lock})"
        )
    };
    for outcomes in outcomes.chunks(CHUNK) {
        let Some(&last) = outcomes.last() else { continue };
        // Few lengths, so that few statements have to be prepared. That the last one is there twice changes nothing.
        let length = outcomes.len().next_power_of_two();
        let rows: Vec<String> =
            (0..length).map(|row| format!("({})", placeholders(row * WIDTH + 1, WIDTH))).collect();
        let sql = format!(
            "with batch (tenant_id, id, status, response_status, response_body, duration_ms, error, finished_at) \
             as (values {rows}) \
             update webhook_deliveries set status = outcome.status, response_status = outcome.response_status, \
             response_body = outcome.response_body, duration_ms = outcome.duration_ms, error = outcome.error, \
             finished_at = outcome.finished_at from {source} as outcome \
             where webhook_deliveries.tenant_id = outcome.tenant_id and webhook_deliveries.id = outcome.id \
             and webhook_deliveries.finished_at is null returning webhook_deliveries.id",
            rows = rows.join(", "),
        );
        let padded = outcomes.iter().copied().chain(std::iter::repeat(last)).take(length);
        let values = padded.flat_map(|outcome| {
            (
                outcome.tenant,
                outcome.id,
                outcome.status,
                outcome.response_status,
                &outcome.response_body,
                outcome.duration_ms,
                &outcome.error,
                outcome.finished_at,
            )
                .values()
        });
        noted.extend(db.rows::<DeliveryId>(&sql, values.collect::<Vec<_>>()).await?);
    }
    Ok(noted)
}

/// What a batch of outcomes says about one webhook.
#[derive(Default)]
struct Sum {
    /// Whether an attempt succeeded.
    succeeded: bool,
    /// Attempts that failed, since the last one that did not.
    failures: i32,
    /// When the first of them did.
    since: Option<Timestamp>,
}

/// Counts failures in a row. Answers how those webhooks are doing that have any.
async fn count(db: &Db<'_>, mut outcomes: Vec<&Outcome>) -> Result<Vec<Health>, StoreError> {
    outcomes.sort_by_key(|outcome| outcome.finished_at);
    let mut sums: BTreeMap<(TenantId, WebhookId), Sum> = BTreeMap::new();
    for outcome in outcomes {
        let sum = sums.entry((outcome.tenant, outcome.webhook)).or_default();
        if outcome.status == DeliveryStatus::Succeeded {
            *sum = Sum { succeeded: true, ..Sum::default() };
        } else {
            sum.failures += 1;
            sum.since.get_or_insert(outcome.finished_at);
        }
    }
    let keys: Vec<_> = sums.keys().copied().collect();
    let (failing, healthy): (Vec<_>, Vec<_>) = sums.into_iter().partition(|(_, sum)| sum.failures > 0);
    // Another process may store outcomes of the same ones when leases have ended.
    if !failing.is_empty() && !healthy.is_empty() {
        delivery_plans::hold(db, ("webhooks", "id"), keys).await?;
    }
    for healthy in healthy.chunks(CHUNK) {
        let pairs: Vec<String> =
            (0..healthy.len()).map(|pair| format!("(${}, ${})", pair * 2 + 1, pair * 2 + 2)).collect();
        let sql = format!(
            "update webhooks set failures = 0, failing_since = null where (tenant_id, id) in \
             (select tenant_id, id from webhooks where failures <> 0 and (tenant_id, id) in (values {}) \
             order by tenant_id, id {})",
            pairs.join(", "),
            db.dialect().for_update,
        );
        let values: Vec<_> =
            healthy.iter().flat_map(|((tenant, webhook), _)| (*tenant, *webhook).values()).collect();
        db.execute(&sql, values).await?;
    }
    let mut health = Vec::with_capacity(failing.len());
    for ((tenant, webhook), sum) in failing {
        let sql = "update webhooks set failures = case when $3 then $4 else failures + $4 end, \
                   failing_since = case when $3 then $5 else coalesce(failing_since, $5) end \
                   where tenant_id = $1 and id = $2 returning failures, failing_since";
        let values = (tenant, webhook, sum.succeeded, sum.failures, sum.since);
        if let Some((failures, failing_since)) = db.row(sql, values).await? {
            health.push(Health { tenant, webhook, failures, failing_since });
        }
    }
    Ok(health)
}

#[async_trait]
impl DeliveryQueue for SqlStore {
    async fn take(
        &self,
        worker: &str,
        limit: u32,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<Vec<(TenantId, WebhookId)>, StoreError> {
        // Over all tenants: workers work for everybody.
        let sql = format!(
            "with ready as (select tenant_id, webhook_id from webhook_queues where ready_at <= $3 \
             order by ready_at limit $4 {lock}) \
             update webhook_queues set leased_by = $1, ready_at = $2, held_until = null \
             where (tenant_id, webhook_id) in (select tenant_id, webhook_id from ready) returning tenant_id, webhook_id",
            lock = self.write().dialect().for_update_skip_locked
        );
        self.write().rows(&sql, (worker, until, now, i64::from(limit))).await
    }

    async fn keep(
        &self,
        worker: &str,
        mut keys: Vec<(TenantId, WebhookId)>,
        until: Timestamp,
    ) -> Result<(), StoreError> {
        // In the order of keys, in which others lock several, too.
        keys.sort_unstable();
        for keys in keys.chunks(CHUNK) {
            let pairs: Vec<String> =
                (0..keys.len()).map(|pair| format!("(${}, ${})", pair * 2 + 3, pair * 2 + 4)).collect();
            let sql = format!(
                "with kept as (select tenant_id, webhook_id from webhook_queues \
                 where leased_by = $1 and (tenant_id, webhook_id) in (values {}) order by tenant_id, webhook_id {}) \
                 update webhook_queues set ready_at = $2 \
                 where leased_by = $1 and (tenant_id, webhook_id) in (select tenant_id, webhook_id from kept)",
                pairs.join(", "),
                self.write().dialect().for_update,
            );
            let mut values = (worker, until).values();
            values.extend(keys.iter().flat_map(|(tenant, webhook)| (*tenant, *webhook).values()));
            self.write().execute(&sql, values).await?;
        }
        Ok(())
    }

    async fn due(
        &self,
        worker: &str,
        (tenant, webhook): (TenantId, WebhookId),
        after: Option<(Timestamp, DeliveryId)>,
        limit: u32,
        now: Timestamp,
    ) -> Result<Option<Due>, StoreError> {
        let db = self.read();
        // The generation first: what is planned after it is read may be missing below.
        let sql = "select w.*, q.generation, t.status <> 'deleted' as has_tenant from webhook_queues q \
                   join webhooks w on w.tenant_id = q.tenant_id and w.id = q.webhook_id \
                   join tenants t on t.id = q.tenant_id \
                   where q.tenant_id = $1 and q.webhook_id = $2 and q.leased_by = $3";
        let served = db.model(sql, (tenant, webhook, worker)).await?;
        let Some(ServedRow { webhook: row, generation, has_tenant }) = served else { return Ok(None) };
        let active = has_tenant && row.status.0 == WebhookStatus::Enabled;
        let sql = format!(
            "select e.*, {DELIVERY} from webhook_deliveries d \
             left join events e on e.tenant_id = d.tenant_id and e.id = d.event_id \
             where d.tenant_id = $1 and d.webhook_id = $2 and d.status = 'pending' and d.due_at <= $3 \
             and (d.due_at, d.id) > ($4, $5) {tests_only} order by d.due_at, d.id limit $6",
            tests_only = if active { "" } else { "and d.cause = 'test'" },
        );
        let (after, id) =
            after.unwrap_or_else(|| (OffsetDateTime::UNIX_EPOCH.into(), DeliveryId::from_uuid(Uuid::nil())));
        let values = (tenant, webhook, now, after, id, i64::from(limit));
        let deliveries = db.models::<DueRow>(&sql, values).await?;
        let deliveries = deliveries.into_iter().map(DueDelivery::from).collect();
        Ok(Some(Due { webhook: row.into(), active, generation, deliveries }))
    }

    async fn settle(&self, outcomes: Vec<Outcome>) -> Result<Vec<Health>, StoreError> {
        let transaction = self.transaction().await?;
        let db = transaction.db();
        let noted = note(&db, &outcomes).await?;
        let new = |outcome: &&Outcome| noted.contains(&outcome.id);
        let next: Vec<_> = outcomes.iter().filter(new).filter_map(|outcome| outcome.next.clone()).collect();
        let counted = outcomes.iter().filter(new).filter(|outcome| outcome.counts).collect();
        let health = count(&db, counted).await?;
        delivery_plans::plan(&db, next).await?;
        transaction.commit().await?;
        Ok(health)
    }

    async fn release(
        &self,
        worker: &str,
        (tenant, webhook): (TenantId, WebhookId),
        generation: Option<i64>,
        held_until: Option<Timestamp>,
    ) -> Result<bool, StoreError> {
        let sql = "update webhook_queues set leased_by = null, held_until = $5, \
                   ready_at = case when next.due < $5 then $5 else next.due end \
                   from (select min(d.due_at) as due from webhook_deliveries d \
                         where d.tenant_id = $1 and d.webhook_id = $2 and d.status = 'pending' and (d.cause = 'test' \
                         or exists (select 1 from webhooks w join tenants t on t.id = w.tenant_id \
                                    where w.tenant_id = $1 and w.id = $2 and w.status = 'enabled' \
                                    and t.status <> 'deleted'))) as next \
                   where tenant_id = $1 and webhook_id = $2 and leased_by = $3 \
                   and generation = coalesce($4, generation)";
        let values = (tenant, webhook, worker, generation, held_until);
        Ok(self.write().execute(sql, values).await? == 1)
    }

    async fn abandon(
        &self,
        (tenant, webhook): (TenantId, WebhookId),
        error: &str,
        limit: u32,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        let sql = "update webhook_deliveries set status = 'failed', error = $3, finished_at = $4 \
                   where tenant_id = $1 and id in (select id from webhook_deliveries \
                   where tenant_id = $1 and webhook_id = $2 and status = 'pending' and cause <> 'test' limit $5) \
                   and status = 'pending'";
        self.write().execute(sql, (tenant, webhook, error, now, i64::from(limit))).await
    }

    async fn figures(&self, now: Timestamp) -> Result<DeliveryFigures, StoreError> {
        let db = self.read();
        // Over all tenants, for the operator.
        let sql = "select count(*) as pending from (select 1 from webhook_deliveries where status = 'pending' limit $1) as waiting";
        let pending = db.row(sql, [COUNTED]).await?;
        let sql = "select ready_at from webhook_queues where ready_at <= $1 order by ready_at limit 1";
        let oldest: Option<Timestamp> = db.row(sql, [now]).await?;
        let mut figures = DeliveryFigures::default();
        figures.pending = pending.unwrap_or(figures.pending);
        if let Some(ready) = oldest {
            figures.oldest_due = (now - ready).max(Duration::ZERO);
        }
        Ok(figures)
    }
}
