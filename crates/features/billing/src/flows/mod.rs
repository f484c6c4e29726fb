//! Flows that take several steps: a transaction, a call to the payment provider, another transaction.

pub mod checkout;
pub mod payment_methods;
pub mod payments;
pub mod plan_changes;
pub mod receipts;
pub mod subscriptions;
