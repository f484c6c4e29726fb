//! Stateful stand-ins for paid or outside services: the mailbox.
