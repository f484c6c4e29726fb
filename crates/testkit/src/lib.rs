//! Development only: what tests stand on.
//!
//! - [`on_each_database`] runs a test on SQLite and on Postgres, each time on a migrated database of its own.
//! - [`server::TestServer`] (feature `server`) is a whole server in the test's process, with a client.
//! - [`dns::TestDns`] (feature `dns`) is a name server.
//! - [`authenticator::Authenticator`] (feature `server`) is a passkey in software.
//! - [`redis::TestRedis`] is a Redis server.
//! - [`s3::S3Server`] is an S3 server.
//! - [`env()`] is time and randomness that the test controls.
#![expect(clippy::expect_used, reason = "what cannot be set up fails the test, with the reason")]

#[cfg(feature = "server")]
pub mod authenticator;
pub mod database;
#[cfg(feature = "dns")]
pub mod dns;
pub mod env;
pub mod redis;
pub mod s3;
mod schema;
#[cfg(feature = "server")]
mod search;
#[cfg(feature = "server")]
pub mod server;

pub use database::{TestDatabase, on_each_database};
pub use env::{FixedClock, SeededRandom, TestEnv, env};
