//! What a tenant has bought and used: plans, subscriptions, meters and quotas, and purchases that are paid once.

pub mod checkout;
pub mod coupon;
pub mod coupon_edit;
pub mod deletion;
pub mod dispute;
pub mod error;
pub mod events;
pub mod finance;
pub mod generation;
pub mod inbound;
pub mod invoice;
pub mod ledger;
pub mod ledger_check;
pub mod limits;
pub mod mail;
pub mod money;
pub mod observation;
pub mod order;
pub mod overage;
pub mod paid;
pub mod paid_moves;
pub mod payment;
pub mod payment_method;
pub mod period;
pub mod plan;
pub mod plan_call;
pub mod plan_change;
pub mod plan_changes;
pub mod plan_edit;
pub mod plan_input;
pub mod ports;
pub mod product;
pub mod product_edit;
pub mod product_input;
pub mod purchase;
pub mod purchase_mail;
pub mod quota;
pub mod receipt;
pub mod recurring;
pub mod refund;
pub mod seller;
pub mod settlement;
pub mod site_sale;
pub mod site_sale_mail;
pub mod subject;
pub mod subscription;
pub mod subscription_mail;
pub mod subscription_provider;
#[cfg(any(test, feature = "mock"))]
pub mod subscription_simulation;
pub mod tenant_subscription;
#[cfg(test)]
mod testing;
pub mod thresholds;
pub mod usage;

pub use error::BillingError;
