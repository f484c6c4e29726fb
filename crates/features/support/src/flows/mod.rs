//! Flows: what support does across domains, or with the outside.

pub mod files;
pub mod inbound;
pub mod notices;
pub mod scans;
pub mod staff;
pub mod targets;
