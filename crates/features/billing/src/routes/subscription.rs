//! The subscription of a tenant, by the path of the tenant. The same as under `/billing`.

use actix_web::{HttpResponse, delete, get, post, put, web::Data};
use portico_billing::{
    plan_change::PlanWish,
    plan_changes::Cancellation,
    tenant_subscription::{TenantSubscription, TenantSubscriptions},
};
use portico_kernel::TenantId;
use portico_runtime::core::Core;
use portico_web::{
    admission::Class,
    body::Body,
    caller::Caller,
    problem::{Problem, ProblemBody},
    routing::{KEYED, READ, Routes, WRITE},
    write::WithJson,
};

use crate::{
    flows::plan_changes::{self, PlannedChange, UpgradePage},
    state::App,
};

/// Adds the routes.
pub fn configure(config: &mut Routes<'_, '_>) {
    config
        .service(READ, read)
        .service(KEYED.waiting_in(Class::Outside), begin)
        .service(WRITE.waiting_in(Class::Outside), change)
        .service(WRITE.waiting_in(Class::Outside), end);
}

/// Read the subscription of a tenant
///
/// The same as `GET /billing/subscription`.
#[utoipa::path(
    tag = "Billing",
    operation_id = "getTenantSubscription",
    params(("tenantId" = TenantId, Path)),
    responses((status = 200, body = TenantSubscription)),
    security(("bearer" = ["billing:read"])),
)]
#[get("/tenants/{tenantId}/subscription")]
async fn read(core: Data<Core>, caller: Caller) -> Result<HttpResponse, Problem> {
    let mut repositories = core.reader();
    let subscription = TenantSubscriptions::new(&mut *repositories).get(&caller.0, core.env.now()).await?;
    Ok(HttpResponse::Ok().with_json(&subscription))
}

/// Subscribe a tenant
///
/// Leaves the free plan. As `POST /billing/upgrade`; 409 where another plan is in force already.
#[utoipa::path(
    tag = "Billing",
    operation_id = "createTenantSubscription",
    params(("tenantId" = TenantId, Path)),
    request_body = PlanWish,
    responses(
        (status = 200, description = "The plan is in force.", body = PlannedChange),
        (status = 202, description = "To be paid on a page first.", body = UpgradePage),
        (status = 402, description = "The payment was declined (`payment_failed`, with `declineCode`). Nothing has changed.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 403, description = "Not allowed; `email_unverified` while the address of the account is not verified."),
        (status = 409, description = "Another plan is in force already (`subscription_exists`), or one of the reasons of an upgrade.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "The payment provider does not answer (`payment_provider_unavailable`). Send the same again.", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["billing:write"])),
)]
#[post("/tenants/{tenantId}/subscription")]
async fn begin(app: Data<App>, caller: Caller, body: Body<PlanWish>) -> Result<HttpResponse, Problem> {
    plan_changes::upgrade(&app, &caller, &body.0, true).await
}

/// Change the subscription of a tenant
///
/// As an upgrade or a downgrade, whichever the plan is.
#[utoipa::path(
    tag = "Billing",
    operation_id = "updateTenantSubscription",
    params(("tenantId" = TenantId, Path)),
    request_body = PlanWish,
    responses(
        (status = 200, body = PlannedChange),
        (status = 202, description = "To be paid on a page first.", body = UpgradePage),
        (status = 402, description = "The payment was declined (`payment_failed`, with `declineCode`). Nothing has changed.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 403, description = "Not allowed; `email_unverified` while the address of the account is not verified."),
        (status = 409, description = "One of the reasons of an upgrade or a downgrade.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "The payment provider does not answer (`payment_provider_unavailable`). Send the same again.", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["billing:write"])),
)]
#[put("/tenants/{tenantId}/subscription")]
async fn change(app: Data<App>, caller: Caller, body: Body<PlanWish>) -> Result<HttpResponse, Problem> {
    plan_changes::change(&app, &caller, &body.0).await
}

/// Cancel the subscription of a tenant
///
/// At the end of the period, as `POST /billing/cancel` without a reason.
#[utoipa::path(
    tag = "Billing",
    operation_id = "deleteTenantSubscription",
    params(("tenantId" = TenantId, Path)),
    responses(
        (status = 200, body = PlannedChange),
        (status = 409, description = "Nothing is paid for (`no_subscription`), or nobody knows yet what came of a change (`change_in_progress`).", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "The payment provider does not answer (`payment_provider_unavailable`). Send the same again.", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["billing:write"])),
)]
#[delete("/tenants/{tenantId}/subscription")]
async fn end(app: Data<App>, caller: Caller) -> Result<HttpResponse, Problem> {
    plan_changes::cancel(&app, &caller, &Cancellation::default()).await
}
