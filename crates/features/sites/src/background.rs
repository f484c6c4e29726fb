//! Background jobs of sites: deployments, domains, files, generated texts, form submissions, visits.

use portico_runtime::worker::{
    jobs::Handlers,
    schedules::{HOUR, Schedule},
};

use crate::{
    flows::{assets, domains, publishing, submissions, visits, wizard},
    state::App,
};

/// Registers the handlers of this feature's jobs.
pub fn register(app: &App, handlers: &mut Handlers) {
    handlers.on(app, |app, purge, job| Box::pin(assets::purge(app, purge, job)));
    handlers.on(app, |app, mail, job| Box::pin(submissions::to_all(app, mail, job)));
    handlers.on(app, |app, mail, job| Box::pin(submissions::to_one(app, mail, job)));
    handlers.on(app, |app, build, job| Box::pin(publishing::build(app, build, job)));
    handlers.on(app, |app, purge, job| Box::pin(publishing::purge(app, purge, job)));
    handlers.on(app, |app, check, job| Box::pin(domains::check(app, check, job)));
    handlers.on(app, |app, redeploy, job| Box::pin(domains::redeploy(app, redeploy, job)));
    handlers.on(app, |app, publish, job| Box::pin(publishing::publish_page(app, publish, job)));
    handlers.on(app, |app, deploy, job| Box::pin(publishing::deploy(app, deploy, job)));
    handlers.on(app, |app, generate, job| Box::pin(wizard::generate(app, generate, job)));
    handlers.when_given_up(app, |app, build, job| Box::pin(publishing::give_up(app, build, job)));
    handlers.when_given_up(app, |app, generate, job| Box::pin(wizard::give_up(app, generate, job)));
}

/// Periodic jobs of this feature.
pub fn schedules(app: &App) -> [Schedule; 1] {
    [Schedule::new("site_retention", HOUR, app, |app| Box::pin(visits::forget(app)))]
}
