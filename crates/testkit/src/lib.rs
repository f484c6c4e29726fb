//! Development only: what tests stand on.
//!
//! - [`on_each_database`] runs a test on SQLite and on Postgres, each time on a migrated database of its own.
//! - [`env()`] is time and randomness that the test controls.
#![expect(clippy::expect_used, reason = "what cannot be set up fails the test, with the reason")]

pub mod database;
pub mod env;

pub use database::{TestDatabase, on_each_database};
pub use env::{FixedClock, SeededRandom, TestEnv, env};
