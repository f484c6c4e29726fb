//! Following the event log of one tenant, without a cursor in the store.

use async_trait::async_trait;
use portico_kernel::{
    EventId, StoreError, TenantId,
    feed::{EventFeed, Piece, Place, Placed},
};
use sea_orm::{FromQueryResult, Value};
use uuid::Uuid;

use super::{events, readers::Position};
use crate::{
    SqlStore,
    dialect::{dialect, query},
    error::store_error,
};

impl From<Position> for Place {
    fn from(position: Position) -> Self {
        let (transaction, sequence) = position.place();
        Self { transaction, sequence }
    }
}

/// A place as the values `$1` and `$2` of [`crate::dialect::Dialect::event_is_after`].
fn values_of(place: Place) -> [Value; 2] {
    [place.transaction.to_string().into(), place.sequence.into()]
}

#[async_trait]
impl EventFeed for SqlStore {
    async fn newest(&self, tenant: TenantId) -> Result<Option<(Place, EventId)>, StoreError> {
        let connection = self.read_connection();
        let dialect = dialect(connection);
        let sql = format!(
            "select id, {order} from events where tenant_id = $1 and {settled} order by {newest_first} limit 1",
            order = dialect.event_order,
            settled = dialect.event_is_settled,
            newest_first = dialect.newest_event_first,
        );
        let rows = query(connection, &sql, [tenant.uuid().into()]).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let id: Uuid = row.try_get("", "id").map_err(store_error)?;
        Ok(Some((Position::of(row)?.into(), EventId::from_uuid(id))))
    }

    async fn find(&self, tenant: TenantId, event: EventId) -> Result<Option<Place>, StoreError> {
        let connection = self.read_connection();
        let sql = format!(
            "select {order} from events where tenant_id = $1 and id = $2",
            order = dialect(connection).event_order
        );
        let rows = query(connection, &sql, [tenant.uuid().into(), event.uuid().into()]).await?;
        rows.first().map(|row| Position::of(row).map(Place::from)).transpose()
    }

    async fn after(&self, tenant: TenantId, place: Place, limit: u32) -> Result<Piece, StoreError> {
        let connection = self.read_connection();
        let dialect = dialect(connection);
        // What is settled comes first in the order, so the rest need not be read to know that it waits.
        let sql = format!(
            "select events.*, {order}, {settled} as settled from events \
             where {after} and tenant_id = $3 order by {sort} limit $4",
            order = dialect.event_order,
            settled = dialect.event_is_settled,
            after = dialect.event_is_after,
            sort = dialect.order_by_event,
        );
        let [transaction, sequence] = values_of(place);
        let values = [transaction, sequence, tenant.uuid().into(), i64::from(limit).into()];
        let mut piece = Piece::default();
        for row in &query(connection, &sql, values).await? {
            if !row.try_get::<bool>("", "settled").map_err(store_error)? {
                piece.held_up = true;
                break;
            }
            let event = events::row::Model::from_query_result(row, "").map_err(store_error)?.try_into()?;
            piece.events.push(Placed { place: Position::of(row)?.into(), event });
        }
        Ok(piece)
    }

    async fn count_after(&self, tenant: TenantId, place: Place, most: u32) -> Result<u32, StoreError> {
        let connection = self.read_connection();
        let sql = format!(
            "select count(*) as found from (select 1 from events where {after} and tenant_id = $3 limit $4) as counted",
            after = dialect(connection).event_is_after
        );
        let [transaction, sequence] = values_of(place);
        let values = [transaction, sequence, tenant.uuid().into(), i64::from(most).into()];
        let rows = query(connection, &sql, values).await?;
        let found =
            rows.first().map(|row| row.try_get::<i64>("", "found").map_err(store_error)).transpose()?;
        Ok(found.and_then(|found| u32::try_from(found).ok()).unwrap_or_default())
    }
}
