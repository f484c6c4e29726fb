//! Attempts to deliver to webhooks.

use async_trait::async_trait;
use portico_kernel::{
    CursorPage, CursorRequest, DeliveryId, EventId, StoreError, TenantId, Timestamp, WebhookId,
};
use portico_tenancy::{
    delivery::{Content, Delivery, DeliveryCause, DeliveryFilter, DeliveryStatus, Occurrence, Window},
    ports::DeliveryRepository,
};
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Value, sea_query::Expr,
};
use uuid::Uuid;

use super::audit::{ID_TOLERANCE, first_id};
use crate::{
    dialect::{execute, query},
    error::{store_error, unreadable},
    time::{from_row, to_row},
};

/// A row of the log of attempts.
pub(crate) mod row {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "webhook_deliveries")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub tenant_id: Uuid,
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub webhook_id: Uuid,
        pub event_id: Uuid,
        pub event_type: String,
        pub sequence: Option<i64>,
        pub attempt: i32,
        pub cause: String,
        pub payload: Option<Json>,
        pub status: String,
        pub due_at: TimeDateTime,
        pub response_status: Option<i32>,
        pub response_body: Option<String>,
        pub duration_ms: Option<i64>,
        pub error: Option<String>,
        pub created_at: TimeDateTime,
        pub finished_at: Option<TimeDateTime>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

use row::Column;

impl TryFrom<row::Model> for Delivery {
    type Error = StoreError;

    fn try_from(row: row::Model) -> Result<Self, StoreError> {
        let cause = DeliveryCause::parse(&row.cause);
        let status = DeliveryStatus::parse(&row.status);
        Ok(Self {
            id: DeliveryId::from_uuid(row.id),
            tenant: TenantId::from_uuid(row.tenant_id),
            webhook_id: WebhookId::from_uuid(row.webhook_id),
            event_id: EventId::from_uuid(row.event_id),
            event_type: row.event_type,
            sequence: row.sequence,
            cause: cause.ok_or_else(|| unreadable("webhook_deliveries.cause", &row.cause))?,
            attempt: row.attempt.unsigned_abs(),
            status: status.ok_or_else(|| unreadable("webhook_deliveries.status", &row.status))?,
            response_status: row.response_status.and_then(|status| u16::try_from(status).ok()),
            response_body: row.response_body,
            duration_ms: row.duration_ms.and_then(|millis| u64::try_from(millis).ok()),
            error: row.error,
            due_at: from_row(row.due_at),
            created_at: from_row(row.created_at),
            finished_at: row.finished_at.map(from_row),
        })
    }
}

/// Deliveries over one connection.
pub(crate) struct Deliveries<'c, C> {
    pub connection: &'c C,
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
impl<C: ConnectionTrait + Send> DeliveryRepository for Deliveries<'_, C> {
    async fn find(&mut self, tenant: TenantId, id: DeliveryId) -> Result<Option<Delivery>, StoreError> {
        let row = row::Entity::find_by_id((tenant.uuid(), id.uuid()));
        row.one(self.connection).await.map_err(store_error)?.map(Delivery::try_from).transpose()
    }

    async fn list(
        &mut self,
        tenant: TenantId,
        filter: DeliveryFilter,
        request: CursorRequest,
    ) -> Result<CursorPage<Delivery>, StoreError> {
        let nothing = || Ok(CursorPage { items: Vec::new(), next_cursor: None });
        let mut found = row::Entity::find().filter(Column::TenantId.eq(tenant.uuid()));
        if let Some(webhook) = filter.webhook {
            found = found.filter(Column::WebhookId.eq(webhook.uuid()));
        }
        if let Some(status) = filter.status {
            found = found.filter(Column::Status.eq(status.as_str()));
        }
        if let Some(name) = filter.event_type {
            found = found.filter(Column::EventType.eq(name));
        }
        for (text, is_cursor) in [(filter.event_id, false), (request.cursor, true)] {
            let Some(text) = text else { continue };
            let Ok(id) = Uuid::parse_str(&text) else { return nothing() };
            found = found.filter(if is_cursor { Column::Id.lt(id) } else { Column::EventId.eq(id) });
        }
        if let Some(since) = filter.since {
            // The list is in the order of ids: bounds on them keep it from being read from its end.
            found = found.filter(Column::CreatedAt.gte(to_row(since)));
            found = found.filter(Column::Id.gte(first_id(since - ID_TOLERANCE)));
        }
        if let Some(until) = filter.until {
            found = found.filter(Column::CreatedAt.lt(to_row(until)));
            found = found.filter(Column::Id.lt(first_id(until + ID_TOLERANCE)));
        }
        // One more than asked for tells whether there is a next piece.
        let rows = found
            .select_only()
            .columns(LISTED)
            .expr_as(Expr::cust("null"), "response_body")
            .expr_as(Expr::cust("null"), "payload")
            .order_by_desc(Column::Id)
            .limit(request.limit + 1)
            .into_model::<row::Model>()
            .all(self.connection)
            .await
            .map_err(store_error)?;
        let limit = usize::try_from(request.limit).unwrap_or(usize::MAX);
        let more = rows.len() > limit;
        let items = rows.into_iter().take(limit).map(Delivery::try_from).collect::<Result<Vec<_>, _>>()?;
        let next_cursor = items.last().filter(|_| more).map(|last| last.id.to_string());
        Ok(CursorPage { items, next_cursor })
    }

    async fn content(&mut self, delivery: &Delivery) -> Result<Content, StoreError> {
        let tenant = delivery.tenant.uuid();
        let row = row::Entity::find_by_id((tenant, delivery.id.uuid())).one(self.connection).await;
        if let Some(message) = row.map_err(store_error)?.and_then(|row| row.payload) {
            return Ok(Content::Message(message));
        }
        let logged = query(
            self.connection,
            "select 1 as found from events where tenant_id = $1 and id = $2",
            [tenant.into(), delivery.event_id.uuid().into()],
        )
        .await?;
        Ok(if logged.is_empty() { Content::Forgotten } else { Content::Event })
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
        let kinds: Vec<String> = (0..bounds.kinds.len()).map(|place| format!("${}", place + 9)).collect();
        let sql = format!(
            "select e.id, e.kind, \
             (select max(d.sequence) from webhook_deliveries d \
               where d.tenant_id = e.tenant_id and d.event_id = e.id) as sequence, \
             not exists (select 1 from webhook_deliveries d \
               where d.tenant_id = e.tenant_id and d.event_id = e.id and d.webhook_id = $6 \
               and (d.status = 'pending' or d.cause = 'resend' and d.created_at >= $7 {settled})) as wanted \
             from events e where e.tenant_id = $1 and e.id > $2 and e.id < $3 \
             and e.created_at >= $4 and e.created_at < $5 and e.kind in ({}) order by e.id limit $8",
            kinds.join(", ")
        );
        let first = after.map_or_else(|| first_id(bounds.since - ID_TOLERANCE), EventId::uuid);
        let mut values: Vec<Value> = vec![
            tenant.uuid().into(),
            first.into(),
            first_id(bounds.until + ID_TOLERANCE).into(),
            to_row(bounds.since).into(),
            to_row(bounds.until).into(),
            webhook.uuid().into(),
            to_row(bounds.requested_at).into(),
            i64::from(limit).into(),
        ];
        values.extend(bounds.kinds.iter().map(|kind| Value::from(*kind)));
        let rows = query(self.connection, &sql, values).await?;
        rows.iter()
            .map(|row| {
                Ok(Occurrence {
                    event: EventId::from_uuid(row.try_get("", "id").map_err(store_error)?),
                    kind: row.try_get("", "kind").map_err(store_error)?,
                    sequence: row.try_get("", "sequence").map_err(store_error)?,
                    wanted: row.try_get("", "wanted").map_err(store_error)?,
                })
            })
            .collect()
    }

    // Of all tenants at once: how long attempts are kept is a setting of the operator.
    async fn forget(&mut self, before: Timestamp, limit: u64) -> Result<u64, StoreError> {
        execute(
            self.connection,
            "delete from webhook_deliveries where (tenant_id, id) in \
             (select tenant_id, id from webhook_deliveries where created_at < $1 limit $2)",
            [to_row(before).into(), i64::try_from(limit).unwrap_or(i64::MAX).into()],
        )
        .await
    }
}
