//! What a tenant has bought and used: plans, subscriptions, meters and quotas.

pub mod error;
pub mod plan;
pub mod ports;
pub mod quota;
pub mod subscription;

pub use error::BillingError;
