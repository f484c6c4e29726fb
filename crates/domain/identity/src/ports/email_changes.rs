//! Changes of address: the port.

use async_trait::async_trait;
use portico_kernel::{SessionId, StoreError, Timestamp, UserId};

use crate::email_change::{EmailChange, EmailChangeId};

/// Changes of address that wait for the reader of the new one.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait EmailChangeRepository: Send {
    /// Stores a change. MUST take the place of an earlier one of the same user, also under concurrency.
    async fn put(&mut self, change: &EmailChange) -> Result<(), StoreError>;

    /// The change, unless it was taken or replaced; expired ones included.
    async fn find(&mut self, id: EmailChangeId) -> Result<Option<EmailChange>, StoreError>;

    /// Deletes a change. MUST answer it once at most, also under concurrency, and never after it has expired.
    async fn take(&mut self, id: EmailChangeId, now: Timestamp) -> Result<Option<EmailChange>, StoreError>;

    /// Deletes the user's change. With `session`, MUST leave one that another session requested.
    async fn delete(&mut self, user: UserId, session: Option<SessionId>) -> Result<(), StoreError>;
}
