//! Plans that staff grant.

use actix_web::{
    HttpResponse, put,
    web::{Data, Path},
};
use portico_billing::subscription::{PlanGrant, Subscription, Subscriptions};
use portico_kernel::{Permission, TenantId};
use portico_runtime::core::Core;
use portico_tenancy::customer::Customers;
use portico_web::{
    body::Body,
    caller::Caller,
    problem::Problem,
    routing::{Routes, WRITE},
    write::WithJson,
};

/// Adds the route.
pub fn configure(config: &mut Routes<'_, '_>) {
    config.service(WRITE, grant);
}

/// Put a tenant on a plan
///
/// For staff: on the current version of the plan, without a payment, at once, and with a reason that the audit trail keeps. The plan may
/// be one that is not public. Tenants that staff or super admins own are
/// for super admins only. Where the plan includes less than
/// the tenant uses, what is there stays, and nothing is added until there is room.
#[utoipa::path(
    tag = "Customers",
    operation_id = "updateCustomerPlan",
    params(("customerId" = TenantId, Path, description = "Id of the tenant.")),
    request_body = PlanGrant,
    responses((status = 200, body = Subscription)),
    security(("bearer" = ["platform:plans"])),
)]
#[put("/admin/customers/{customerId}/plan")]
async fn grant(
    core: Data<Core>,
    caller: Caller,
    path: Path<TenantId>,
    body: Body<PlanGrant>,
) -> Result<HttpResponse, Problem> {
    caller
        .write(&core, async |work| {
            let id = path.into_inner();
            Customers::new(&mut *work, &caller.0, &core.env).check(id, Permission::PlatformPlans).await?;
            let mut subscriptions = Subscriptions::new(&mut *work, &caller.0, &core.env);
            Ok(HttpResponse::Ok().with_json(&subscriptions.grant(id, body.0).await?))
        })
        .await
}
