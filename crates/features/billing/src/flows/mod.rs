//! Flows that take several steps: a transaction, a call to the payment provider, another transaction.

pub mod checkout;
pub mod licenses;
pub mod payment_methods;
pub mod payments;
pub mod plan_changes;
pub mod receipts;
pub mod refunds;
pub mod site_hand_over;
pub mod site_refunds;
pub mod site_return;
pub mod site_sale_mail;
pub mod site_sales;
pub mod subscriptions;
