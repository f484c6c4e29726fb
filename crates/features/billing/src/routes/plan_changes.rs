//! Changes of plan of the active tenant.

use actix_web::{HttpResponse, post, web::Data};
use portico_billing::{
    plan_change::{ChangePreview, PlanWish},
    plan_changes::Cancellation,
    tenant_subscription::TenantSubscription,
};
use portico_web::{
    admission::Class,
    body::Body,
    caller::Caller,
    problem::{Problem, ProblemBody},
    routing::{KEYED, Routes, WRITE},
    write::WithJson,
};

use crate::{
    flows::plan_changes::{self, PlannedChange, UpgradePage},
    state::App,
};

/// Adds the routes.
pub fn configure(config: &mut Routes<'_, '_>) {
    config
        // Not keyed: it changes nothing, and is to be what holds now.
        .service(WRITE.waiting_in(Class::Outside), preview)
        .service(KEYED.waiting_in(Class::Outside), upgrade)
        .service(KEYED.waiting_in(Class::Outside), downgrade)
        .service(KEYED.waiting_in(Class::Outside), cancel)
        .service(KEYED.waiting_in(Class::Outside), resume);
}

/// Preview a change of plan
///
/// What a change would cost now, when it would take hold, and what would be over the limit. Changes nothing. Amounts of a running
/// subscription are those of the payment provider, by the second. What a coupon takes off is a line of its own; one that cannot be used is 422
/// at the field `couponCode`. Counts with the changes themselves: ten in a minute for each user.
#[utoipa::path(
    tag = "Billing",
    operation_id = "previewPlanChange",
    request_body = PlanWish,
    responses(
        (status = 200, body = ChangePreview),
        (status = 503, description = "The payment provider does not answer (`payment_provider_unavailable`).", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["billing:write"])),
)]
#[post("/billing/preview")]
async fn preview(app: Data<App>, caller: Caller, body: Body<PlanWish>) -> Result<HttpResponse, Problem> {
    let preview = plan_changes::preview(&app, &caller.0, &body.0).await?;
    Ok(HttpResponse::Ok().with_json(&preview))
}

/// Upgrade
///
/// To a plan that costs more, or to a longer interval: at once. What is on file is charged for the rest of the period, less what is left
/// of the plan before. A tenant that pays nothing yet and has nothing on file, or may try the plan first, gets a page to pay at (202);
/// the plan comes into force once that is finished. A payment that is declined changes nothing. A coupon takes something off, in place of one
/// that runs; with it there is no trial. At most ten in a minute for each user.
#[utoipa::path(
    tag = "Billing",
    operation_id = "upgradePlan",
    request_body = PlanWish,
    responses(
        (status = 200, description = "The plan is in force.", body = PlannedChange),
        (status = 202, description = "To be paid on a page first.", body = UpgradePage),
        (status = 402, description = "The payment was declined (`payment_failed`, with `declineCode`). Nothing has changed.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 403, description = "Not allowed; `email_unverified` while the address of the account is not verified."),
        (status = 409, description = "This cannot be done now: `already_on_plan`, `not_an_upgrade`, `change_scheduled`, `change_in_progress`, `payment_overdue`, `payment_unsupported`.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "The payment provider does not answer (`payment_provider_unavailable`). Send the same again.", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["billing:write"])),
)]
#[post("/billing/upgrade")]
async fn upgrade(app: Data<App>, caller: Caller, body: Body<PlanWish>) -> Result<HttpResponse, Problem> {
    plan_changes::upgrade(&app, &caller, &body.0, false).await
}

/// Downgrade
///
/// To a plan that costs less, at the end of the period; to `free` by ending what is paid. Nothing is deleted. What will be over the
/// limit is in the answer: it stays, and nothing is added until there is room.
#[utoipa::path(
    tag = "Billing",
    operation_id = "downgradePlan",
    request_body = PlanWish,
    responses(
        (status = 200, body = PlannedChange),
        (status = 403, description = "Not allowed; `email_unverified` while the address of the account is not verified."),
        (status = 409, description = "This cannot be done now: `already_on_plan`, `not_a_downgrade`, `no_subscription`, `change_scheduled`, `change_in_progress`, `payment_overdue`, `payment_unsupported`.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "The payment provider does not answer (`payment_provider_unavailable`). Send the same again.", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["billing:write"])),
)]
#[post("/billing/downgrade")]
async fn downgrade(app: Data<App>, caller: Caller, body: Body<PlanWish>) -> Result<HttpResponse, Problem> {
    plan_changes::downgrade(&app, &caller, &body.0).await
}

/// Cancel
///
/// Ends what is paid for at the end of the period, or at once: then nothing is given back. The free plan follows, and nothing is deleted.
#[utoipa::path(
    tag = "Billing",
    operation_id = "cancelPlan",
    request_body = Cancellation,
    responses(
        (status = 200, body = PlannedChange),
        (status = 409, description = "Nothing is paid for (`no_subscription`), or nobody knows yet what came of a change (`change_in_progress`).", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "The payment provider does not answer (`payment_provider_unavailable`). Send the same again.", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["billing:write"])),
)]
#[post("/billing/cancel")]
async fn cancel(app: Data<App>, caller: Caller, body: Body<Cancellation>) -> Result<HttpResponse, Problem> {
    plan_changes::cancel(&app, &caller, &body.0).await
}

/// Resume
///
/// Takes back an end that is to come, and a plan that is to follow at the end of the period.
#[utoipa::path(
    tag = "Billing",
    operation_id = "resumePlan",
    responses(
        (status = 200, body = TenantSubscription),
        (status = 403, description = "Not allowed; `email_unverified` while the address of the account is not verified."),
        (status = 409, description = "Nothing is paid for (`no_subscription`), nothing was to end or change (`nothing_to_resume`), or nobody knows yet what came of a change (`change_in_progress`).", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "The payment provider does not answer (`payment_provider_unavailable`). Send the same again.", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["billing:write"])),
)]
#[post("/billing/resume")]
async fn resume(app: Data<App>, caller: Caller) -> Result<HttpResponse, Problem> {
    plan_changes::resume(&app, &caller).await
}
