//! Flows that take several steps: a transaction, a call to the payment provider, another transaction.

pub mod checkout;
pub mod payments;
pub mod receipts;
pub mod refunds;
