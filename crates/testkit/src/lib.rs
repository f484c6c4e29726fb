//! Development only: what tests stand on.
//!
//! - [`on_each_database`] runs a test on SQLite and on Postgres, each time on a migrated database of its own.
//! - [`server::TestServer`] (feature `server`) is a whole server in the test's process, with a client.
//! - [`authenticator::Authenticator`] (feature `server`) is a passkey in software.
//! - [`env()`] is time and randomness that the test controls.
#![expect(clippy::expect_used, reason = "what cannot be set up fails the test, with the reason")]

#[cfg(feature = "server")]
pub mod authenticator;
pub mod database;
pub mod env;
mod schema;
#[cfg(feature = "server")]
mod search;
#[cfg(feature = "server")]
pub mod server;

pub use database::{TestDatabase, on_each_database};
pub use env::{FixedClock, SeededRandom, TestEnv, env};
