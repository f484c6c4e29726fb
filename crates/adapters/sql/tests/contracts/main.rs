//! What the ports of the kernel, identity, tenancy and billing promise, on SQLite and on Postgres alike.

mod billing;
mod events;
mod fixtures;
mod identity;
mod jobs;
mod store;
mod tenancy;
