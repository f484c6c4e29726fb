//! Development only: what the tests share.
//!
//! - [`on_each_database`] runs a test on SQLite and on Postgres, each time on a migrated database of its own.
//! - [`server::TestServer`] (feature `server`) is a whole server in the test's process, with a client.
//! - [`clamd::Clamd`] is a daemon of ClamAV.
//! - [`dns::TestDns`] (feature `dns`) is a name server.
//! - [`authenticator::Authenticator`] (feature `server`) is a passkey in software.
//! - [`jobs`] (feature `server`) runs jobs as a worker would.
//! - [`ledger::sound`] (feature `server`) checks the ledger of a server.
//! - [`payments::TestPayments`] (feature `server`) is a payment provider in memory.
//! - [`receiver::Receiver`] (feature `server`) is a receiver of webhooks.
//! - [`redis::TestRedis`] is a Redis server.
//! - [`collector::TestCollector`] (feature `server`) is an OpenTelemetry collector.
//! - [`network::NetworkPath`] is a network path to a server that can be made silent.
//! - [`s3::S3Server`] is an S3 server.
//! - [`env()`] is time and randomness under control of the test.
#![expect(clippy::expect_used, reason = "what cannot be set up fails the test, with the reason")]

mod across_tenants;
#[cfg(feature = "server")]
pub mod authenticator;
pub mod clamd;
#[cfg(feature = "server")]
pub mod collector;
pub mod database;
#[cfg(feature = "dns")]
pub mod dns;
pub mod env;
#[cfg(feature = "server")]
pub mod jobs;
#[cfg(feature = "server")]
pub mod ledger;
pub mod network;
#[cfg(feature = "server")]
pub mod payments;
#[cfg(feature = "server")]
pub mod receiver;
pub mod redis;
pub mod s3;
mod schema;
#[cfg(feature = "server")]
mod search;
#[cfg(feature = "server")]
pub mod server;
mod tenancy;

pub use database::{TestDatabase, on_each_database};
pub use env::{FixedClock, SeededRandom, TestEnv, env};
