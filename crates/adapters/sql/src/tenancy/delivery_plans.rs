//! Planning deliveries to webhooks.

use std::collections::BTreeMap;

use async_trait::async_trait;
use portico_kernel::{StoreError, TenantId, Timestamp, WebhookId};
use portico_tenancy::{
    delivery::DeliveryStatus,
    ports::{DeliveryPlans, Listener, PlannedDelivery},
    webhook::Webhook,
};
use sea_orm::{ActiveValue::Set, ConnectionTrait, EntityTrait, FromQueryResult, QueryResult, Value as Bound};
use time::PrimitiveDateTime;
use uuid::Uuid;

use super::{deliveries::row, webhooks};
use crate::{
    dialect::{dialect, execute, query},
    error::{json_error, store_error},
    time::{from_row, to_row},
};

/// Deliveries stored in one statement: 17 values each, and SQLite takes 32,766.
const CHUNK: usize = 1000;

/// Has webhooks looked after at a time, in the order of their keys: whoever locks several of them does so in this order. One that
/// a worker holds is not given to another one; the worker notices by the generation.
pub(super) async fn touch(
    connection: &impl ConnectionTrait,
    due: &BTreeMap<(TenantId, WebhookId), Timestamp>,
) -> Result<(), StoreError> {
    let due: Vec<_> = due.iter().collect();
    for due in due.chunks(CHUNK) {
        let rows: Vec<String> = (0..due.len())
            .map(|row| format!("(${}, ${}, ${}, 1)", row * 3 + 1, row * 3 + 2, row * 3 + 3))
            .collect();
        let sql = format!(
            "insert into webhook_queues (tenant_id, webhook_id, ready_at, generation) values {} \
             on conflict (tenant_id, webhook_id) do update set generation = webhook_queues.generation + 1, \
             ready_at = case when webhook_queues.leased_by is not null then webhook_queues.ready_at \
                             when webhook_queues.ready_at <= excluded.ready_at then webhook_queues.ready_at \
                             when webhook_queues.held_until > excluded.ready_at then webhook_queues.held_until \
                             else excluded.ready_at end",
            rows.join(", ")
        );
        let values = due.iter().flat_map(|((tenant, webhook), at)| -> [Bound; 3] {
            [tenant.uuid().into(), webhook.uuid().into(), to_row(**at).into()]
        });
        execute(connection, &sql, values).await?;
    }
    Ok(())
}

/// Stores deliveries, and has their webhooks looked after.
pub(super) async fn plan(
    connection: &impl ConnectionTrait,
    deliveries: Vec<PlannedDelivery>,
) -> Result<(), StoreError> {
    let mut due: BTreeMap<(TenantId, WebhookId), Timestamp> = BTreeMap::new();
    for delivery in &deliveries {
        let first = due.entry((delivery.tenant, delivery.webhook)).or_insert(delivery.due_at);
        *first = delivery.due_at.min(*first);
    }
    let mut rows = deliveries.into_iter().map(|delivery| row::ActiveModel {
        tenant_id: Set(delivery.tenant.uuid()),
        id: Set(delivery.id.uuid()),
        webhook_id: Set(delivery.webhook.uuid()),
        event_id: Set(delivery.event.uuid()),
        event_type: Set(delivery.event_type),
        sequence: Set(delivery.sequence),
        attempt: Set(i32::try_from(delivery.attempt).unwrap_or(i32::MAX)),
        cause: Set(delivery.cause.as_str().to_owned()),
        payload: Set(delivery.payload),
        status: Set(DeliveryStatus::Pending.as_str().to_owned()),
        due_at: Set(to_row(delivery.due_at)),
        response_status: Set(None),
        response_body: Set(None),
        duration_ms: Set(None),
        error: Set(None),
        created_at: Set(to_row(delivery.created_at)),
        finished_at: Set(None),
    });
    loop {
        let chunk: Vec<_> = rows.by_ref().take(CHUNK).collect();
        if chunk.is_empty() {
            break;
        }
        row::Entity::insert_many(chunk).exec_without_returning(connection).await.map_err(store_error)?;
    }
    touch(connection, &due).await
}

/// A webhook from a row with all columns of one.
pub(super) fn webhook(row: &QueryResult) -> Result<Webhook, StoreError> {
    webhooks::row::Model::from_query_result(row, "").map_err(store_error)?.try_into()
}

/// Plans over one connection.
pub(crate) struct Plans<'c, C> {
    pub connection: &'c C,
}

#[async_trait]
impl<C: ConnectionTrait + Send> DeliveryPlans for Plans<'_, C> {
    async fn listeners(&mut self, tenants: Vec<TenantId>) -> Result<Vec<Listener>, StoreError> {
        let mut listeners = Vec::new();
        for tenants in tenants.chunks(CHUNK) {
            let places: Vec<String> = (1..=tenants.len()).map(|place| format!("${place}")).collect();
            // Held, so that none is deleted before its deliveries are stored.
            let sql = format!(
                "select w.tenant_id, w.id, w.events, w.created_at from webhooks w \
                 where w.status = 'enabled' and w.tenant_id in ({}) \
                 and exists (select 1 from tenants t where t.id = w.tenant_id and t.status <> 'deleted') \
                 order by w.tenant_id, w.id {}",
                places.join(", "),
                dialect(self.connection).for_key_share,
            );
            let rows =
                query(self.connection, &sql, tenants.iter().map(|tenant| tenant.uuid().into())).await?;
            for row in rows {
                let tenant: Uuid = row.try_get("", "tenant_id").map_err(store_error)?;
                let webhook: Uuid = row.try_get("", "id").map_err(store_error)?;
                let events: serde_json::Value = row.try_get("", "events").map_err(store_error)?;
                let since: PrimitiveDateTime = row.try_get("", "created_at").map_err(store_error)?;
                listeners.push(Listener {
                    since: from_row(since),
                    tenant: TenantId::from_uuid(tenant),
                    webhook: WebhookId::from_uuid(webhook),
                    events: serde_json::from_value(events).map_err(json_error)?,
                });
            }
        }
        Ok(listeners)
    }

    async fn places(&mut self, tenant: TenantId, count: u32) -> Result<i64, StoreError> {
        let sql = "insert into webhook_sequences (tenant_id, last) values ($1, $2) \
                   on conflict (tenant_id) do update set last = webhook_sequences.last + excluded.last returning last";
        let rows = query(self.connection, sql, [tenant.uuid().into(), i64::from(count).into()]).await?;
        let last: i64 = match rows.first() {
            Some(row) => row.try_get("", "last").map_err(store_error)?,
            None => i64::from(count),
        };
        Ok(last - i64::from(count) + 1)
    }

    async fn plan(&mut self, deliveries: Vec<PlannedDelivery>) -> Result<(), StoreError> {
        plan(self.connection, deliveries).await
    }

    async fn wake(&mut self, tenant: TenantId, webhook: WebhookId, now: Timestamp) -> Result<(), StoreError> {
        // Not by an insertion: nothing was ever planned for one that has no queue, and it may be deleted.
        let sql = "update webhook_queues set generation = generation + 1, held_until = null, \
                   ready_at = case when leased_by is null then $3 else ready_at end \
                   where tenant_id = $1 and webhook_id = $2";
        let values = [tenant.uuid().into(), webhook.uuid().into(), to_row(now).into()];
        execute(self.connection, sql, values).await.map(drop)
    }

    async fn disable(
        &mut self,
        tenant: TenantId,
        id: WebhookId,
        reason: &str,
        now: Timestamp,
    ) -> Result<Option<(Webhook, Webhook)>, StoreError> {
        let key = || -> [Bound; 2] { [tenant.uuid().into(), id.uuid().into()] };
        let sql = format!(
            "select * from webhooks where tenant_id = $1 and id = $2 and status = 'enabled' {}",
            dialect(self.connection).for_update
        );
        let before = query(self.connection, &sql, key()).await?;
        let Some(before) = before.first().map(webhook).transpose()? else { return Ok(None) };
        let sql = "update webhooks set status = 'disabled', disabled_at = $3, disabled_reason = $4, updated_at = $3, \
                   version = version + 1 where tenant_id = $1 and id = $2 returning *";
        let [tenant, id] = key();
        let after = query(self.connection, sql, [tenant, id, to_row(now).into(), reason.into()]).await?;
        let after = after.first().map(webhook).transpose()?;
        Ok(after.map(|after| (before, after)))
    }
}
