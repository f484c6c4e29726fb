//! Plans as staff make and change them.

use actix_web::{
    HttpResponse, Responder, delete, get,
    http::header,
    post, put,
    web::{Data, Path},
};
use portico_billing::{
    plan_edit::{ManagedPlan, PlanAdministration, PlanHistory},
    plan_input::{PlanInput, PlanUpdate},
};
use portico_kernel::List;
use portico_runtime::core::Core;
use portico_web::{
    body::Body,
    caller::Caller,
    list::Listed,
    problem::{Problem, ProblemBody},
    query::{Paging, Query},
    routing::{KEYED, MERGE, READ, Routes, WRITE},
    write::WithJson,
};

/// Adds the routes.
pub fn configure(config: &mut Routes<'_, '_>) {
    config
        .service(READ, list)
        .service(KEYED, create)
        .service(READ, read)
        .service(MERGE, update)
        .service(WRITE, retire);
}

/// List all plans
///
/// For staff: in their current versions with the number of tenants on each, also those that are not public or are retired.
#[utoipa::path(
    tag = "Billing",
    operation_id = "listAllPlans",
    params(Paging),
    responses((status = 200, body = List<ManagedPlan>)),
    security(("bearer" = ["platform:plans"])),
)]
#[get("/admin/plans")]
async fn list(core: Data<Core>, caller: Caller, query: Query<Paging>) -> Result<impl Responder, Problem> {
    let page = query.0.request()?;
    let mut repositories = core.reader();
    let plans = PlanAdministration::new(&mut *repositories, &caller.0, &core.env).list(page).await?;
    Ok(Listed(plans))
}

/// Create a plan
///
/// For staff. It is on offer at once, unless `isPublic` is false.
#[utoipa::path(
    tag = "Billing",
    operation_id = "createPlan",
    request_body = PlanInput,
    responses(
        (status = 201, body = ManagedPlan, headers(("Location" = String))),
        (status = 409, description = "Another plan has the id, or a retired one had it (`plan_exists`).", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["platform:plans"])),
)]
#[post("/admin/plans")]
async fn create(core: Data<Core>, caller: Caller, body: Body<PlanInput>) -> Result<HttpResponse, Problem> {
    caller
        .write(&core, async |work| {
            let made = PlanAdministration::new(&mut *work, &caller.0, &core.env).create(body.0).await?;
            Ok(HttpResponse::Created()
                .insert_header((header::LOCATION, format!("/api/v1/admin/plans/{}", made.plan.id)))
                .with_json(&made))
        })
        .await
}

/// Read a plan with its versions
///
/// For staff: with the number of tenants on each version, the newest first.
#[utoipa::path(
    tag = "Billing",
    operation_id = "getPlan",
    params(("planId" = String, Path, description = "Id of the plan.", example = "starter")),
    responses((status = 200, body = PlanHistory)),
    security(("bearer" = ["platform:plans"])),
)]
#[get("/admin/plans/{planId}")]
async fn read(core: Data<Core>, caller: Caller, path: Path<String>) -> Result<HttpResponse, Problem> {
    let mut repositories = core.reader();
    let plan = PlanAdministration::new(&mut *repositories, &caller.0, &core.env).get(&path).await?;
    Ok(HttpResponse::Ok().with_json(&plan))
}

/// Update a plan
///
/// For staff. A change of prices, limits, premium templates or days of trial makes the next version, which is sold from then on. Who is
/// on an earlier version keeps that, unless `moveSubscribers` puts them on the current one. Name, description, features, position and
/// `isPublic` change in the version that is there.
#[utoipa::path(
    tag = "Billing",
    operation_id = "updatePlan",
    params(("planId" = String, Path, description = "Id of the plan.", example = "starter")),
    request_body = PlanUpdate,
    responses(
        (status = 200, body = ManagedPlan),
        (status = 409, description = "The plan is retired (`plan_retired`).", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["platform:plans"])),
)]
#[put("/admin/plans/{planId}")]
async fn update(
    core: Data<Core>,
    caller: Caller,
    path: Path<String>,
    body: Body<PlanUpdate>,
) -> Result<HttpResponse, Problem> {
    caller
        .write(&core, async |work| {
            let plan =
                PlanAdministration::new(&mut *work, &caller.0, &core.env).update(&path, body.0).await?;
            Ok(HttpResponse::Ok().with_json(&plan))
        })
        .await
}

/// Retire a plan
///
/// For staff: it is no longer on offer, and no tenant is put on it. Who is on it stays. This cannot be undone, and the id is not free
/// again.
#[utoipa::path(
    tag = "Billing",
    operation_id = "deletePlan",
    params(("planId" = String, Path, description = "Id of the plan.", example = "starter")),
    responses(
        (status = 204, description = "Retired."),
        (status = 409, description = "Tenants begin with this plan (`plan_needed`).", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["platform:plans"])),
)]
#[delete("/admin/plans/{planId}")]
async fn retire(core: Data<Core>, caller: Caller, path: Path<String>) -> Result<HttpResponse, Problem> {
    caller
        .write(&core, async |work| {
            PlanAdministration::new(&mut *work, &caller.0, &core.env).retire(&path).await?;
            Ok(HttpResponse::NoContent().finish())
        })
        .await
}
