//! The routes of all features, and those that belong to the process itself.

pub mod health;
pub mod jobs;
pub mod mailbox;
pub mod pages_static;

use actix_web::web::ServiceConfig as PlainConfig;
use portico_feature_billing::routes as billing;
use portico_feature_identity::routes as identity;
use portico_feature_sites::routes as sites;
use portico_feature_tenancy::routes as tenancy;
use portico_web::routing::Routes;

/// Everything under `/api/v1`.
pub fn api(config: &mut Routes<'_, '_>) {
    config
        .configure(identity::api)
        .configure(tenancy::api)
        .configure(billing::api)
        .configure(sites::api)
        .configure(jobs::configure);
}

/// What operators and their programs ask for.
pub fn operations(config: &mut Routes<'_, '_>) {
    config.configure(sites::outside).configure(health);
}

/// Health and metrics of the process.
pub fn health(config: &mut Routes<'_, '_>) {
    config.service(health::overall).service(health::live).service(health::ready).service(health::metrics);
}

/// Pages for people: where links in emails lead.
pub fn pages(config: &mut PlainConfig) {
    pages_static::configure(config);
    mailbox::configure(config);
    sites::pages(config);
}
