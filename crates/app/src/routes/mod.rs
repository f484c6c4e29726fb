//! The HTTP API, one file per aggregate. A handler parses, calls one use case (or flow), and answers.

pub mod ai;
pub mod analytics;
pub mod api_keys;
pub mod assets;
pub mod audit;
pub mod auth;
pub mod avatar;
pub mod branding;
pub mod deliveries;
pub mod deployments;
pub mod domains;
pub mod email_change;
pub mod files;
pub mod health;
pub mod invitations;
pub mod jobs;
pub mod live;
pub mod mailbox;
pub mod members;
pub mod navigation;
pub mod oidc;
pub mod pages;
pub mod pages_static;
pub mod passkeys;
pub mod plans;
pub mod previews;
pub mod profile;
pub mod second_factors;
pub mod sections;
pub mod seo;
pub mod sessions;
pub mod site_sales;
pub mod sites;
pub mod submissions;
pub mod templates;
pub mod tenant_settings;
pub mod tenants;
pub mod tls;
pub mod users;
pub mod versions;
pub mod webhooks;
pub mod wizard;

use actix_web::web::ServiceConfig as PlainConfig;
use portico_web::routing::Routes;

/// Everything under `/api/v1`.
pub fn api(config: &mut Routes<'_, '_>) {
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
        .configure(webhooks::configure)
        .configure(deliveries::configure)
        .configure(audit::configure)
        .configure(plans::configure)
        .configure(site_sales::configure)
        .configure(sites::configure)
        .configure(pages::configure)
        .configure(sections::configure)
        .configure(navigation::configure)
        .configure(deployments::configure)
        .configure(templates::configure)
        .configure(wizard::configure)
        .configure(ai::configure)
        .configure(assets::configure)
        .configure(seo::configure)
        .configure(versions::configure)
        .configure(previews::configure)
        .configure(domains::configure)
        .configure(analytics::configure)
        .configure(submissions::configure)
        .configure(live::configure)
        .configure(jobs::configure);
}

/// What operators and their programs ask for.
pub fn operations(config: &mut Routes<'_, '_>) {
    config.service(files::show);
    config.configure(health).service(tls::ask);
}

/// Health and metrics of the process.
pub fn health(config: &mut Routes<'_, '_>) {
    config.service(health::overall).service(health::live).service(health::ready).service(health::metrics);
}

/// Pages for people: where links in emails lead.
pub fn pages(config: &mut PlainConfig) {
    pages_static::configure(config);
    mailbox::configure(config);
    previews::pages(config);
}
