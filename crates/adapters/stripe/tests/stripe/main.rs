//! The ports `PaymentProvider` and `SubscriptionProvider`: their contracts, against a server that behaves like Stripe, and what comes of one
//! that does not.
#![allow(clippy::unwrap_used, reason = "a helper of a test fails the test as the test itself would")]

mod contract;
mod misbehaviour;
mod refunds;
mod server;
mod shop;
mod subscription_coupons;
mod subscription_faults;
mod subscription_life;
mod subscription_money;
