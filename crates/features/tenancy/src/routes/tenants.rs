//! Tenants.

use actix_web::{HttpRequest, HttpResponse, Responder, delete, get, http::header, post, put, web::Data};
use portico_billing::subscription::Subscriptions;
use portico_kernel::{List, Permission, TenantId};
use portico_tenancy::{
    lifecycle::SuspendTenant,
    tenant::{NewTenant, Tenant, TenantFilter, TenantSortKey, TenantStatus, TenantUpdate, Tenants},
};
use portico_web::{
    body::Body,
    caller::Caller,
    conditional,
    list::Listed,
    problem::{Problem, ProblemBody},
    query::{Paged, Paging, sort},
    response_cache::About,
    routing::{KEYED, MERGE, READ, Routes, WRITE},
    write::WithJson,
};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::state::App;

/// Keys of the sort parameter of lists of tenants.
pub(super) const SORT_KEYS: [(&str, TenantSortKey); 3] = [
    ("createdAt", TenantSortKey::CreatedAt),
    ("updatedAt", TenantSortKey::UpdatedAt),
    ("name", TenantSortKey::Name),
];

/// Adds the routes.
pub fn configure(config: &mut Routes<'_, '_>) {
    config
        .service(READ, list)
        .service(KEYED, create)
        .service(READ, read)
        .service(MERGE, update)
        .service(WRITE, remove)
        .service(KEYED, restore)
        .service(KEYED, suspend)
        .service(KEYED, reinstate);
}

/// Query of the list of tenants.
#[derive(Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
struct ListTenants {
    /// A part of the name or the subdomain.
    #[param(example = "luz")]
    q: Option<String>,
    /// Only those with this status.
    status: Option<TenantStatus>,
    /// Only those on this plan, by its id.
    #[param(example = "free")]
    plan: Option<String>,
    /// `createdAt` (default, newest first), `updatedAt` or `name`; with `-` in front largest first.
    #[param(example = "-createdAt")]
    sort: Option<String>,
}

/// List tenants
///
/// The tenants that the caller belongs to, newest first; all tenants for super admins.
#[utoipa::path(
    tag = "Tenants",
    operation_id = "listTenants",
    params(ListTenants, Paging),
    responses((status = 200, body = List<Tenant>)),
    security(("bearer" = [])),
)]
#[get("/tenants")]
async fn list(app: Data<App>, caller: Caller, query: Paged<ListTenants>) -> Result<impl Responder, Problem> {
    let Paged(ListTenants { q, status, plan, sort: by }, paging) = query;
    let page = paging.request()?;
    let filter = TenantFilter { q, status, plan, sort: sort(by.as_deref(), &SORT_KEYS)? };
    let mut repositories = app.core.reader();
    let tenants = Tenants::new(&mut *repositories, &caller.0, &app.core.env).list(filter, page).await?;
    Ok(Listed(tenants))
}

/// Create a tenant
///
/// With default branding, the caller as its owner, and the free plan.
#[utoipa::path(
    tag = "Tenants",
    operation_id = "createTenant",
    request_body = NewTenant,
    responses(
        (status = 201, body = Tenant, headers(("Location" = String), ("ETag" = String))),
        (status = 409, description = "The subdomain is taken, or the caller owns too many tenants.", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearer" = [])),
)]
#[post("/tenants")]
async fn create(app: Data<App>, caller: Caller, body: Body<NewTenant>) -> Result<HttpResponse, Problem> {
    let (owner, _) = caller.0.require_user()?;
    caller
        .write(&app.core, async |work| {
            let most = app.settings.max_owned_tenants;
            let tenant =
                Tenants::new(&mut *work, &caller.0, &app.core.env).create(body.0, owner, most).await?;
            Subscriptions::new(&mut *work, &caller.0, &app.core.env).start_free(tenant.id, owner).await?;
            Ok(conditional::created(&format!("/api/v1/tenants/{}", tenant.id), tenant.version, &tenant))
        })
        .await
}

/// Read a tenant
#[utoipa::path(
    tag = "Tenants",
    operation_id = "getTenant",
    params(("tenantId" = TenantId, Path)),
    responses((status = 200, body = Tenant, headers(("ETag" = String))), (status = 304, description = "Not changed.")),
    security(("bearer" = ["tenant:read"])),
)]
#[get("/tenants/{tenantId}")]
async fn read(app: Data<App>, caller: Caller, request: HttpRequest) -> Result<HttpResponse, Problem> {
    let find = async || {
        let mut repositories = app.core.reader();
        let tenant = Tenants::new(&mut *repositories, &caller.0, &app.core.env).get().await?;
        let version = tenant.version;
        Ok((tenant, Some(version)))
    };
    app.api.responses.respond(&request, &caller.0, (About::Tenant, Permission::TenantRead), find).await
}

/// Update a tenant
#[utoipa::path(
    tag = "Tenants",
    operation_id = "updateTenant",
    params(("tenantId" = TenantId, Path), ("If-Match" = Option<String>, Header)),
    request_body = TenantUpdate,
    responses(
        (status = 200, body = Tenant, headers(("ETag" = String))),
        (status = 409, description = "The subdomain is taken, or another request changed the tenant at the same moment.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 412, description = "Changed since it was read.", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["tenant:write"])),
)]
#[put("/tenants/{tenantId}")]
async fn update(
    app: Data<App>,
    caller: Caller,
    request: HttpRequest,
    body: Body<TenantUpdate>,
) -> Result<HttpResponse, Problem> {
    let expected = conditional::expected_version(&request);
    caller
        .write(&app.core, async |work| {
            let tenant = Tenants::new(&mut *work, &caller.0, &app.core.env).update(body.0, expected).await?;
            Ok(conditional::updated(tenant.version, &tenant))
        })
        .await
}

/// Delete a tenant
///
/// For owners. It is deleted after a grace period (14 days, unless the operator configured another one; then this answers
/// 202). Until then its sites are offline, its members can only read, and an owner can restore it. Without a grace period
/// it is deleted at once (204). The audit trail stays, and the subdomain stays taken.
#[utoipa::path(
    tag = "Tenants",
    operation_id = "deleteTenant",
    params(("tenantId" = TenantId, Path), ("If-Match" = Option<String>, Header)),
    responses(
        (status = 202, description = "Will be deleted at `deleteAt`.", body = Tenant, headers(("Location" = String), ("ETag" = String))),
        (status = 204, description = "Deleted."),
        (status = 409, description = "It is about to be deleted already, or another request changed it at the same moment.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 412, description = "Changed since it was read.", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["tenant:delete"])),
)]
#[delete("/tenants/{tenantId}")]
async fn remove(app: Data<App>, caller: Caller, request: HttpRequest) -> Result<HttpResponse, Problem> {
    let expected = conditional::expected_version(&request);
    caller
        .write(&app.core, async |work| {
            let tenant = Tenants::new(&mut *work, &caller.0, &app.core.env)
                .delete(expected, app.settings.grace())
                .await?;
            if tenant.status == TenantStatus::Deleted {
                return Ok(HttpResponse::NoContent().finish());
            }
            Ok(HttpResponse::Accepted()
                .insert_header((header::LOCATION, format!("/api/v1/tenants/{}", tenant.id)))
                .insert_header((header::ETAG, conditional::etag(tenant.version)))
                .with_json(&tenant))
        })
        .await
}

/// Restore a tenant
///
/// Cancels the scheduled deletion; for owners.
#[utoipa::path(
    tag = "Tenants",
    operation_id = "restoreTenant",
    params(("tenantId" = TenantId, Path)),
    responses(
        (status = 200, body = Tenant, headers(("ETag" = String))),
        (status = 409, description = "It is not about to be deleted.", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["tenant:delete"])),
)]
#[post("/tenants/{tenantId}/restore")]
async fn restore(app: Data<App>, caller: Caller) -> Result<HttpResponse, Problem> {
    caller
        .write(&app.core, async |work| {
            let tenant = Tenants::new(&mut *work, &caller.0, &app.core.env).restore().await?;
            Ok(conditional::updated(tenant.version, &tenant))
        })
        .await
}

/// Suspend a tenant
///
/// By the operator. Members and keys lose access within a second, and its sites answer 503.
#[utoipa::path(
    tag = "Tenants",
    operation_id = "suspendTenant",
    params(("tenantId" = TenantId, Path)),
    request_body = SuspendTenant,
    responses(
        (status = 200, body = Tenant, headers(("ETag" = String))),
        (status = 409, description = "It is about to be deleted.", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["platform:tenants"])),
)]
#[post("/tenants/{tenantId}/suspend")]
async fn suspend(app: Data<App>, caller: Caller, body: Body<SuspendTenant>) -> Result<HttpResponse, Problem> {
    caller
        .write(&app.core, async |work| {
            let tenant = Tenants::new(&mut *work, &caller.0, &app.core.env).suspend(body.0).await?;
            Ok(conditional::updated(tenant.version, &tenant))
        })
        .await
}

/// Reinstate a tenant
///
/// By the operator.
#[utoipa::path(
    tag = "Tenants",
    operation_id = "reinstateTenant",
    params(("tenantId" = TenantId, Path)),
    responses(
        (status = 200, body = Tenant, headers(("ETag" = String))),
        (status = 409, description = "It is about to be deleted.", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["platform:tenants"])),
)]
#[post("/tenants/{tenantId}/reinstate")]
async fn reinstate(app: Data<App>, caller: Caller) -> Result<HttpResponse, Problem> {
    caller
        .write(&app.core, async |work| {
            let tenant = Tenants::new(&mut *work, &caller.0, &app.core.env).reinstate().await?;
            Ok(conditional::updated(tenant.version, &tenant))
        })
        .await
}
