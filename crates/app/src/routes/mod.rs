//! The HTTP API, one file per aggregate. A handler parses, calls one use case (or flow), and answers.

pub mod api_keys;
pub mod audit;
pub mod auth;
pub mod avatar;
pub mod branding;
pub mod deployments;
pub mod email_change;
pub mod health;
pub mod invitations;
pub mod jobs;
pub mod mailbox;
pub mod members;
pub mod navigation;
pub mod oidc;
pub mod pages;
pub mod pages_static;
pub mod passkeys;
pub mod plans;
pub mod profile;
pub mod second_factors;
pub mod sections;
pub mod sessions;
pub mod sites;
pub mod tenant_settings;
pub mod tenants;
pub mod users;

use actix_web::web::ServiceConfig as PlainConfig;
use utoipa_actix_web::service_config::ServiceConfig;

/// Everything under `/api/v1`.
pub fn api(config: &mut ServiceConfig<'_>) {
    config
        .configure(auth::configure)
        .configure(oidc::configure)
        .configure(second_factors::configure)
        .configure(passkeys::configure)
        .configure(email_change::configure)
        .configure(sessions::configure)
        .configure(profile::configure)
        .configure(avatar::configure)
        .configure(users::configure)
        .configure(tenants::configure)
        .configure(tenant_settings::configure)
        .configure(members::configure)
        .configure(invitations::configure)
        .configure(branding::configure)
        .configure(api_keys::configure)
        .configure(audit::configure)
        .configure(plans::configure)
        .configure(sites::configure)
        .configure(pages::configure)
        .configure(sections::configure)
        .configure(navigation::configure)
        .configure(deployments::configure)
        .configure(jobs::configure);
}

/// What operators and their programs ask for.
pub fn operations(config: &mut ServiceConfig<'_>) {
    config.service(health::overall).service(health::live).service(health::ready).service(health::metrics);
}

/// Pages for people: where links in emails lead.
pub fn pages(config: &mut PlainConfig) {
    pages_static::configure(config);
    mailbox::configure(config);
}
