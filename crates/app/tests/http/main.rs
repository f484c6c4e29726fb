//! The API as a client sees it: a running server, real databases.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a helper of a test fails the test as the test itself would"
)]

mod audit;
mod authorization;
mod bad_input;
mod content;
mod conventions;
mod fixture;
mod identity;
mod jobs;
mod openapi;
mod profile_and_sessions;
mod publishing;
mod sites;
mod tenancy;
