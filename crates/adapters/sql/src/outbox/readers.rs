//! Reading the event log without missing what commits late.

use std::collections::BTreeMap;

use async_trait::async_trait;
use portico_kernel::{
    EventHead, EventId, EventReaders, StoreError, TakenEvents, TenantId, Timestamp,
    event::{AuditClass, EventKind},
};
use sea_orm::{FromQueryResult, Value};
use time::Duration;
use uuid::Uuid;

use super::events;
use crate::{
    SqlStore, SqlUnitOfWork,
    db::{Db, Param, Params, StatementConnection, placeholders},
    dialect::Dialect,
};

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

/// A reader, and where it is.
#[derive(FromQueryResult)]
struct Cursor {
    reader: String,
    #[sea_orm(nested)]
    position: Position,
}

/// Reads the cursors of those of these readers that have one, and locks them as `lock` says.
async fn cursors(db: &Db<'_>, readers: &[&str], lock: &str) -> Result<Vec<Cursor>, StoreError> {
    let sql = format!(
        "select reader, {order} from event_cursors where reader in ({readers}) {lock}",
        order = db.dialect().event_order,
        readers = placeholders(1, readers.len()),
    );
    db.models(&sql, names(readers)).await
}

fn names(readers: &[&str]) -> Vec<Value> {
    readers.iter().copied().map(Param::value).collect()
}

/// Where readers are, in the order in which they are asked for. One that never read is at the beginning of the log.
pub(crate) async fn positions(db: &Db<'_>, readers: &[&str]) -> Result<Vec<Position>, StoreError> {
    let cursors = cursors(db, readers, "").await?;
    let position = |reader: &&str| {
        let cursor = cursors.iter().find(|cursor| cursor.reader == *reader);
        cursor.map(|cursor| cursor.position.clone()).unwrap_or_default()
    };
    Ok(readers.iter().map(position).collect())
}

/// Keeps a reader from reading on until the unit of work ends. Waits for it to end what it is at.
pub(crate) async fn hold(db: &Db<'_>, reader: &str) -> Result<(), StoreError> {
    let dialect = db.dialect();
    db.execute(dialect.start_cursor, [reader]).await?;
    cursors(db, &[reader], dialect.for_update).await.map(drop)
}

/// A query for `columns` of the first event after transaction `$1` (as text) and sequence `$2`.
///
/// MUST have an order, also where it does not matter which event is found: for a prepared statement Postgres guesses that a third of the
/// log comes after the position, and would read all of it from its beginning to find one.
fn next_event(dialect: &Dialect, columns: &str) -> String {
    format!(
        "select {columns} from events where {after} order by {sort} limit 1",
        after = dialect.event_is_after,
        sort = dialect.order_by_event,
    )
}

/// An event, and where it stands in the log.
#[derive(FromQueryResult)]
struct PlacedRow {
    #[sea_orm(nested)]
    event: events::row::Model,
    #[sea_orm(nested)]
    place: Position,
}

/// What is read of an event for its head: tenant, id, kind, resource, class, time; and where it stands in the log.
type HeadRow = (TenantId, EventId, String, Uuid, AuditClass, Timestamp, String, i64);

/// A reader whose cursor is locked, and where it is.
type Locked = (&'static str, Position);

/// The readers over one unit of work.
pub(crate) struct Readers<'c> {
    pub db: Db<'c>,
}

impl Readers<'_> {
    /// The cursors of these readers, locked until the unit of work ends; without those that another one has.
    async fn lock(&self, readers: &[&'static str]) -> Result<Vec<Locked>, StoreError> {
        let dialect = self.db.dialect();
        let found = cursors(&self.db, readers, dialect.for_update_skip_locked).await?;
        let position = |reader: &&'static str| {
            let cursor = found.iter().find(|cursor| cursor.reader == *reader)?;
            Some((*reader, cursor.position.clone()))
        };
        let mut locked: Vec<Locked> = readers.iter().filter_map(position).collect();
        if locked.len() == readers.len() {
            return Ok(locked);
        }
        // Held by another one, or the reader is new. To insert a cursor that is held would wait for its holder.
        let known = cursors(&self.db, readers, "").await?;
        let is_known = |reader: &&'static str| known.iter().any(|cursor| cursor.reader == *reader);
        let mut new: Vec<&'static str> = readers.iter().copied().filter(|reader| !is_known(reader)).collect();
        // Of two that start a reader at once, the second one waits, and then goes without it. In one order, so that no two wait
        // for each other.
        new.sort_unstable();
        for reader in new {
            if self.db.execute(dialect.start_cursor, [reader]).await? == 1 {
                locked.push((reader, Position::default()));
            }
        }
        Ok(locked)
    }

    /// A query for `columns` of the next events after the reader that is furthest back, and what it binds; `None` without a reader.
    fn following(&self, columns: &str, locked: &[Locked], limit: u32) -> Option<(String, Vec<Value>)> {
        let (_, furthest) = locked.iter().min_by_key(|(_, position)| position.place())?;
        let dialect = self.db.dialect();
        let sql = format!(
            "select {columns}, {order} from events where {after} and {settled} order by {sort} limit $3",
            order = dialect.event_order,
            after = dialect.event_is_after,
            settled = dialect.event_is_settled,
            sort = dialect.order_by_event,
        );
        Some((sql, (&furthest.transaction_id, furthest.sequence, i64::from(limit)).values()))
    }

    /// Moves the cursors that are behind a position there.
    async fn advance(&self, locked: &[Locked], to: &Position) -> Result<(), StoreError> {
        let is_behind = |position: &Position| position.place() < to.place();
        let behind: Vec<&str> =
            locked.iter().filter(|(_, position)| is_behind(position)).map(|(reader, _)| *reader).collect();
        let sql = format!(
            "{move_cursors} reader in ({readers})",
            move_cursors = self.db.dialect().move_cursors,
            readers = placeholders(3, behind.len()),
        );
        let mut values = (&to.transaction_id, to.sequence).values();
        values.extend(names(&behind));
        self.db.execute(&sql, values).await.map(drop)
    }
}

#[async_trait]
impl EventReaders for Readers<'_> {
    async fn take(&mut self, readers: Vec<&'static str>, limit: u32) -> Result<TakenEvents, StoreError> {
        let locked = self.lock(&readers).await?;
        // A statement of its own, after the lock: it sees everything that was committed when the cursors were read.
        let Some((sql, values)) = self.following("events.*", &locked, limit) else {
            return Ok(TakenEvents::default());
        };
        let rows: Vec<PlacedRow> = self.db.models(&sql, values).await?;
        if let Some(PlacedRow { place, .. }) = rows.last() {
            self.advance(&locked, place).await?;
        }
        let places: Vec<(u64, i64)> = rows.iter().map(|row| row.place.place()).collect();
        let given = |position: &Position| {
            let at = position.place();
            places.partition_point(|place| *place <= at)
        };
        Ok(TakenEvents {
            readers: locked.iter().map(|(reader, position)| (*reader, given(position))).collect(),
            events: rows.into_iter().map(|row| row.event.into()).collect(),
        })
    }

    async fn take_heads(&mut self, reader: &'static str, limit: u32) -> Result<Vec<EventHead>, StoreError> {
        const COLUMNS: &str = "tenant_id, id, kind, resource_id, audit, created_at";
        let locked = self.lock(&[reader]).await?;
        let Some((sql, values)) = self.following(COLUMNS, &locked, limit) else { return Ok(Vec::new()) };
        let rows: Vec<HeadRow> = self.db.rows(&sql, values).await?;
        if let Some((.., transaction_id, sequence)) = rows.last() {
            let to = Position { transaction_id: transaction_id.clone(), sequence: *sequence };
            self.advance(&locked, &to).await?;
        }
        let head = |(tenant, id, kind, resource, audit, at, ..): HeadRow| EventHead {
            id,
            tenant,
            kind: EventKind::stored(kind, audit),
            resource,
            at,
        };
        Ok(rows.into_iter().map(head).collect())
    }
}

impl SqlUnitOfWork {
    /// The readers of the event log. Only an open transaction can move a cursor.
    pub fn readers<'c>(&'c mut self) -> Box<dyn EventReaders + 'c> {
        Box::new(Readers { db: self.connection.db() })
    }
}

impl SqlStore {
    /// Whether there is an event that one of `readers` was not given yet. Also one that nobody is given yet, because another one that
    /// is still to be committed can come before it.
    pub async fn has_unread_events(&self, readers: &[&'static str]) -> Result<bool, StoreError> {
        let db = self.read();
        let positions = positions(&db, readers).await?;
        let Some(furthest) = positions.iter().min_by_key(|position| position.place()) else {
            return Ok(false);
        };
        let sql = next_event(db.dialect(), "1");
        db.exists(&sql, (&furthest.transaction_id, furthest.sequence)).await
    }

    /// How long the oldest event that each of `readers` was not given yet has waited; zero for one that was given all.
    pub async fn event_lags(
        &self,
        readers: &[&'static str],
        now: Timestamp,
    ) -> Result<Vec<(&'static str, Duration)>, StoreError> {
        let db = self.read();
        let sql = next_event(db.dialect(), "created_at");
        // As a rule all are at the same place.
        let mut by_place: BTreeMap<(u64, i64), Duration> = BTreeMap::new();
        let mut lags = Vec::with_capacity(readers.len());
        for (reader, position) in readers.iter().zip(positions(&db, readers).await?) {
            let place = position.place();
            let lag = match by_place.get(&place) {
                Some(lag) => *lag,
                None => {
                    let values = (&position.transaction_id, position.sequence);
                    let oldest: Option<Timestamp> = db.row(&sql, values).await?;
                    oldest.map_or(Duration::ZERO, |at| (now - at).max(Duration::ZERO))
                }
            };
            by_place.insert(place, lag);
            lags.push((*reader, lag));
        }
        Ok(lags)
    }
}
