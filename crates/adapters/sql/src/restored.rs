//! The event log after a restore.
//!
//! Events are read in the order of the transactions that wrote them, and numbers of transactions mean something only in the
//! Postgres cluster that gave them. A dump that is restored into another cluster brings numbers that this one may not reach for
//! a long time: until then no reader would see anything, neither what it had not read before nor what is new.

use portico_kernel::StoreError;
use sea_orm::{ConnectionTrait, DbBackend};

use crate::db::Db;

/// Whether the log has events of transactions that are still to come here.
const IS_FROM_ELSEWHERE: &str = "select 1 from (select transaction_id from events order by transaction_id desc, sequence desc limit 1) last \
     where transaction_id > pg_current_xact_id()";

/// The order among the old events is that of their numbers from now on, which may differ from the one before where several
/// transactions ran at once. So a reader goes back to the first event that it has not read, and may get some again.
const MOVE_CURSORS: &str = "update event_cursors set transaction_id = '3', sequence = coalesce( \
     (select min(e.sequence) - 1 from events e \
      where (e.transaction_id, e.sequence) > (event_cursors.transaction_id, event_cursors.sequence)), \
     (select max(sequence) from events), 0)";

/// 3 is the lowest number that a transaction can have had.
const MOVE_EVENTS: &str = "update events set transaction_id = '3'";

/// Whether the log comes from another cluster, and cannot be read.
pub(crate) async fn is_from_elsewhere(db: &Db<'_>) -> Result<bool, StoreError> {
    Ok(db.0.get_database_backend() == DbBackend::Postgres && db.exists(IS_FROM_ELSEWHERE, ()).await?)
}

/// Makes the log readable again if it comes from another cluster. Answers whether it did. Nobody else may be at work.
pub(crate) async fn adopt(db: &Db<'_>) -> Result<bool, StoreError> {
    if !is_from_elsewhere(db).await? {
        return Ok(false);
    }
    db.execute(MOVE_CURSORS, ()).await?;
    db.execute(MOVE_EVENTS, ()).await?;
    Ok(true)
}
