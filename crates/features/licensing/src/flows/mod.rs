//! Flows that cross domains.

pub mod import;
pub mod transfer;
