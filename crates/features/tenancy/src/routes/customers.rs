//! Customers, for staff.

use actix_web::{
    HttpResponse, Responder, get, post,
    web::{Data, Path},
};
use portico_billing::{
    limits::{Agreements, TenantLimits},
    quota::{Quotas, Usage},
};
use portico_kernel::{List, TenantId};
use portico_tenancy::{
    customer::{Customer, Customers, ReactivateCustomer},
    lifecycle::SuspendTenant,
    tenant::{Tenant, TenantFilter, TenantStatus},
};
use portico_web::{
    body::Body,
    caller::Caller,
    conditional,
    list::Listed,
    problem::{Problem, ProblemBody},
    query::{Paged, Paging, sort},
    routing::{KEYED, READ, Routes},
    write::WithJson,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::tenants::SORT_KEYS;
use crate::state::App;

/// Adds the routes.
pub fn configure(config: &mut Routes<'_, '_>) {
    config.service(READ, list).service(READ, read).service(KEYED, suspend).service(KEYED, reactivate);
}

/// Query of the list of customers.
#[derive(Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
struct ListCustomers {
    /// A part of the name, the subdomain, a domain, or of the name or the address of a member; or the whole id of anything that belongs to
    /// the customer, or the whole number of an invoice.
    #[param(example = "luz", max_length = 100)]
    q: Option<String>,
    /// Only those with this status.
    status: Option<TenantStatus>,
    /// Only those on this plan, by its id.
    #[param(example = "free", max_length = 100)]
    plan: Option<String>,
    /// `createdAt` (default, newest first), `updatedAt` or `name`; with `-` in front largest first.
    #[param(example = "-createdAt")]
    sort: Option<String>,
}

/// A customer with usage and limits.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct CustomerDetails {
    #[serde(flatten)]
    customer: Customer,
    /// Each meter against its limit; empty without a plan in force.
    usage: Vec<Usage>,
    /// The limits, and what was agreed on instead of those of the plan; null without a plan in force.
    limits: Option<TenantLimits>,
}

/// List customers
///
/// For staff: the tenants with their owners, newest first. Tenants that staff or super admins own are listed for super admins only.
#[utoipa::path(
    tag = "Customers",
    operation_id = "listCustomers",
    params(ListCustomers, Paging),
    responses((status = 200, body = List<Customer>)),
    security(("bearer" = ["platform:customers"])),
)]
#[get("/admin/customers")]
async fn list(
    app: Data<App>,
    caller: Caller,
    query: Paged<ListCustomers>,
) -> Result<impl Responder, Problem> {
    let Paged(ListCustomers { q, status, plan, sort: by }, paging) = query;
    let page = paging.request()?;
    let filter = TenantFilter { q, status, plan, sort: sort(by.as_deref(), &SORT_KEYS)? };
    let mut repositories = app.core.reader();
    let customers = Customers::new(&mut *repositories, &caller.0, &app.core.env).list(filter, page).await?;
    Ok(Listed(customers))
}

/// Read a customer
///
/// For staff: with usage and limits.
#[utoipa::path(
    tag = "Customers",
    operation_id = "getCustomer",
    params(("customerId" = TenantId, Path, description = "Id of the tenant.")),
    responses((status = 200, body = CustomerDetails)),
    security(("bearer" = ["platform:customers"])),
)]
#[get("/admin/customers/{customerId}")]
async fn read(app: Data<App>, caller: Caller, path: Path<TenantId>) -> Result<HttpResponse, Problem> {
    let (id, env) = (path.into_inner(), &app.core.env);
    let mut repositories = app.core.reader();
    let customer = Customers::new(&mut *repositories, &caller.0, env).get(id).await?;
    let usage = Quotas::new(&mut *repositories).usage_of(&caller.0, id, env.now()).await?;
    let limits = Agreements::new(&mut *repositories, &caller.0, env).find(id).await?;
    Ok(HttpResponse::Ok().with_json(&CustomerDetails { customer, usage, limits }))
}

/// Suspend a customer
///
/// For staff. Members and keys lose access within a second, the sites answer 503, and the owners are notified.
/// One that is suspended already stays as it is.
#[utoipa::path(
    tag = "Customers",
    operation_id = "suspendCustomer",
    params(("customerId" = TenantId, Path, description = "Id of the tenant.")),
    request_body = SuspendTenant,
    responses(
        (status = 200, body = Tenant, headers(("ETag" = String))),
        (status = 409, description = "It is about to be deleted.", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["platform:suspensions"])),
)]
#[post("/admin/customers/{customerId}/suspend")]
async fn suspend(
    app: Data<App>,
    caller: Caller,
    path: Path<TenantId>,
    body: Body<SuspendTenant>,
) -> Result<HttpResponse, Problem> {
    caller
        .write(&app.core, async |work| {
            let mut customers = Customers::new(&mut *work, &caller.0, &app.core.env);
            let tenant = customers.suspend(path.into_inner(), body.0).await?;
            Ok(conditional::updated(tenant.version, &tenant))
        })
        .await
}

/// Reactivate a customer
///
/// For staff. Ends the suspension, with a reason that the audit trail keeps. An active one stays as it is.
#[utoipa::path(
    tag = "Customers",
    operation_id = "reactivateCustomer",
    params(("customerId" = TenantId, Path, description = "Id of the tenant.")),
    request_body = ReactivateCustomer,
    responses(
        (status = 200, body = Tenant, headers(("ETag" = String))),
        (status = 409, description = "It is about to be deleted.", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["platform:suspensions"])),
)]
#[post("/admin/customers/{customerId}/reactivate")]
async fn reactivate(
    app: Data<App>,
    caller: Caller,
    path: Path<TenantId>,
    body: Body<ReactivateCustomer>,
) -> Result<HttpResponse, Problem> {
    caller
        .write(&app.core, async |work| {
            let mut customers = Customers::new(&mut *work, &caller.0, &app.core.env);
            let tenant = customers.reactivate(path.into_inner(), body.0).await?;
            Ok(conditional::updated(tenant.version, &tenant))
        })
        .await
}
