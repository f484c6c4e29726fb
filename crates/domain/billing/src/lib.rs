//! What a tenant has bought and used: plans, subscriptions, meters and quotas.

pub mod error;
pub mod events;
pub mod generation;
pub mod limits;
pub mod money;
pub mod period;
pub mod plan;
pub mod plan_edit;
pub mod plan_input;
pub mod ports;
pub mod quota;
pub mod subscription;
#[cfg(test)]
mod testing;

pub use error::BillingError;
