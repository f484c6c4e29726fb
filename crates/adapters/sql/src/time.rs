//! Times as rows hold them: naive UTC.
//!
//! SQLite keeps a time as text; without an offset at its end, the order of the texts is the order of the times.

use portico_kernel::Timestamp;
use time::PrimitiveDateTime;

/// The column value of a time.
pub(crate) fn to_row(time: Timestamp) -> PrimitiveDateTime {
    let time = time.into_inner();
    PrimitiveDateTime::new(time.date(), time.time())
}

/// The time in a column.
pub(crate) fn from_row(time: PrimitiveDateTime) -> Timestamp {
    Timestamp::new(time.assume_utc())
}
