//! Sealing, verifying and expiring the audit trail: the port.

use async_trait::async_trait;
use portico_kernel::{Event, EventId, StoreError, TenantId, Timestamp};

use crate::seal::{Chain, Seal};

/// A seal of a chain, with the entry that is there now.
#[derive(Clone, Debug, PartialEq)]
pub struct SealedEntry {
    /// The seal.
    pub seal: Seal,
    /// The entry, if it is there.
    pub event: Option<LoggedEvent>,
}

/// An entry as it is in the log.
#[derive(Clone, Debug, PartialEq)]
pub struct LoggedEvent {
    /// The entry.
    pub event: Event,
    /// Position in the log; only the order counts.
    pub place: (u64, i64),
    /// Whether parts of it were erased.
    pub redacted: bool,
}

/// The entries of a tenant's log without a seal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unsealed {
    /// Entries that still wait for theirs.
    pub waiting: u64,
    /// An entry behind the sealer's cursor: it was inserted, or its seal deleted, afterwards.
    pub passed_over: Option<EventId>,
}

/// The oldest entry of a chain, which may have expired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OldestEntry {
    /// The tenant.
    pub tenant: TenantId,
    /// Days for which the tenant keeps its trail; `None` where the platform's default holds.
    pub retention_days: Option<u32>,
    /// When the oldest entry happened that was not deleted; `None` where it is missing.
    pub at: Option<Timestamp>,
}

/// The entries that were deleted because their retention time was over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expired {
    /// Number of entries.
    pub entries: u64,
    /// The chain's new checkpoint.
    pub checkpoint: u64,
    /// When the last of them happened.
    pub until: Timestamp,
}

/// The seals of the audit trail, and the ends of the chains.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait SealRepository: Send {
    /// The chains of these tenants. A tenant without sealed entries has none.
    async fn chains(&mut self, tenants: Vec<TenantId>) -> Result<Vec<Chain>, StoreError>;

    /// Stores seals, and the new ends of their chains. MUST answer `Conflict` when a chain has a seal of that number, or a seal
    /// of that entry. MUST NOT touch the checkpoint of a chain that is there.
    async fn append(&mut self, seals: Vec<Seal>, chains: Vec<Chain>) -> Result<(), StoreError>;

    /// The seals after number `after`, in order, at most `limit`, with their entries.
    async fn walk(
        &mut self,
        tenant: TenantId,
        after: u64,
        limit: u32,
    ) -> Result<Vec<SealedEntry>, StoreError>;

    /// The entries of the tenant's log that are to be sealed ([`portico_kernel::event::AuditClass::Sealed`]) and have no seal,
    /// given the cursor of `reader`.
    async fn unsealed(&mut self, tenant: TenantId, reader: &'static str) -> Result<Unsealed, StoreError>;

    /// The oldest entry of every chain that has one, in order of tenants after `after`, at most `limit`.
    async fn oldest(&mut self, after: Option<TenantId>, limit: u32) -> Result<Vec<OldestEntry>, StoreError>;

    /// Deletes sealed entries that happened before `before`, from the checkpoint on in the order of the chain and at most
    /// `limit`, and moves the checkpoint. Keeps their seals, without openings.
    ///
    /// MUST NOT delete an entry that one of `readers` has not taken, nor one that is not sealed, nor one behind a younger one.
    /// MUST NOT move the checkpoint past a missing entry unless one behind it has expired.
    async fn expire(
        &mut self,
        tenant: TenantId,
        readers: Vec<&'static str>,
        before: Timestamp,
        limit: u32,
    ) -> Result<Option<Expired>, StoreError>;

    /// The tenants that have entries without a seal ([`portico_kernel::event::AuditClass::Recorded`]), each with the oldest one,
    /// in order of tenants after `after`, at most `limit`.
    async fn recorded(&mut self, after: Option<TenantId>, limit: u32)
    -> Result<Vec<OldestEntry>, StoreError>;

    /// Deletes at most `limit` of the tenant's entries without a seal that happened before `before`. Answers how many. MUST NOT
    /// delete one that one of `readers` has not taken, nor one of another class.
    async fn expire_recorded(
        &mut self,
        tenant: TenantId,
        readers: Vec<&'static str>,
        before: Timestamp,
        limit: u32,
    ) -> Result<u64, StoreError>;

    /// Deletes at most `limit` events that are not kept ([`portico_kernel::event::AuditClass::NotKept`]), of any tenant, that
    /// happened before `before`. Answers how many. MUST NOT delete one that one of `readers` has not taken, nor one of another
    /// class.
    async fn forget(
        &mut self,
        readers: Vec<&'static str>,
        before: Timestamp,
        limit: u32,
    ) -> Result<u64, StoreError>;
}
