//! A part of the event log, read from any position. Source of live updates.

use async_trait::async_trait;

use crate::{Event, EventId, StoreError, TenantId};

/// Position of an event in the order in which all readers see the log. The default is before the first one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct LogPosition {
    /// Id of the transaction that appended it, where several can run at a time; 0 elsewhere.
    pub transaction: u64,
    /// Sequence number in the log.
    pub sequence: i64,
}

/// An event and its position.
#[derive(Clone, Debug, PartialEq)]
pub struct PositionedEvent {
    /// Its position.
    pub place: LogPosition,
    /// The event.
    pub event: Event,
}

/// Which events are followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Followed {
    /// Those of a tenant.
    Tenant(TenantId),
    /// Those about the support tickets of all tenants, also what only staff may know of ([`TICKETS`]).
    Tickets {
        /// Also those of tenants that somebody with a role of the platform owns.
        all: bool,
    },
}

/// The sort of resource that [`Followed::Tickets`] are about. Names of their events begin with it.
pub const TICKETS: &str = "support_ticket";

impl From<TenantId> for Followed {
    fn from(tenant: TenantId) -> Self {
        Self::Tenant(tenant)
    }
}

/// The next events that are followed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EventBatch {
    /// In their order.
    pub events: Vec<PositionedEvent>,
    /// There is at least one more event that cannot be delivered yet: another one, which is still being committed, may come
    /// before it. Lasts a moment; its end is not signalled.
    pub held_up: bool,
}

/// Reads a part of the event log without moving any cursor, so that any number of readers may follow it.
#[async_trait]
pub trait EventFeed: Send + Sync {
    /// The newest followed event that can be delivered. What commits later comes after it: MUST NOT answer one that an event
    /// still to be committed could come before.
    async fn newest(&self, followed: Followed) -> Result<Option<(LogPosition, EventId)>, StoreError>;

    /// Position of a followed event; `None` when there is none of this id (any more).
    async fn find(&self, followed: Followed, event: EventId) -> Result<Option<LogPosition>, StoreError>;

    /// The followed events after a position, oldest first, at most `limit`. MUST NOT skip one that commits later than others
    /// that come after it.
    async fn after(
        &self,
        followed: Followed,
        place: LogPosition,
        limit: u32,
    ) -> Result<EventBatch, StoreError>;

    /// How many followed events there are after a position, counted up to `most`.
    async fn count_after(&self, followed: Followed, place: LogPosition, most: u32)
    -> Result<u32, StoreError>;
}
