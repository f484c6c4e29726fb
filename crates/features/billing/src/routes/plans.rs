//! Plans on offer, and the subscription of a tenant.

use actix_web::{HttpResponse, get, http::header, web::Data};
use portico_billing::{
    plan::{Plan, Plans},
    tenant_subscription::{TenantSubscription, TenantSubscriptions},
};
use portico_kernel::{List, PageRequest};
use portico_runtime::core::Core;
use portico_web::{
    caller::Caller,
    problem::Problem,
    routing::{READ, Routes},
    write::WithJson,
};

/// Adds the routes.
pub fn configure(config: &mut Routes<'_, '_>) {
    config.service(READ.for_anyone(), list).service(READ, subscription);
}

/// List plans
///
/// The plans on offer in their current versions, cheapest first. Public: no sign-in is needed.
#[utoipa::path(tag = "Billing", operation_id = "listPlans", responses((status = 200, body = List<Plan>)))]
#[get("/billing/plans")]
async fn list(core: Data<Core>) -> Result<HttpResponse, Problem> {
    let plans = Plans::new(&mut *core.reader()).list().await?;
    let (request, total) = (PageRequest { page: 1, limit: PageRequest::MAX_LIMIT }, plans.len() as u64);
    Ok(HttpResponse::Ok()
        .insert_header((header::CACHE_CONTROL, "public, max-age=300"))
        .with_json(&List::new(plans, request, total)))
}

/// Read the subscription
///
/// The plan of the active tenant, the version of it that was bought (its prices and limits hold for the tenant, also after staff
/// have changed what the plan is sold with), and what is paid for it.
#[utoipa::path(tag = "Billing", operation_id = "getSubscription", responses((status = 200, body = TenantSubscription)), security(("bearer" = ["billing:read"])))]
#[get("/billing/subscription")]
async fn subscription(core: Data<Core>, caller: Caller) -> Result<HttpResponse, Problem> {
    let mut repositories = core.reader();
    let subscription = TenantSubscriptions::new(&mut *repositories).get(&caller.0, core.env.now()).await?;
    Ok(HttpResponse::Ok().with_json(&subscription))
}
