//! The sandbox as clients see it; every answer is checked against Stripe's specification.

mod calls;
mod checkout;
mod harness;
mod idempotency;
mod payments;
mod schema;
mod subscriptions;
mod webhooks;
