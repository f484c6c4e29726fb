//! Stateful stand-ins for paid or outside services: the mailbox.

pub mod mailbox;

pub use mailbox::{Mailbox, MessageId, StoredMessage};
