//! What concerns more than one domain, or the outside.

pub mod audit_export;
pub mod deliveries;
pub mod invitations;
