//! Deliveries as workers make them.

use std::collections::{BTreeMap, HashSet};

use async_trait::async_trait;
use portico_kernel::{DeliveryId, Event, StoreError, TenantId, Timestamp, WebhookId};
use portico_tenancy::{
    delivery::DeliveryStatus,
    ports::{DeliveryFigures, DeliveryQueue, Due, DueDelivery, Health, Outcome},
    webhook::WebhookStatus,
};
use sea_orm::{ConnectionTrait, FromQueryResult, QueryResult, Value as Bound};
use time::{Duration, PrimitiveDateTime};
use uuid::Uuid;

use super::{deliveries::row, delivery_plans};
use crate::{
    SqlStore,
    dialect::{dialect, execute, query},
    error::store_error,
    outbox::events,
    time::{from_row, to_row},
};

/// Outcomes stored in one statement: eight values each, and SQLite takes 32,766.
const CHUNK: usize = 1000;

/// Most deliveries that are counted for metrics.
const COUNTED: i64 = 100_000;

/// The columns of a delivery, none of which hides one of the event beside it.
const DELIVERY: &str = "d.tenant_id as d_tenant_id, d.id as d_id, d.webhook_id as d_webhook_id, d.event_id as d_event_id, \
    d.event_type as d_event_type, d.sequence as d_sequence, d.attempt as d_attempt, d.cause as d_cause, \
    d.payload as d_payload, d.status as d_status, d.due_at as d_due_at, d.response_status as d_response_status, \
    d.response_body as d_response_body, d.duration_ms as d_duration_ms, d.error as d_error, \
    d.created_at as d_created_at, d.finished_at as d_finished_at";

fn key_of(row: &QueryResult) -> Result<(TenantId, WebhookId), StoreError> {
    let tenant: Uuid = row.try_get("", "tenant_id").map_err(store_error)?;
    let webhook: Uuid = row.try_get("", "webhook_id").map_err(store_error)?;
    Ok((TenantId::from_uuid(tenant), WebhookId::from_uuid(webhook)))
}

fn delivery_of(row: &QueryResult) -> Result<DueDelivery, StoreError> {
    let mut delivery = row::Model::from_query_result(row, "d_").map_err(store_error)?;
    let payload = delivery.payload.take();
    let event = match row.try_get::<Option<Uuid>>("", "id").map_err(store_error)? {
        Some(_) => {
            let event = events::row::Model::from_query_result(row, "").map_err(store_error)?;
            Some(Event::try_from(event)?)
        }
        None => None,
    };
    Ok(DueDelivery { delivery: delivery.try_into()?, payload, event })
}

/// Notes how attempts went. Answers those that were pending.
async fn note(connection: &impl ConnectionTrait, outcomes: &[Outcome]) -> Result<HashSet<Uuid>, StoreError> {
    const WIDTH: usize = 8;
    let mut noted = HashSet::with_capacity(outcomes.len());
    for outcomes in outcomes.chunks(CHUNK) {
        let rows: Vec<String> = (0..outcomes.len())
            .map(|row| {
                let places: Vec<String> =
                    (1..=WIDTH).map(|column| format!("${}", row * WIDTH + column)).collect();
                format!("({})", places.join(", "))
            })
            .collect();
        let sql = format!(
            "with outcome (tenant_id, id, status, response_status, response_body, duration_ms, error, finished_at) \
             as (values {}) \
             update webhook_deliveries set status = outcome.status, response_status = outcome.response_status, \
             response_body = outcome.response_body, duration_ms = outcome.duration_ms, error = outcome.error, \
             finished_at = outcome.finished_at from outcome \
             where webhook_deliveries.tenant_id = outcome.tenant_id and webhook_deliveries.id = outcome.id \
             and webhook_deliveries.status = 'pending' returning webhook_deliveries.id",
            rows.join(", ")
        );
        let values = outcomes.iter().flat_map(|outcome| -> [Bound; WIDTH] {
            [
                outcome.tenant.uuid().into(),
                outcome.id.uuid().into(),
                outcome.status.as_str().into(),
                outcome.response_status.map(i32::from).into(),
                outcome.response_body.clone().into(),
                outcome.duration_ms.map(|millis| i64::try_from(millis).unwrap_or(i64::MAX)).into(),
                outcome.error.clone().into(),
                to_row(outcome.finished_at).into(),
            ]
        });
        for row in query(connection, &sql, values).await? {
            noted.insert(row.try_get("", "id").map_err(store_error)?);
        }
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
async fn count(
    connection: &impl ConnectionTrait,
    mut outcomes: Vec<&Outcome>,
) -> Result<Vec<Health>, StoreError> {
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
    let (failing, healthy): (Vec<_>, Vec<_>) = sums.into_iter().partition(|(_, sum)| sum.failures > 0);
    for healthy in healthy.chunks(CHUNK) {
        let pairs: Vec<String> =
            (0..healthy.len()).map(|pair| format!("(${}, ${})", pair * 2 + 1, pair * 2 + 2)).collect();
        let sql = format!(
            "update webhooks set failures = 0, failing_since = null where failures <> 0 and (tenant_id, id) in (values {})",
            pairs.join(", ")
        );
        let values = healthy.iter().flat_map(|((tenant, webhook), _)| -> [Bound; 2] {
            [tenant.uuid().into(), webhook.uuid().into()]
        });
        execute(connection, &sql, values).await?;
    }
    let mut health = Vec::with_capacity(failing.len());
    for ((tenant, webhook), sum) in failing {
        let sql = "update webhooks set failures = case when $3 then $4 else failures + $4 end, \
                   failing_since = case when $3 then $5 else coalesce(failing_since, $5) end \
                   where tenant_id = $1 and id = $2 returning failures, failing_since";
        let values: [Bound; 5] = [
            tenant.uuid().into(),
            webhook.uuid().into(),
            sum.succeeded.into(),
            sum.failures.into(),
            sum.since.map(to_row).into(),
        ];
        if let Some(row) = query(connection, sql, values).await?.first() {
            let failures: i32 = row.try_get("", "failures").map_err(store_error)?;
            let since: Option<PrimitiveDateTime> = row.try_get("", "failing_since").map_err(store_error)?;
            health.push(Health {
                tenant,
                webhook,
                failures: failures.unsigned_abs(),
                failing_since: since.map(from_row),
            });
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
            lock = dialect(self.writer()).for_update_skip_locked
        );
        let values: [Bound; 4] =
            [worker.into(), to_row(until).into(), to_row(now).into(), i64::from(limit).into()];
        query(self.writer(), &sql, values).await?.iter().map(key_of).collect()
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
                dialect(self.writer()).for_update,
            );
            let mut values: Vec<Bound> = vec![worker.into(), to_row(until).into()];
            for (tenant, webhook) in keys {
                values.extend([tenant.uuid().into(), webhook.uuid().into()]);
            }
            execute(self.writer(), &sql, values).await?;
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
        let connection = self.read_connection();
        let key = || -> [Bound; 2] { [tenant.uuid().into(), webhook.uuid().into()] };
        // The generation first: what is planned after it is read may be missing below.
        let sql = "select w.*, q.generation, t.status <> 'deleted' as has_tenant from webhook_queues q \
                   join webhooks w on w.tenant_id = q.tenant_id and w.id = q.webhook_id \
                   join tenants t on t.id = q.tenant_id \
                   where q.tenant_id = $1 and q.webhook_id = $2 and q.leased_by = $3";
        let [by_tenant, by_id] = key();
        let rows = query(connection, sql, [by_tenant, by_id, worker.into()]).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let webhook = delivery_plans::webhook(row)?;
        let generation: i64 = row.try_get("", "generation").map_err(store_error)?;
        let has_tenant: bool = row.try_get("", "has_tenant").map_err(store_error)?;
        let active = has_tenant && webhook.status == WebhookStatus::Enabled;
        let sql = format!(
            "select e.*, {DELIVERY} from webhook_deliveries d \
             left join events e on e.tenant_id = d.tenant_id and e.id = d.event_id \
             where d.tenant_id = $1 and d.webhook_id = $2 and d.status = 'pending' and d.due_at <= $3 \
             and (d.due_at, d.id) > ($4, $5) {tests_only} order by d.due_at, d.id limit $6",
            tests_only = if active { "" } else { "and d.cause = 'test'" },
        );
        let (after, id) = match after {
            Some((at, id)) => (to_row(at), id.uuid()),
            None => {
                (PrimitiveDateTime::MIN.replace_year(1970).unwrap_or(PrimitiveDateTime::MIN), Uuid::nil())
            }
        };
        let [by_tenant, by_id] = key();
        let values: [Bound; 6] =
            [by_tenant, by_id, to_row(now).into(), after.into(), id.into(), i64::from(limit).into()];
        let rows = query(connection, &sql, values).await?;
        let deliveries = rows.iter().map(delivery_of).collect::<Result<_, _>>()?;
        Ok(Some(Due { webhook, active, generation, deliveries }))
    }

    async fn settle(&self, outcomes: Vec<Outcome>) -> Result<Vec<Health>, StoreError> {
        let transaction = self.transaction().await?;
        let noted = note(&transaction, &outcomes).await?;
        let new = |outcome: &&Outcome| noted.contains(&outcome.id.uuid());
        let next: Vec<_> = outcomes.iter().filter(new).filter_map(|outcome| outcome.next.clone()).collect();
        let counted = outcomes.iter().filter(new).filter(|outcome| outcome.counts).collect();
        let health = count(&transaction, counted).await?;
        delivery_plans::plan(&transaction, next).await?;
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
        let values: [Bound; 5] = [
            tenant.uuid().into(),
            webhook.uuid().into(),
            worker.into(),
            generation.into(),
            held_until.map(to_row).into(),
        ];
        Ok(execute(self.writer(), sql, values).await? == 1)
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
        let values: [Bound; 5] = [
            tenant.uuid().into(),
            webhook.uuid().into(),
            error.into(),
            to_row(now).into(),
            i64::from(limit).into(),
        ];
        execute(self.writer(), sql, values).await
    }

    async fn figures(&self, now: Timestamp) -> Result<DeliveryFigures, StoreError> {
        let connection = self.read_connection();
        // Over all tenants, for the operator.
        let sql = "select count(*) as pending from (select 1 from webhook_deliveries where status = 'pending' limit $1) as waiting";
        let pending = query(connection, sql, [COUNTED.into()]).await?;
        let sql = "select ready_at from webhook_queues where ready_at <= $1 order by ready_at limit 1";
        let oldest = query(connection, sql, [to_row(now).into()]).await?;
        let mut figures = DeliveryFigures::default();
        if let Some(row) = pending.first() {
            figures.pending = row.try_get::<i64>("", "pending").map_err(store_error)?.unsigned_abs();
        }
        if let Some(row) = oldest.first() {
            let ready: PrimitiveDateTime = row.try_get("", "ready_at").map_err(store_error)?;
            figures.oldest_due = (now - from_row(ready)).max(Duration::ZERO);
        }
        Ok(figures)
    }
}
