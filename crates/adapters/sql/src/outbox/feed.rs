//! Following a part of the event log, without a cursor in the store.

use async_trait::async_trait;
use portico_kernel::{
    EventId, StoreError,
    feed::{EventBatch, EventFeed, Followed, LogPosition, PositionedEvent, TICKETS},
};
use sea_orm::{FromQueryResult, Value};

use super::{events, readers::Position};
use crate::{
    SqlStore,
    db::{Param, Params},
    looked_after::looked_after,
};

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

/// Finds the followed events: a condition, and the values of a statement that has it after these.
fn those(followed: Followed, values: impl Params) -> (String, Vec<Value>) {
    let mut values = values.values();
    match followed {
        Followed::Tenant(tenant) => {
            values.push(tenant.value());
            (format!("tenant_id = ${}", values.len()), values)
        }
        // The first condition word for word as in the partial index, so that it is used.
        Followed::Tickets { all: true } => (format!("resource_type = '{TICKETS}'"), values),
        // Whose it is, the ticket says: events about notes are the platform's.
        Followed::Tickets { all: false } => {
            let those = format!(
                "resource_type = '{TICKETS}' and not exists (select 1 from support_tickets t \
                 where t.id = events.resource_id and not ({}))",
                looked_after(false, "t.tenant_id")
            );
            (those, values)
        }
    }
}

#[async_trait]
impl EventFeed for SqlStore {
    async fn newest(&self, followed: Followed) -> Result<Option<(LogPosition, EventId)>, StoreError> {
        let db = self.read();
        let dialect = db.dialect();
        let (those, values) = those(followed, ());
        let sql = format!(
            "select id, {order} from events where {those} and {settled} order by {newest_first} limit 1",
            order = dialect.event_order,
            settled = dialect.event_is_settled,
            newest_first = dialect.newest_event_first,
        );
        let found = db.row(&sql, values).await?;
        Ok(found
            .map(|(event, transaction_id, sequence)| (Position { transaction_id, sequence }.into(), event)))
    }

    async fn find(&self, followed: Followed, event: EventId) -> Result<Option<LogPosition>, StoreError> {
        let db = self.read();
        let (those, values) = those(followed, [event]);
        let sql =
            format!("select {order} from events where id = $1 and {those}", order = db.dialect().event_order);
        Ok(db.model::<Position>(&sql, values).await?.map(LogPosition::from))
    }

    async fn after(
        &self,
        followed: Followed,
        place: LogPosition,
        limit: u32,
    ) -> Result<EventBatch, StoreError> {
        let db = self.read();
        let dialect = db.dialect();
        let (those, values) =
            those(followed, (place.transaction.to_string(), place.sequence, i64::from(limit)));
        // What is settled comes first in the order, so the rest need not be read to know that it waits.
        let sql = format!(
            "select events.*, {order}, {settled} as settled from events \
             where {after} and {those} order by {sort} limit $3",
            order = dialect.event_order,
            settled = dialect.event_is_settled,
            after = dialect.event_is_after,
            sort = dialect.order_by_event,
        );
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

    async fn count_after(
        &self,
        followed: Followed,
        place: LogPosition,
        most: u32,
    ) -> Result<u32, StoreError> {
        let db = self.read();
        let (those, values) =
            those(followed, (place.transaction.to_string(), place.sequence, i64::from(most)));
        let sql = format!(
            "select count(*) as found from (select 1 from events where {after} and {those} limit $3) as counted",
            after = db.dialect().event_is_after
        );
        Ok(u32::try_from(db.total(&sql, values).await?).unwrap_or_default())
    }
}
