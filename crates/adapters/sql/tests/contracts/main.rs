//! What the ports of the kernel, identity, tenancy and billing promise, on SQLite and on Postgres alike.
#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test as the test itself would")]

mod api_keys;
mod audit;
mod billing;
mod email_changes;
mod events;
mod external_identities;
mod fixtures;
mod generations;
mod guards;
mod identity;
mod jobs;
mod members;
mod second_factors;
mod store;
mod sweep;
mod tenancy;
mod users;
