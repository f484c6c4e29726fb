//! Background work of sites: deployments, domains, files, texts, messages of visitors, visits.

use portico_runtime::worker::{
    jobs::Handlers,
    schedules::{HOUR, Schedule},
};
use portico_sites::{asset::PURGE_JOB, page, wizard::GENERATE_JOB};

use crate::{
    flows::{assets, domains, publishing, submissions, visits, wizard},
    state::App,
};

/// Registers the handlers of this feature's jobs.
pub fn register(app: &App, handlers: &mut Handlers) {
    handlers.on(PURGE_JOB, app, |app, job| Box::pin(assets::purge(app, job)));
    handlers.on(submissions::RECEIVED, app, |app, job| Box::pin(submissions::received(app, job)));
    handlers.on(submissions::TO_ONE, app, |app, job| Box::pin(submissions::to_one(app, job)));
    handlers.on("deployment.build", app, |app, job| Box::pin(publishing::build(app, job)));
    handlers.on("site.purge", app, |app, job| Box::pin(publishing::purge(app, job)));
    handlers.on(domains::CHECK, app, |app, job| Box::pin(domains::check(app, job)));
    handlers.on(domains::REDEPLOY, app, |app, job| Box::pin(domains::redeploy(app, job)));
    handlers.on(page::PUBLISH_JOB, app, |app, job| Box::pin(publishing::publish_page(app, job)));
    handlers.on(page::DEPLOY_JOB, app, |app, job| Box::pin(publishing::deploy(app, job)));
    handlers.on(GENERATE_JOB, app, |app, job| Box::pin(wizard::generate(app, job)));
    handlers.when_given_up("deployment.build", app, |app, job| {
        Box::pin(async { Ok(publishing::give_up(app, job).await?) })
    });
    handlers.when_given_up(GENERATE_JOB, app, |app, job| {
        Box::pin(async { Ok(wizard::give_up(app, job).await?) })
    });
}

/// What this feature does from time to time.
pub fn schedules(app: &App) -> [Schedule; 1] {
    [Schedule::new("site_retention", HOUR, app, |app| Box::pin(visits::forget(app)))]
}
