//! Flows that span several domains or call external services.

pub mod audit_export;
pub mod deliveries;
pub mod growth;
pub mod invitations;
