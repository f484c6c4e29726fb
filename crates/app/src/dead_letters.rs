//! Administration of background jobs: listing, and replaying dead ones.

use portico_kernel::{Env, Event, Job, JobId, JobState, List, PageRequest, Permission, Scope, TenantId};
use portico_runtime::{core::Core, store::UnitOfWork};
use portico_web::problem::Problem;

/// A job without its payload, which may contain data of customers that not all staff may see.
fn without_payload(mut job: Job) -> Job {
    job.payload = serde_json::Value::Null;
    job
}

/// The jobs in a state (all for `None`), newest first. Payloads are only shown to those who may see the whole platform.
pub async fn list(
    core: &Core,
    scope: &Scope,
    state: Option<JobState>,
    page: PageRequest,
) -> Result<List<Job>, Problem> {
    scope.require_platform(Permission::PlatformJobs)?;
    let mut jobs = core.jobs.list(state, page).await?;
    if !scope.allows(Permission::PlatformAudit) {
        jobs.items = jobs.items.into_iter().map(without_payload).collect();
    }
    Ok(jobs)
}

/// Queues a dead job again, with all its attempts. 404 when there is no such dead job.
pub async fn replay(work: &mut dyn UnitOfWork, env: &Env, scope: &Scope, id: JobId) -> Result<Job, Problem> {
    scope.require_platform(Permission::PlatformJobs)?;
    let job = work.dead_letters().replay(id, env.now()).await?.ok_or_else(Problem::not_found)?;
    let shown =
        if scope.allows(Permission::PlatformAudit) { job.clone() } else { without_payload(job.clone()) };
    let event = Event::new(env, scope, &portico_runtime::events::JOB_REPLAYED, id.uuid())
        .in_tenant(TenantId::PLATFORM)
        .after(&without_payload(job));
    work.events().append(event).await?;
    Ok(shown)
}
