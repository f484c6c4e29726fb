//! Every storage port, on SeaORM: Postgres in production, SQLite embedded.
//!
//! The folders mirror the domains, and a file mirrors the aggregate it stores. Where the two databases differ, [`dialect`]
//! knows; nothing else asks which one it is talking to.

mod announcements;
mod billing;
mod clock;
mod columns;
mod connection;
mod db;
mod dialect;
mod error;
mod frozen;
mod idempotency;
mod identity;
mod licensing;
mod looked_after;
mod outbox;
mod remembered;
mod repositories;
mod restored;
mod sites;
mod store;
mod support;
mod sweep;
mod tenancy;

pub use connection::{Connections, PoolFigures, Transaction, strange_word};
pub use identity::personal_columns;
pub use repositories::{ReadConnection, Repositories, SqlReader, SqlUnitOfWork};
pub use store::{MigrationState, SqlStore, StoreOptions, check_url, names_missing_file};
