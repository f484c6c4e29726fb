//! Administration of accounts, export and erasure: the ports.

use async_trait::async_trait;
use portico_kernel::{Event, EventId, List, PageRequest, StoreError, UserId};
use serde_json::Value;

use crate::{
    administration::{UserFilter, UserOrder},
    user::{EmailAddress, User},
};

/// Accounts as administrators see them.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait UserDirectory: Send {
    /// The accounts that match. MUST leave out deleted ones unless the filter asks for them; `q` MUST match a part of the
    /// name or the address, ignoring case. Accounts that never signed in count as having done so before all others.
    async fn list(
        &mut self,
        filter: UserFilter,
        order: UserOrder,
        page: PageRequest,
    ) -> Result<List<User>, StoreError>;

    /// The active super admins. MUST lock them until the unit of work ends, so that of two units of work that remove one from
    /// this list the second one sees what the first one did.
    async fn lock_super_admins(&mut self) -> Result<Vec<UserId>, StoreError>;
}

/// What is stored about a person besides the account, in every table.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait PersonalData: Send {
    /// What is stored, as lists by name. MUST NOT contain secrets, nor digests of them.
    async fn export(&mut self, user: UserId) -> Result<Vec<(&'static str, Vec<Value>)>, StoreError>;

    /// Deletes what only concerns the person, and blanks their traces in the rest, except the event log. The account itself
    /// stays, and so do memberships.
    async fn erase(&mut self, user: UserId) -> Result<(), StoreError>;

    /// Deletes jobs that failed for good and carry the address, and where the person has proven that it is theirs, pending jobs
    /// and invitations too.
    async fn forget_address(&mut self, address: &EmailAddress, proven: bool) -> Result<(), StoreError>;

    /// The next events that may contain data of the person, after the one with the id `after`, by id: those about the account, by
    /// the person, by the person as an impersonator, of invitations to the addresses (which are proven to be theirs), and all
    /// events of deleted tenants that had no other member.
    async fn traces<'q>(
        &mut self,
        user: UserId,
        addresses: &'q [EmailAddress],
        after: Option<EventId>,
        limit: u32,
    ) -> Result<Vec<Event>, StoreError>;

    /// Replaces the content of an event by that of `erased`, where only values were replaced by [`crate::erasure::ERASED`],
    /// records that this was done, and keeps the seal of the event valid. MUST NOT touch anything but `before`, `after`,
    /// `address` and `user_agent`, and MUST NOT restore what was erased before.
    async fn redact(&mut self, erased: &Event) -> Result<(), StoreError>;

    /// The events caused by the person, newest first, before the event with the id `before`.
    async fn actions(
        &mut self,
        user: UserId,
        before: Option<EventId>,
        limit: u32,
    ) -> Result<Vec<Event>, StoreError>;
}
