//! Stateful stand-ins for paid or outside services: the mailbox, the writer of texts.

pub mod mailbox;
mod writer;

pub use mailbox::{Mailbox, MessageId, StoredMessage};
pub use writer::SandboxWriter;
