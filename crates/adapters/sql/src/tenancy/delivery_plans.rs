//! Planning deliveries to webhooks.

use std::collections::BTreeMap;

use async_trait::async_trait;
use portico_kernel::{StoreError, TenantId, Timestamp, WebhookId};
use portico_tenancy::{
    delivery::DeliveryStatus,
    ports::{DeliveryPlans, Listener, PlannedDelivery},
    webhook::Webhook,
};
use sea_orm::ActiveValue::Set;

use super::{deliveries::row, webhooks};
use crate::{
    columns::Col,
    db::{Db, Param, Params, placeholders},
};

/// Deliveries stored in one statement: 12 values each, and SQLite takes 32,766.
const CHUNK: usize = 1000;

/// Has webhooks looked after at a time, in the order of their keys: whoever locks several of them does so in this order. One that
/// a worker holds is not given to another one; the worker notices by the generation.
pub(super) async fn touch(
    db: &Db<'_>,
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
        let values: Vec<_> =
            due.iter().flat_map(|((tenant, webhook), at)| (*tenant, *webhook, **at).values()).collect();
        db.execute(&sql, values).await?;
    }
    Ok(())
}

/// Locks the rows of webhooks in a table, in the order of their keys: whoever changes several of them one after the other does this first.
pub(super) async fn hold(
    db: &Db<'_>,
    (table, id): (&str, &str),
    mut keys: Vec<(TenantId, WebhookId)>,
) -> Result<(), StoreError> {
    let lock = db.dialect().for_update;
    if lock.is_empty() {
        return Ok(());
    }
    keys.sort_unstable();
    keys.dedup();
    for keys in keys.chunks(CHUNK) {
        let pairs: Vec<String> =
            (0..keys.len()).map(|pair| format!("(${}, ${})", pair * 2 + 1, pair * 2 + 2)).collect();
        let sql = format!(
            "select {id} from {table} where (tenant_id, {id}) in (values {}) order by tenant_id, {id} {lock}",
            pairs.join(", ")
        );
        let values: Vec<_> = keys.iter().flat_map(|(tenant, webhook)| (*tenant, *webhook).values()).collect();
        db.rows::<WebhookId>(&sql, values).await?;
    }
    Ok(())
}

/// Stores deliveries, and has their webhooks looked after.
pub(super) async fn plan(db: &Db<'_>, deliveries: Vec<PlannedDelivery>) -> Result<(), StoreError> {
    let mut due: BTreeMap<(TenantId, WebhookId), Timestamp> = BTreeMap::new();
    for delivery in &deliveries {
        let first = due.entry((delivery.tenant, delivery.webhook)).or_insert(delivery.due_at);
        *first = delivery.due_at.min(*first);
    }
    let mut rows = deliveries.into_iter().map(|delivery| row::ActiveModel {
        tenant_id: Set(Col(delivery.tenant)),
        id: Set(Col(delivery.id)),
        webhook_id: Set(Col(delivery.webhook)),
        event_id: Set(Col(delivery.event)),
        event_type: Set(delivery.event_type),
        sequence: Set(delivery.sequence),
        attempt: Set(Col(delivery.attempt)),
        cause: Set(Col(delivery.cause)),
        payload: Set(delivery.payload),
        status: Set(Col(DeliveryStatus::Pending)),
        due_at: Set(Col(delivery.due_at)),
        created_at: Set(Col(delivery.created_at)),
        // What comes of it is not known yet.
        ..Default::default()
    });
    loop {
        let chunk: Vec<_> = rows.by_ref().take(CHUNK).collect();
        if chunk.is_empty() {
            break;
        }
        db.insert_many(chunk).await?;
    }
    touch(db, &due).await
}

/// Plans over one connection.
pub(crate) struct Plans<'c> {
    pub db: Db<'c>,
}

#[async_trait]
impl DeliveryPlans for Plans<'_> {
    async fn listeners(&mut self, tenants: Vec<TenantId>) -> Result<Vec<Listener>, StoreError> {
        let mut listeners = Vec::new();
        for tenants in tenants.chunks(CHUNK) {
            // Held, so that none is deleted before its deliveries are stored.
            let sql = format!(
                "select w.tenant_id, w.id, w.events, w.created_at from webhooks w \
                 where w.status = 'enabled' and w.tenant_id in ({}) \
                 and exists (select 1 from tenants t where t.id = w.tenant_id and t.status <> 'deleted') \
                 order by w.tenant_id, w.id {}",
                placeholders(1, tenants.len()),
                self.db.dialect().for_key_share,
            );
            let rows =
                self.db.rows(&sql, tenants.iter().copied().map(Param::value).collect::<Vec<_>>()).await?;
            listeners.extend(rows.into_iter().map(|(tenant, webhook, events, since)| Listener {
                tenant,
                webhook,
                events,
                since,
            }));
        }
        Ok(listeners)
    }

    async fn places(&mut self, tenant: TenantId, count: u32) -> Result<i64, StoreError> {
        let sql = "insert into webhook_sequences (tenant_id, last) values ($1, $2) \
                   on conflict (tenant_id) do update set last = webhook_sequences.last + excluded.last returning last";
        let count = i64::from(count);
        let last = self.db.row(sql, (tenant, count)).await?.unwrap_or(count);
        Ok(last - count + 1)
    }

    async fn hold(&mut self, webhooks: Vec<(TenantId, WebhookId)>) -> Result<(), StoreError> {
        hold(&self.db, ("webhook_queues", "webhook_id"), webhooks).await
    }

    async fn plan(&mut self, deliveries: Vec<PlannedDelivery>) -> Result<(), StoreError> {
        plan(&self.db, deliveries).await
    }

    async fn wake(&mut self, tenant: TenantId, webhook: WebhookId, now: Timestamp) -> Result<(), StoreError> {
        // Not by an insertion: nothing was ever planned for one that has no queue, and it may be deleted.
        let sql = "update webhook_queues set generation = generation + 1, held_until = null, \
                   ready_at = case when leased_by is null then $3 else ready_at end \
                   where tenant_id = $1 and webhook_id = $2";
        self.db.execute(sql, (tenant, webhook, now)).await.map(drop)
    }

    async fn disable(
        &mut self,
        tenant: TenantId,
        id: WebhookId,
        reason: &str,
        now: Timestamp,
    ) -> Result<Option<(Webhook, Webhook)>, StoreError> {
        let sql = format!(
            "select * from webhooks where tenant_id = $1 and id = $2 and status = 'enabled' {}",
            self.db.dialect().for_update
        );
        let before: Option<webhooks::row::Model> = self.db.model(&sql, (tenant, id)).await?;
        let Some(before) = before else { return Ok(None) };
        let sql = "update webhooks set status = 'disabled', disabled_at = $3, disabled_reason = $4, updated_at = $3, \
                   version = version + 1 where tenant_id = $1 and id = $2 returning *";
        let after: Option<webhooks::row::Model> = self.db.model(sql, (tenant, id, now, reason)).await?;
        Ok(after.map(|after| (before.into(), after.into())))
    }
}
