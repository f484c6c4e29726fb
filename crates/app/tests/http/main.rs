//! The API as a client sees it: a running server, real databases.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a helper of a test fails the test as the test itself would"
)]

mod api_keys;
mod audit;
mod audit_chain;
mod audit_coverage;
mod authorization;
mod avatar;
mod bad_input;
mod content;
mod conventions;
mod email_change;
mod erasure;
mod factor_stage;
mod factors;
mod fixture;
mod guards;
mod identity;
mod invitations;
mod jobs;
mod mails;
mod members;
mod oidc;
mod openapi;
mod passkeys;
mod profile_and_sessions;
mod provider;
mod publishing;
mod sites;
mod tenancy;
mod tenant_lifecycle;
mod users;
