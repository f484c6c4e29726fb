//! Background jobs, for staff.

use actix_web::{
    HttpResponse, Responder, get, post,
    web::{Data, Path},
};
use portico_kernel::{Job, JobId, JobState, List};
use portico_runtime::core::Core;
use portico_web::{
    caller::Caller,
    list::Listed,
    problem::Problem,
    query::{Paged, Paging},
    routing::{KEYED, READ, Routes},
    write::WithJson,
};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::dead_letters;

/// Adds the routes.
pub fn configure(config: &mut Routes<'_, '_>) {
    config.service(READ, list).service(KEYED, replay);
}

/// Query of the list of jobs.
#[derive(Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
struct ListJobs {
    /// State of the job; `dead` ones failed too often and wait for staff.
    #[param(example = "dead")]
    state: Option<JobState>,
}

/// List background jobs
///
/// For staff. Completed jobs are not listed.
#[utoipa::path(
    tag = "Jobs",
    operation_id = "listJobs",
    params(ListJobs, Paging),
    responses((status = 200, body = List<Job>)),
    security(("bearer" = ["platform:jobs"])),
)]
#[get("/admin/jobs")]
async fn list(core: Data<Core>, caller: Caller, query: Paged<ListJobs>) -> Result<impl Responder, Problem> {
    let Paged(ListJobs { state }, paging) = query;
    let jobs = dead_letters::list(&core, &caller.0, state, paging.request()?).await?;
    Ok(Listed(jobs))
}

/// Replay a dead job
///
/// For staff. Queues it again with all its attempts. 404 when there is no dead job with this id.
#[utoipa::path(
    tag = "Jobs",
    operation_id = "replayJob",
    params(("jobId" = JobId, Path)),
    responses((status = 202, description = "Queued again.", body = Job)),
    security(("bearer" = ["platform:jobs"])),
)]
#[post("/admin/jobs/{jobId}/replay")]
async fn replay(core: Data<Core>, caller: Caller, id: Path<JobId>) -> Result<HttpResponse, Problem> {
    caller
        .write(&core, async |work| {
            let job = dead_letters::replay(work, &core.env, &caller.0, id.into_inner()).await?;
            Ok(HttpResponse::Accepted().with_json(&job))
        })
        .await
}
