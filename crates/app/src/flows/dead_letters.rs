//! Looking after background jobs: staff list them and replay dead ones.

use portico_kernel::{Event, Job, JobId, JobState, Page, PageRequest, Permission, Scope, TenantId};

use crate::{http::problem::Problem, state::App};

/// The jobs in a state (all for `None`), newest first.
pub async fn list(
    app: &App,
    scope: &Scope,
    state: Option<JobState>,
    page: PageRequest,
) -> Result<Page<Job>, Problem> {
    scope.require_platform(Permission::PlatformJobs)?;
    Ok(app.jobs.list(state, page).await?)
}

/// Queues a dead job again, with all its attempts. 404 when there is no such dead job.
pub async fn replay(app: &App, scope: &Scope, id: JobId) -> Result<Job, Problem> {
    scope.require_platform(Permission::PlatformJobs)?;
    let mut work = app.begin().await?;
    let job = work.dead_letters().replay(id, app.env.now()).await?.ok_or_else(Problem::not_found)?;
    let event =
        Event::new(&app.env, scope, "job.replayed", id.uuid()).in_tenant(TenantId::PLATFORM).after(&job);
    work.events().append(event).await?;
    work.commit().await?;
    Ok(job)
}
