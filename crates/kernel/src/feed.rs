//! The event log of one tenant, followed from any place in it. Live updates are made of it.

use async_trait::async_trait;

use crate::{Event, EventId, StoreError, TenantId};

/// Where an event stands in the order in which everybody sees the events of the log. The default is before the first one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// What ran it, where several can at a time; 0 elsewhere.
    pub transaction: u64,
    /// Number in the log.
    pub sequence: i64,
}

/// An event, and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Placed {
    /// Where it stands.
    pub place: Place,
    /// The event.
    pub event: Event,
}

/// The next events of a tenant.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Piece {
    /// In their order.
    pub events: Vec<Placed>,
    /// There is at least one more that cannot be told of yet: another one, which is still being committed, may come before
    /// it. Over in a moment, and nobody tells when.
    pub held_up: bool,
}

/// Reads the event log of a tenant without moving any cursor, so that as many may follow it as like to.
#[async_trait]
pub trait EventFeed: Send + Sync {
    /// The newest event of the tenant that can be told of. What commits later comes after it: MUST NOT answer one that an
    /// event still to be committed could come before.
    async fn newest(&self, tenant: TenantId) -> Result<Option<(Place, EventId)>, StoreError>;

    /// Where an event of the tenant stands; `None` when the tenant has none of this id (any more).
    async fn find(&self, tenant: TenantId, event: EventId) -> Result<Option<Place>, StoreError>;

    /// The events of the tenant after a place, oldest first, at most `limit`. MUST NOT skip one that commits later than
    /// others that come after it.
    async fn after(&self, tenant: TenantId, place: Place, limit: u32) -> Result<Piece, StoreError>;

    /// How many events the tenant has after a place, counted up to `most`.
    async fn count_after(&self, tenant: TenantId, place: Place, most: u32) -> Result<u32, StoreError>;
}
