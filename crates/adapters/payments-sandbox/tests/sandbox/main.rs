//! The sandbox as clients see it; every answer is checked against Stripe's specification.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod calls;
mod checkout;
mod embedded;
mod harness;
mod idempotency;
mod payments;
mod schema;
mod subscriptions;
mod webhooks;
