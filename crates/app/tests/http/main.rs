//! The API as a client sees it: a running server, real databases.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a helper of a test fails the test as the test itself would"
)]

mod ai;
mod api_keys;
mod assets;
mod audit;
mod audit_chain;
mod audit_coverage;
mod authorization;
mod avatar;
mod bad_input;
mod browser_sessions;
mod cache;
mod contact_forms;
mod content;
mod conventions;
mod coupons;
mod customers;
mod deployments;
mod dispatch;
mod domains;
mod edge;
mod email_change;
mod erasure;
mod factor_stage;
mod factors;
mod fixture;
mod frozen_sites;
mod guards;
mod idempotency;
mod identity;
mod instances;
mod invitations;
mod jobs;
mod key_makers;
mod licenses;
mod limits;
mod listener;
mod live;
mod live_limits;
mod mails;
mod managed_licenses;
mod members;
#[path = "../../../adapters/ai/tests/writers/server.rs"]
#[allow(dead_code, reason = "the tests of the adapter need all of it")]
mod model;
mod observability;
mod oidc;
mod openapi;
mod outages;
mod outside_calls;
mod passkeys;
mod plan_grants;
mod plans;
mod previews;
mod profile_and_sessions;
mod provider;
mod publishing;
mod purchases;
mod receipts;
mod refunds;
mod samples;
mod sandbox_payments;
mod seo;
mod site_purchases;
mod site_sales;
mod sites;
mod slow_clients;
mod source_systems;
mod spellings;
mod statements;
mod stored_texts;
mod strangers;
mod subscriptions;
mod support;
mod support_mails;
mod takeover;
mod templates;
mod tenancy;
mod tenant_lifecycle;
mod tickets;
mod traces;
mod usage;
mod users;
mod versions;
mod visitors;
mod webhooks;
mod wire;
mod wizard;
