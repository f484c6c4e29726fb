//! Routes, one file per aggregate. A handler parses, calls one use case (or flow), and answers.

pub mod ai;
pub mod analytics;
pub mod assets;
pub mod branding;
pub mod deployments;
pub mod domains;
pub mod files;
pub mod navigation;
pub mod pages;
pub mod previews;
pub mod sections;
pub mod seo;
pub mod site_sales;
pub mod sites;
pub mod submissions;
pub mod templates;
pub mod tls;
pub mod versions;
pub mod wizard;

use actix_web::web::ServiceConfig;
use portico_web::routing::{READ, Routes};

/// Everything under `/api/v1`.
pub fn api(config: &mut Routes<'_, '_>) {
    config
        .configure(branding::configure)
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
        .configure(submissions::configure);
}

/// Routes outside of `/api/v1`: files behind links, and a proxy's queries about certificates.
pub fn outside(config: &mut Routes<'_, '_>) {
    config.service(READ.for_anyone(), files::show).service(READ.for_anyone().unqueued(), tls::ask);
}

/// HTML pages.
pub fn pages(config: &mut ServiceConfig) {
    previews::pages(config);
}
