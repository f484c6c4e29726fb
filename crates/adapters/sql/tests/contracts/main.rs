//! What the ports of the kernel, identity, tenancy and billing promise, on SQLite and on Postgres alike.
#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test as the test itself would")]

mod api_keys;
mod audit;
mod billing;
mod clock;
mod credentials;
mod customers;
mod delivery_queue;
mod distribution;
mod email_changes;
mod events;
mod external_identities;
mod faults;
mod feed;
mod fixtures;
mod generations;
mod guards;
mod idempotency;
mod identity;
mod jobs;
mod licenses;
mod members;
mod products;
mod purchases;
mod schedules;
mod second_factors;
mod site_sales;
mod store;
mod support;
mod sweep;
mod tenancy;
mod traces;
mod usage;
mod users;
mod webhooks;
