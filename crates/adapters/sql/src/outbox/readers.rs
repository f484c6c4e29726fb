//! Reading the event log without missing what commits late.

use async_trait::async_trait;
use portico_kernel::{Event, EventReaders, StoreError, Timestamp};
use sea_orm::{ConnectionTrait, FromQueryResult, QueryResult};
use time::{Duration, PrimitiveDateTime};

use super::events;
use crate::{
    Repositories, SqlStore,
    dialect::{dialect, execute, query},
    error::store_error,
    time::from_row,
};

/// Where a reader is: the last event it was given, in the order of the dialect.
#[derive(Clone)]
pub(crate) struct Position {
    pub transaction_id: String,
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

    pub fn of(row: &QueryResult) -> Result<Self, StoreError> {
        Ok(Self {
            transaction_id: row.try_get("", "at_transaction").map_err(store_error)?,
            sequence: row.try_get("", "at_sequence").map_err(store_error)?,
        })
    }
}

/// Where readers are, in the order in which they are asked for. One that never read is at the beginning of the log.
pub(crate) async fn positions(
    connection: &impl ConnectionTrait,
    readers: &[&str],
) -> Result<Vec<Position>, StoreError> {
    let mut positions = Vec::with_capacity(readers.len());
    for reader in readers {
        let found = query(connection, dialect(connection).read_cursor, [(*reader).into()]).await?;
        positions.push(found.first().map(Position::of).transpose()?.unwrap_or_default());
    }
    Ok(positions)
}

/// Keeps a reader from reading on until the unit of work ends. Waits for it to end what it is at.
pub(crate) async fn hold(connection: &impl ConnectionTrait, reader: &str) -> Result<(), StoreError> {
    let dialect = dialect(connection);
    execute(connection, dialect.start_cursor, [reader.into()]).await?;
    let sql = format!("{} {}", dialect.read_cursor, dialect.for_update);
    query(connection, &sql, [reader.into()]).await.map(drop)
}

/// The readers over one unit of work.
pub(crate) struct Readers<'c, C> {
    pub connection: &'c C,
}

impl<C: ConnectionTrait> Readers<'_, C> {
    /// The reader's cursor, locked until the unit of work ends; `None` when another one has it.
    async fn lock(&self, reader: &str) -> Result<Option<Position>, StoreError> {
        let dialect = dialect(self.connection);
        let found = query(self.connection, dialect.lock_cursor, [reader.into()]).await?;
        if let Some(row) = found.first() {
            return Position::of(row).map(Some);
        }
        // Held by another one, or the reader is new. To insert a cursor that is held would wait for its holder.
        if !query(self.connection, dialect.read_cursor, [reader.into()]).await?.is_empty() {
            return Ok(None);
        }
        // Of two that start a reader at once, the one that makes the cursor goes on.
        let made = execute(self.connection, dialect.start_cursor, [reader.into()]).await?;
        Ok((made == 1).then(Position::default))
    }
}

#[async_trait]
impl<C: ConnectionTrait + Send> EventReaders for Readers<'_, C> {
    async fn take(&mut self, reader: &'static str, limit: u32) -> Result<Vec<Event>, StoreError> {
        let Some(position) = self.lock(reader).await? else {
            return Ok(Vec::new());
        };
        let dialect = dialect(self.connection);
        // A statement of its own, after the lock: it sees everything that was committed when the cursor was read.
        let sql = format!(
            "select events.*, {order} from events where {after} and {settled} order by {sort} limit $3",
            order = dialect.event_order,
            after = dialect.event_is_after,
            settled = dialect.event_is_settled,
            sort = dialect.order_by_event,
        );
        let after = [position.transaction_id.into(), position.sequence.into(), i64::from(limit).into()];
        let rows = query(self.connection, &sql, after).await?;
        let Some(last) = rows.last() else {
            return Ok(Vec::new());
        };
        let last = Position::of(last)?;
        let next = [reader.into(), last.transaction_id.into(), last.sequence.into()];
        execute(self.connection, dialect.move_cursor, next).await?;
        rows.iter()
            .map(|row| events::row::Model::from_query_result(row, "").map_err(store_error)?.try_into())
            .collect()
    }
}

impl<C: ConnectionTrait + Send> Repositories<C> {
    /// The readers of the event log. Only an open transaction can move a cursor.
    pub fn readers<'c>(&'c mut self) -> Box<dyn EventReaders + 'c> {
        Box::new(Readers { connection: &self.connection })
    }
}

impl SqlStore {
    /// How long the oldest event that `reader` was not given yet has waited; zero when it was given all.
    pub async fn event_lag(&self, reader: &str, now: Timestamp) -> Result<Duration, StoreError> {
        let connection = self.read_connection();
        let dialect = dialect(connection);
        let cursor = query(connection, dialect.read_cursor, [reader.into()]).await?;
        let position = match cursor.first() {
            Some(row) => Position::of(row)?,
            None => Position::default(),
        };
        let sql = format!(
            "select created_at from events where {after} order by {sort} limit 1",
            after = dialect.event_is_after,
            sort = dialect.order_by_event,
        );
        let oldest =
            query(connection, &sql, [position.transaction_id.into(), position.sequence.into()]).await?;
        let Some(row) = oldest.first() else {
            return Ok(Duration::ZERO);
        };
        let at: PrimitiveDateTime = row.try_get("", "created_at").map_err(store_error)?;
        Ok((now - from_row(at)).max(Duration::ZERO))
    }
}
