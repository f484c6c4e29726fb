//! Reading the event log without missing what commits late.

use async_trait::async_trait;
use portico_kernel::{Event, EventReaders, StoreError, Timestamp};
use sea_orm::{ConnectionTrait, FromQueryResult};
use time::Duration;

use super::events;
use crate::{Repositories, SqlStore, db::Db};

/// Where a reader is: the last event it was given, in the order of the dialect.
#[derive(Clone, FromQueryResult)]
pub(crate) struct Position {
    #[sea_orm(from_alias = "at_transaction")]
    pub transaction_id: String,
    #[sea_orm(from_alias = "at_sequence")]
    pub sequence: i64,
}

impl Default for Position {
    /// The beginning of the log.
    fn default() -> Self {
        Self { transaction_id: "0".to_owned(), sequence: 0 }
    }
}

impl Position {
    /// The position as something to compare.
    pub fn place(&self) -> (u64, i64) {
        (self.transaction_id.parse().unwrap_or_default(), self.sequence)
    }
}

/// Where readers are, in the order in which they are asked for. One that never read is at the beginning of the log.
pub(crate) async fn positions(
    db: &Db<'_, impl ConnectionTrait>,
    readers: &[&str],
) -> Result<Vec<Position>, StoreError> {
    let mut positions = Vec::with_capacity(readers.len());
    for reader in readers {
        positions.push(db.model(db.dialect().read_cursor, [*reader]).await?.unwrap_or_default());
    }
    Ok(positions)
}

/// Keeps a reader from reading on until the unit of work ends. Waits for it to end what it is at.
pub(crate) async fn hold(db: &Db<'_, impl ConnectionTrait>, reader: &str) -> Result<(), StoreError> {
    let dialect = db.dialect();
    db.execute(dialect.start_cursor, [reader]).await?;
    let sql = format!("{} {}", dialect.read_cursor, dialect.for_update);
    db.exists(&sql, [reader]).await.map(drop)
}

/// An event, and where it stands in the log.
#[derive(FromQueryResult)]
struct PlacedRow {
    #[sea_orm(nested)]
    event: events::row::Model,
    #[sea_orm(nested)]
    place: Position,
}

/// The readers over one unit of work.
pub(crate) struct Readers<'c, C> {
    pub db: Db<'c, C>,
}

impl<C: ConnectionTrait> Readers<'_, C> {
    /// The reader's cursor, locked until the unit of work ends; `None` when another one has it.
    async fn lock(&self, reader: &str) -> Result<Option<Position>, StoreError> {
        let dialect = self.db.dialect();
        if let Some(position) = self.db.model(dialect.lock_cursor, [reader]).await? {
            return Ok(Some(position));
        }
        // Held by another one, or the reader is new. To insert a cursor that is held would wait for its holder.
        if self.db.exists(dialect.read_cursor, [reader]).await? {
            return Ok(None);
        }
        // Of two that start a reader at once, the one that makes the cursor goes on.
        let made = self.db.execute(dialect.start_cursor, [reader]).await?;
        Ok((made == 1).then(Position::default))
    }
}

#[async_trait]
impl<C: ConnectionTrait + Send> EventReaders for Readers<'_, C> {
    async fn take(&mut self, reader: &'static str, limit: u32) -> Result<Vec<Event>, StoreError> {
        let Some(position) = self.lock(reader).await? else {
            return Ok(Vec::new());
        };
        let dialect = self.db.dialect();
        // A statement of its own, after the lock: it sees everything that was committed when the cursor was read.
        let sql = format!(
            "select events.*, {order} from events where {after} and {settled} order by {sort} limit $3",
            order = dialect.event_order,
            after = dialect.event_is_after,
            settled = dialect.event_is_settled,
            sort = dialect.order_by_event,
        );
        let after = (position.transaction_id, position.sequence, i64::from(limit));
        let rows: Vec<PlacedRow> = self.db.models(&sql, after).await?;
        if let Some(PlacedRow { place, .. }) = rows.last() {
            self.db.execute(dialect.move_cursor, (reader, &place.transaction_id, place.sequence)).await?;
        }
        Ok(rows.into_iter().map(|row| row.event.into()).collect())
    }
}

impl<C: ConnectionTrait + Send> Repositories<C> {
    /// The readers of the event log. Only an open transaction can move a cursor.
    pub fn readers<'c>(&'c mut self) -> Box<dyn EventReaders + 'c> {
        Box::new(Readers { db: self.db() })
    }
}

impl SqlStore {
    /// How long the oldest event that `reader` was not given yet has waited; zero when it was given all.
    pub async fn event_lag(&self, reader: &str, now: Timestamp) -> Result<Duration, StoreError> {
        let db = self.read();
        let dialect = db.dialect();
        let position: Position = db.model(dialect.read_cursor, [reader]).await?.unwrap_or_default();
        let sql = format!(
            "select created_at from events where {after} order by {sort} limit 1",
            after = dialect.event_is_after,
            sort = dialect.order_by_event,
        );
        let oldest: Option<Timestamp> = db.row(&sql, (position.transaction_id, position.sequence)).await?;
        Ok(oldest.map_or(Duration::ZERO, |at| (now - at).max(Duration::ZERO)))
    }
}
