//! Flows that cross domains.

pub mod import;
