//! Stateful stand-ins for external services: the mailbox, the text generator.

pub mod mailbox;
mod writer;

pub use mailbox::{Mailbox, MessageId, StoredMessage};
pub use writer::SandboxWriter;
