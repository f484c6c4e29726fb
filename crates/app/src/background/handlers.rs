//! Which feature does jobs of which kind.

use portico_kernel::Job;
use portico_runtime::worker::jobs::{Handlers, JobError, scope};
use portico_sites::{asset::PURGE_JOB, page, wizard::GENERATE_JOB};
use portico_tenancy::{delivery::RESEND_JOB, invitation, lifecycle, tenant::Tenants};

use crate::{
    flows::{
        account_mail, assets, avatars, deliveries, domains, invitations, notices, publishing, submissions,
        users, wizard,
    },
    state::App,
};

/// Every handler. A job may be done more than once, and then has the effect of one run.
pub fn all(app: &App) -> Handlers {
    let mut handlers = Handlers::default();
    handlers.on("email.verification", app, |app, job| Box::pin(account_mail::verification(app, job)));
    handlers.on("email.password_reset", app, |app, job| Box::pin(account_mail::password_reset(app, job)));
    handlers.on("email.welcome", app, |app, job| Box::pin(account_mail::welcome(app, job)));
    handlers.on("email.change", app, |app, job| Box::pin(account_mail::email_change(app, job)));
    handlers.on("email.change_notice", app, |app, job| Box::pin(account_mail::email_change_notice(app, job)));
    handlers.on(avatars::PURGE, app, |app, job| Box::pin(avatars::purge(app, job)));
    handlers.on(PURGE_JOB, app, |app, job| Box::pin(assets::purge(app, job)));
    handlers.on(notices::TO_ONE, app, |app, job| Box::pin(notices::to_one(app, job)));
    handlers.on(notices::TO_OWNERS, app, |app, job| Box::pin(notices::to_owners(app, job)));
    handlers.on("email.password_changed", app, |app, job| Box::pin(account_mail::password_changed(app, job)));
    handlers.on(submissions::RECEIVED, app, |app, job| Box::pin(submissions::received(app, job)));
    handlers.on(submissions::TO_ONE, app, |app, job| Box::pin(submissions::to_one(app, job)));
    handlers.on(users::ERASURE, app, |app, job| Box::pin(users::erase_traces(app, job)));
    handlers.on(invitation::MAIL_JOB, app, |app, job| Box::pin(invitations::mail(app, job)));
    handlers.on(lifecycle::DELETION_JOB, app, |app, job| Box::pin(delete_tenant(app, job)));
    handlers.on("deployment.build", app, |app, job| Box::pin(publishing::build(app, job)));
    handlers.on("site.purge", app, |app, job| Box::pin(publishing::purge(app, job)));
    handlers.on(RESEND_JOB, app, |app, job| Box::pin(deliveries::resend(app, job)));
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
    handlers
}

/// Deletes a tenant whose time of grace is over, unless that was taken back.
async fn delete_tenant(app: &App, job: &Job) -> Result<(), JobError> {
    let mut work = app.core.begin().await?;
    Tenants::new(&mut *work, &scope(job), &app.core.env).finish_deletion().await?;
    work.commit().await?;
    Ok(())
}
