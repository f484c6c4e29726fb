//! Attempts to deliver to webhooks.

use async_trait::async_trait;
use portico_kernel::{
    CursorPage, CursorRequest, DeliveryId, EventId, StoreError, TenantId, Timestamp, WebhookId,
};
use portico_tenancy::{
    delivery::{Content, Delivery, DeliveryCause, DeliveryFilter, DeliveryStatus, Occurrence, Window},
    ports::DeliveryRepository,
};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Value, sea_query::Expr};
use uuid::Uuid;

use super::audit::{ID_TOLERANCE, first_id};
use crate::{
    columns::{Col, words},
    db::{Db, Params, piece, placeholders},
};
use row::Column;

/// A row of the log of attempts.
pub(crate) mod row {
    use portico_kernel::{DeliveryId, EventId, TenantId, Timestamp, WebhookId};
    use portico_tenancy::delivery::{DeliveryCause, DeliveryStatus};
    use sea_orm::entity::prelude::*;

    use crate::columns::Col;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "webhook_deliveries")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub tenant_id: Col<TenantId>,
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Col<DeliveryId>,
        pub webhook_id: Col<WebhookId>,
        pub event_id: Col<EventId>,
        pub event_type: String,
        pub sequence: Option<i64>,
        pub attempt: Col<u32>,
        pub cause: Col<DeliveryCause>,
        pub payload: Option<Json>,
        pub status: Col<DeliveryStatus>,
        pub due_at: Col<Timestamp>,
        pub response_status: Col<Option<u16>>,
        pub response_body: Option<String>,
        pub duration_ms: Col<Option<u64>>,
        pub error: Option<String>,
        pub created_at: Col<Timestamp>,
        pub finished_at: Col<Option<Timestamp>>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

words!(DeliveryCause, DeliveryStatus);

impl From<row::Model> for Delivery {
    fn from(row: row::Model) -> Self {
        Self {
            id: row.id.0,
            tenant: row.tenant_id.0,
            webhook_id: row.webhook_id.0,
            event_id: row.event_id.0,
            event_type: row.event_type,
            sequence: row.sequence,
            cause: row.cause.0,
            attempt: row.attempt.0,
            status: row.status.0,
            response_status: row.response_status.0,
            response_body: row.response_body,
            duration_ms: row.duration_ms.0,
            error: row.error,
            due_at: row.due_at.0,
            created_at: row.created_at.0,
            finished_at: row.finished_at.0,
        }
    }
}

/// Deliveries over one connection.
pub(crate) struct Deliveries<'c> {
    pub db: Db<'c>,
}

/// Everything that a list tells of an attempt.
const LISTED: [Column; 15] = [
    Column::TenantId,
    Column::Id,
    Column::WebhookId,
    Column::EventId,
    Column::EventType,
    Column::Sequence,
    Column::Attempt,
    Column::Cause,
    Column::Status,
    Column::DueAt,
    Column::ResponseStatus,
    Column::DurationMs,
    Column::Error,
    Column::CreatedAt,
    Column::FinishedAt,
];

#[async_trait]
impl DeliveryRepository for Deliveries<'_> {
    async fn find(&mut self, tenant: TenantId, id: DeliveryId) -> Result<Option<Delivery>, StoreError> {
        let row = row::Entity::find_by_id((Col(tenant), Col(id)));
        self.db.one(row).await
    }

    async fn list(
        &mut self,
        tenant: TenantId,
        filter: DeliveryFilter,
        request: CursorRequest,
    ) -> Result<CursorPage<Delivery>, StoreError> {
        let nothing = || Ok(CursorPage { items: Vec::new(), next_cursor: None });
        let mut found = row::Entity::find().filter(Column::TenantId.eq(Col(tenant)));
        if let Some(webhook) = filter.webhook {
            found = found.filter(Column::WebhookId.eq(Col(webhook)));
        }
        if let Some(status) = filter.status {
            found = found.filter(Column::Status.eq(Col(status)));
        }
        if let Some(name) = filter.event_type {
            found = found.filter(Column::EventType.eq(name));
        }
        for (text, is_cursor) in [(filter.event_id, false), (request.cursor, true)] {
            let Some(text) = text else { continue };
            let Ok(id) = Uuid::parse_str(&text) else { return nothing() };
            found = found.filter(if is_cursor { Column::Id.lt(id) } else { Column::EventId.eq(id) });
        }
        if let Some(since) = filter.from {
            // The list is in the order of ids: bounds on them keep it from being read from its end.
            found = found.filter(Column::CreatedAt.gte(Col(since)));
            found = found.filter(Column::Id.gte(first_id(since - ID_TOLERANCE)));
        }
        if let Some(until) = filter.to {
            found = found.filter(Column::CreatedAt.lt(Col(until)));
            found = found.filter(Column::Id.lt(first_id(until + ID_TOLERANCE)));
        }
        // One more than asked for tells whether there is a next piece.
        let query = found
            .select_only()
            .columns(LISTED)
            .expr_as(Expr::cust("null"), "response_body")
            .expr_as(Expr::cust("null"), "payload")
            .order_by_desc(Column::Id)
            .limit(request.limit + 1)
            .into_model::<row::Model>();
        Ok(piece(self.db.all(query).await?, request.limit, |last: &Delivery| last.id.to_string()))
    }

    async fn content(&mut self, delivery: &Delivery) -> Result<Content, StoreError> {
        let tenant = delivery.tenant;
        let row = self.db.one(row::Entity::find_by_id((Col(tenant), Col(delivery.id)))).await?;
        if let Some(message) = row.and_then(|row: row::Model| row.payload) {
            return Ok(Content::Message(message));
        }
        let sql = "select 1 as found from events where tenant_id = $1 and id = $2";
        let logged = self.db.exists(sql, (tenant, delivery.event_id)).await?;
        Ok(if logged { Content::Event } else { Content::Forgotten })
    }

    async fn window(
        &mut self,
        tenant: TenantId,
        webhook: WebhookId,
        bounds: &Window,
        after: Option<EventId>,
        limit: u32,
    ) -> Result<Vec<Occurrence>, StoreError> {
        if bounds.kinds.is_empty() {
            return Ok(Vec::new());
        }
        let settled = if bounds.only_failed { "or d.status = 'succeeded'" } else { "" };
        let sql = format!(
            "select e.id, e.kind, \
             (select max(d.sequence) from webhook_deliveries d \
               where d.tenant_id = e.tenant_id and d.event_id = e.id) as sequence, \
             not exists (select 1 from webhook_deliveries d \
               where d.tenant_id = e.tenant_id and d.event_id = e.id and d.webhook_id = $6 \
               and (d.status = 'pending' or d.cause = 'resend' and d.created_at >= $7 {settled})) as wanted \
             from events e where e.tenant_id = $1 and e.id > $2 and e.id < $3 \
             and e.created_at >= $4 and e.created_at < $5 and e.kind in ({}) order by e.id limit $8",
            placeholders(9, bounds.kinds.len())
        );
        let first = after.map_or_else(|| first_id(bounds.since - ID_TOLERANCE), EventId::uuid);
        let mut values = (
            tenant,
            first,
            first_id(bounds.until + ID_TOLERANCE),
            bounds.since,
            bounds.until,
            webhook,
            bounds.requested_at,
            i64::from(limit),
        )
            .values();
        values.extend(bounds.kinds.iter().map(|kind| Value::from(*kind)));
        let rows = self.db.rows(&sql, values).await?;
        let occurrence = |(event, kind, sequence, wanted)| Occurrence { event, kind, sequence, wanted };
        Ok(rows.into_iter().map(occurrence).collect())
    }

    // Of all tenants at once: how long attempts are kept is a setting of the operator.
    async fn forget(&mut self, before: Timestamp, limit: u64) -> Result<u64, StoreError> {
        let sql = "delete from webhook_deliveries where (tenant_id, id) in \
             (select tenant_id, id from webhook_deliveries where created_at < $1 limit $2)";
        self.db.execute(sql, (before, limit)).await
    }
}
