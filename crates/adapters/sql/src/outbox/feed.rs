//! Following the event log of one tenant, without a cursor in the store.

use async_trait::async_trait;
use portico_kernel::{
    EventId, StoreError, TenantId,
    feed::{EventBatch, EventFeed, LogPosition, PositionedEvent},
};
use sea_orm::FromQueryResult;

use super::{events, readers::Position};
use crate::SqlStore;

impl From<Position> for LogPosition {
    fn from(position: Position) -> Self {
        let (transaction, sequence) = position.place();
        Self { transaction, sequence }
    }
}

/// An event with its place in the log.
#[derive(FromQueryResult)]
struct FedRow {
    #[sea_orm(nested)]
    event: events::row::Model,
    #[sea_orm(nested)]
    place: Position,
    settled: bool,
}

#[async_trait]
impl EventFeed for SqlStore {
    async fn newest(&self, tenant: TenantId) -> Result<Option<(LogPosition, EventId)>, StoreError> {
        let db = self.read();
        let dialect = db.dialect();
        let sql = format!(
            "select id, {order} from events where tenant_id = $1 and {settled} order by {newest_first} limit 1",
            order = dialect.event_order,
            settled = dialect.event_is_settled,
            newest_first = dialect.newest_event_first,
        );
        let found = db.row(&sql, [tenant]).await?;
        Ok(found
            .map(|(event, transaction_id, sequence)| (Position { transaction_id, sequence }.into(), event)))
    }

    async fn find(&self, tenant: TenantId, event: EventId) -> Result<Option<LogPosition>, StoreError> {
        let db = self.read();
        let sql = format!(
            "select {order} from events where tenant_id = $1 and id = $2",
            order = db.dialect().event_order
        );
        Ok(db.model::<Position>(&sql, (tenant, event)).await?.map(LogPosition::from))
    }

    async fn after(
        &self,
        tenant: TenantId,
        place: LogPosition,
        limit: u32,
    ) -> Result<EventBatch, StoreError> {
        let db = self.read();
        let dialect = db.dialect();
        // What is settled comes first in the order, so the rest need not be read to know that it waits.
        let sql = format!(
            "select events.*, {order}, {settled} as settled from events \
             where {after} and tenant_id = $3 order by {sort} limit $4",
            order = dialect.event_order,
            settled = dialect.event_is_settled,
            after = dialect.event_is_after,
            sort = dialect.order_by_event,
        );
        let values = (place.transaction.to_string(), place.sequence, tenant, i64::from(limit));
        let mut piece = EventBatch::default();
        for FedRow { event, place, settled } in db.models(&sql, values).await? {
            if !settled {
                piece.held_up = true;
                break;
            }
            piece.events.push(PositionedEvent { place: place.into(), event: event.into() });
        }
        Ok(piece)
    }

    async fn count_after(&self, tenant: TenantId, place: LogPosition, most: u32) -> Result<u32, StoreError> {
        let db = self.read();
        let sql = format!(
            "select count(*) as found from (select 1 from events where {after} and tenant_id = $3 limit $4) as counted",
            after = db.dialect().event_is_after
        );
        let values = (place.transaction.to_string(), place.sequence, tenant, i64::from(most));
        Ok(u32::try_from(db.total(&sql, values).await?).unwrap_or_default())
    }
}
