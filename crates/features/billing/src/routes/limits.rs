//! Limits that staff agree on with one tenant.

use actix_web::{
    HttpResponse, get, put,
    web::{Data, Path},
};
use portico_billing::limits::{Agreements, LimitsUpdate, TenantLimits};
use portico_kernel::{Permission, TenantId};
use portico_runtime::core::Core;
use portico_tenancy::customer::Customers;
use portico_web::{
    body::Body,
    caller::Caller,
    problem::Problem,
    routing::{READ, Routes, WRITE},
    write::WithJson,
};

/// Adds the routes.
pub fn configure(config: &mut Routes<'_, '_>) {
    config.service(READ, read).service(WRITE, set);
}

/// Read the limits of a customer
///
/// For staff: those of the plan, and what was agreed on instead.
#[utoipa::path(
    tag = "Customers",
    operation_id = "getCustomerLimits",
    params(("customerId" = TenantId, Path, description = "Id of the tenant.")),
    responses((status = 200, body = TenantLimits)),
    security(("bearer" = ["platform:limits"])),
)]
#[get("/admin/customers/{customerId}/limits")]
async fn read(core: Data<Core>, caller: Caller, path: Path<TenantId>) -> Result<HttpResponse, Problem> {
    let id = path.into_inner();
    let mut repositories = core.reader();
    Customers::new(&mut *repositories, &caller.0, &core.env).check(id, Permission::PlatformLimits).await?;
    let limits = Agreements::new(&mut *repositories, &caller.0, &core.env).get(id).await?;
    Ok(HttpResponse::Ok().with_json(&limits))
}

/// Agree on other limits with a customer
///
/// For staff: replaces all limits that were agreed on before, at once, and with a reason that the audit trail keeps. They stay when
/// the plan changes; an empty body but for the reason returns to those of the plan. Where the customer uses more, what is there
/// stays, and nothing is added until there is room.
#[utoipa::path(
    tag = "Customers",
    operation_id = "updateCustomerLimits",
    params(("customerId" = TenantId, Path, description = "Id of the tenant.")),
    request_body = LimitsUpdate,
    responses((status = 200, body = TenantLimits)),
    security(("bearer" = ["platform:limits"])),
)]
#[put("/admin/customers/{customerId}/limits")]
async fn set(
    core: Data<Core>,
    caller: Caller,
    path: Path<TenantId>,
    body: Body<LimitsUpdate>,
) -> Result<HttpResponse, Problem> {
    let id = path.into_inner();
    caller
        .write(&core, async |work| {
            Customers::new(&mut *work, &caller.0, &core.env).check(id, Permission::PlatformLimits).await?;
            let limits = Agreements::new(&mut *work, &caller.0, &core.env).set(id, body.0).await?;
            Ok(HttpResponse::Ok().with_json(&limits))
        })
        .await
}
