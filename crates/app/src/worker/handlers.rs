//! One handler for each kind of job.

use portico_kernel::{Fault, Job, Kind, RequestInfo, Scope};
use portico_sites::page;
use portico_sites::{asset::PURGE_JOB, wizard::GENERATE_JOB};
use portico_tenancy::{delivery::RESEND_JOB, invitation, lifecycle, tenant::Tenants};
use serde::de::DeserializeOwned;

use crate::{
    flows::{
        account_mail, assets, avatars, deliveries, domains, invitations, notices, publishing, submissions,
        users, wizard,
    },
    http::problem::chain,
    state::App,
};

/// How a job fails.
#[derive(Debug)]
pub enum JobError {
    /// Trying again may help.
    Retry(String),
    /// Trying again cannot help.
    Fatal(String),
}

impl<F: Fault> From<F> for JobError {
    fn from(fault: F) -> Self {
        match fault.kind() {
            Kind::Internal | Kind::Unavailable | Kind::Conflict | Kind::RateLimited => {
                Self::Retry(chain(&fault))
            }
            _ => Self::Fatal(chain(&fault)),
        }
    }
}

/// Does a job. May run more than once for the same job, and then has the effect of one run.
pub async fn handle(app: &App, job: &Job) -> Result<(), JobError> {
    match job.kind.as_str() {
        "email.verification" => account_mail::verification(app, job).await,
        "email.password_reset" => account_mail::password_reset(app, job).await,
        "email.welcome" => account_mail::welcome(app, job).await,
        "email.change" => account_mail::email_change(app, job).await,
        "email.change_notice" => account_mail::email_change_notice(app, job).await,
        avatars::PURGE => avatars::purge(app, job).await,
        PURGE_JOB => assets::purge(app, job).await,
        notices::TO_ONE => notices::to_one(app, job).await,
        notices::TO_OWNERS => notices::to_owners(app, job).await,
        "email.password_changed" => account_mail::password_changed(app, job).await,
        submissions::RECEIVED => submissions::received(app, job).await,
        submissions::TO_ONE => submissions::to_one(app, job).await,
        users::ERASURE => users::erase_traces(app, job).await,
        invitation::MAIL_JOB => invitations::mail(app, job).await,
        lifecycle::DELETION_JOB => delete_tenant(app, job).await,
        "deployment.build" => publishing::build(app, job).await,
        "site.purge" => publishing::purge(app, job).await,
        RESEND_JOB => deliveries::resend(app, job).await,
        domains::CHECK => domains::check(app, job).await,
        domains::REDEPLOY => domains::redeploy(app, job).await,
        page::PUBLISH_JOB => publishing::publish_page(app, job).await,
        page::DEPLOY_JOB => publishing::deploy(app, job).await,
        GENERATE_JOB => wizard::generate(app, job).await,
        other => Err(JobError::Fatal(format!("no handler for {other}"))),
    }
}

/// Deletes a tenant whose time of grace is over, unless that was taken back.
async fn delete_tenant(app: &App, job: &Job) -> Result<(), JobError> {
    let mut work = app.begin().await?;
    Tenants::new(&mut *work, &scope(job), &app.env).finish_deletion().await?;
    work.commit().await?;
    Ok(())
}

/// What follows from a job that failed for good.
pub async fn dead(app: &App, job: &Job) -> Result<(), portico_sites::SitesError> {
    match job.kind.as_str() {
        "deployment.build" => publishing::give_up(app, job).await,
        GENERATE_JOB => wizard::give_up(app, job).await,
        _ => Ok(()),
    }
}

/// The payload of a job as the type that its handler expects.
pub fn payload<T: DeserializeOwned>(job: &Job) -> Result<T, JobError> {
    serde_json::from_value(job.payload.clone()).map_err(|error| JobError::Fatal(format!("payload: {error}")))
}

/// Portico itself, acting for the request that enqueued the job.
pub fn scope(job: &Job) -> Scope {
    let request = RequestInfo { id: job.request_id.clone(), ..RequestInfo::default() };
    Scope::system(Some(job.tenant_id), request)
}
