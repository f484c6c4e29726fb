//! What the ports of the kernel, identity, tenancy and billing promise, on SQLite and on Postgres alike.
#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test as the test itself would")]

mod billing;
mod events;
mod fixtures;
mod identity;
mod jobs;
mod store;
mod tenancy;
