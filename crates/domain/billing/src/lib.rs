//! What a tenant has bought and used: plans, subscriptions, meters and quotas, and purchases that are paid once.

pub mod checkout;
pub mod error;
pub mod events;
pub mod generation;
pub mod inbound;
pub mod ledger;
pub mod limits;
pub mod mail;
pub mod money;
pub mod order;
pub mod payment;
pub mod period;
pub mod plan;
pub mod plan_edit;
pub mod plan_input;
pub mod ports;
pub mod product;
pub mod product_edit;
pub mod product_input;
pub mod purchase;
pub mod purchase_mail;
pub mod quota;
pub mod settlement;
pub mod site_sale;
pub mod site_sale_mail;
pub mod subscription;
#[cfg(test)]
mod testing;
pub mod thresholds;
pub mod usage;

pub use error::BillingError;
