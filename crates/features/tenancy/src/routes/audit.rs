//! The audit trail.

use actix_web::{HttpResponse, Responder, get, web::Data};
use portico_kernel::{CursorPage, CursorRequest, FieldError, TenantId, Timestamp, event::ActorKind};
use portico_tenancy::{
    audit::{Audit, AuditEntry, AuditFilter},
    chain::{Chains, Verification},
};
use portico_web::{
    caller::Caller,
    list::Listed,
    live_caller::LiveCaller,
    problem::Problem,
    query::{Query, cursor_request},
    routing::{READ, Routes},
    write::WithJson,
};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::{
    flows::audit_export::{self, Trail},
    state::App,
};

/// Adds the routes.
pub fn configure(config: &mut Routes<'_, '_>) {
    config
        .service(READ.by_ticket(), export_of_tenant)
        .service(READ, verify_tenant)
        .service(READ, of_tenant)
        .service(READ.by_ticket(), export_of_all)
        .service(READ, verify_platform)
        .service(READ, of_all);
}

/// Query of the list of entries.
#[derive(Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
struct ListEntries {
    /// Type of the resource.
    #[param(example = "page")]
    resource_type: Option<String>,
    /// Id of the resource.
    #[param(format = "uuid")]
    resource_id: Option<String>,
    /// Type of the event.
    #[serde(rename = "type")]
    #[param(example = "page.updated")]
    kind: Option<String>,
    /// Id of the user or key that caused it.
    #[param(format = "uuid")]
    actor_id: Option<String>,
    /// User, key, or Portico itself.
    actor_kind: Option<ActorKind>,
    /// Id of the request that caused it.
    request_id: Option<String>,
    /// Not before this time.
    from: Option<Timestamp>,
    /// Before this time.
    to: Option<Timestamp>,
    /// The `nextCursor` of the previous page.
    #[param(format = "uuid")]
    cursor: Option<String>,
    /// Items on a page, 20 where absent.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u64>,
}

impl ListEntries {
    fn into_parts(self) -> Result<(AuditFilter, CursorRequest), Problem> {
        let Self {
            resource_type,
            resource_id,
            kind,
            actor_id,
            actor_kind,
            request_id,
            from,
            to,
            cursor,
            limit,
        } = self;
        let filter =
            AuditFilter { resource_type, resource_id, kind, actor_id, actor_kind, request_id, from, to };
        Ok((filter, cursor_request(cursor, limit)?))
    }
}

/// Query of the export.
#[derive(Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
struct ExportEntries {
    /// Format of the export; `csv` where absent.
    #[param(example = "csv", pattern = "^csv$")]
    format: Option<String>,
    /// Type of the resource.
    #[param(example = "page")]
    resource_type: Option<String>,
    /// Id of the resource.
    #[param(format = "uuid")]
    resource_id: Option<String>,
    /// Type of the event.
    #[serde(rename = "type")]
    #[param(example = "page.updated")]
    kind: Option<String>,
    /// Id of the user or key that caused it.
    #[param(format = "uuid")]
    actor_id: Option<String>,
    /// User, key, or Portico itself.
    actor_kind: Option<ActorKind>,
    /// Id of the request that caused it.
    request_id: Option<String>,
    /// Not before this time.
    from: Option<Timestamp>,
    /// Before this time.
    to: Option<Timestamp>,
}

impl ExportEntries {
    fn into_filter(self) -> Result<AuditFilter, Problem> {
        let Self { format, resource_type, resource_id, kind, actor_id, actor_kind, request_id, from, to } =
            self;
        if format.is_some_and(|format| format != "csv") {
            let error = FieldError::new("format", "invalid_value", "Use csv.");
            return Err(Problem::invalid(vec![error]));
        }
        Ok(AuditFilter { resource_type, resource_id, kind, actor_id, actor_kind, request_id, from, to })
    }
}

/// Read the audit trail of a tenant
///
/// Who did what, when, from where, with the resource before and after; newest first.
#[utoipa::path(
    tag = "Audit",
    operation_id = "listTenantAudit",
    params(("tenantId" = TenantId, Path), ListEntries),
    responses((status = 200, body = CursorPage<AuditEntry>)),
    security(("bearer" = ["audit:read"])),
)]
#[get("/tenants/{tenantId}/audit")]
async fn of_tenant(
    app: Data<App>,
    caller: Caller,
    query: Query<ListEntries>,
) -> Result<impl Responder, Problem> {
    let (filter, request) = query.0.into_parts()?;
    let mut repositories = app.core.reader();
    let entries = Audit::new(&mut *repositories, &caller.0).list(filter, request).await?;
    Ok(Listed(entries))
}

/// Export the audit trail of a tenant
///
/// All entries that match, newest first, as CSV (RFC 4180) with a header line. A cell that a spreadsheet would take for a
/// formula is prefixed with an apostrophe. `before` and `after` are JSON.
#[utoipa::path(
    tag = "Audit",
    operation_id = "exportTenantAudit",
    params(("tenantId" = TenantId, Path), ExportEntries),
    responses((
        status = 200, body = String, content_type = "text/csv",
        headers(("Content-Disposition" = String, description = "Name of the file.")),
        example = json!("id,time,type,actorKind,…\r\n0199f3c2-6d4e-7c3a-9d7c-5a8e1f2b3c4d,2026-11-22T10:00:00Z,page.updated,user,…\r\n"),
    )),
    security(("bearer" = ["audit:read"])),
)]
#[get("/tenants/{tenantId}/audit/export")]
async fn export_of_tenant(
    app: Data<App>,
    _caller: Caller,
    live_caller: LiveCaller,
    query: Query<ExportEntries>,
) -> Result<HttpResponse, Problem> {
    audit_export::answer(app, live_caller, Trail::Tenant, query.0.into_filter()?).await
}

/// Verify the audit trail of a tenant
///
/// Compares every entry with its seal in the hash chain of the tenant. Entries are sealed within seconds. Keep `head`: a
/// chain that was rewritten as a whole no longer contains it.
#[utoipa::path(
    tag = "Audit",
    operation_id = "verifyTenantAudit",
    params(("tenantId" = TenantId, Path)),
    responses((status = 200, body = Verification)),
    security(("bearer" = ["audit:read"])),
)]
#[get("/tenants/{tenantId}/audit/verify")]
async fn verify_tenant(app: Data<App>, caller: Caller) -> Result<HttpResponse, Problem> {
    let mut repositories = app.core.reader();
    let found = Chains::new(&mut *repositories, &caller.0).verify().await?;
    Ok(HttpResponse::Ok().with_json(&found))
}

/// Read the audit trail of the platform
///
/// Events of all tenants and those outside of any tenant; for super admins.
#[utoipa::path(
    tag = "Audit",
    operation_id = "listAudit",
    params(ListEntries),
    responses((status = 200, body = CursorPage<AuditEntry>)),
    security(("bearer" = ["platform:audit"])),
)]
#[get("/audit")]
async fn of_all(
    app: Data<App>,
    caller: Caller,
    query: Query<ListEntries>,
) -> Result<impl Responder, Problem> {
    let (filter, request) = query.0.into_parts()?;
    let mut repositories = app.core.reader();
    let entries = Audit::new(&mut *repositories, &caller.0).list_all(filter, request).await?;
    Ok(Listed(entries))
}

/// Export the audit trail of the platform
///
/// As for a tenant, over all tenants and the events outside of any tenant; for super admins.
#[utoipa::path(
    tag = "Audit",
    operation_id = "exportAudit",
    params(ExportEntries),
    responses((
        status = 200, body = String, content_type = "text/csv",
        headers(("Content-Disposition" = String, description = "Name of the file.")),
        example = json!("id,time,type,actorKind,…\r\n0199f3c2-6d4e-7c3a-9d7c-5a8e1f2b3c4d,2026-11-22T10:00:00Z,page.updated,user,…\r\n"),
    )),
    security(("bearer" = ["platform:audit"])),
)]
#[get("/audit/export")]
async fn export_of_all(
    app: Data<App>,
    _caller: Caller,
    live_caller: LiveCaller,
    query: Query<ExportEntries>,
) -> Result<HttpResponse, Problem> {
    audit_export::answer(app, live_caller, Trail::All, query.0.into_filter()?).await
}

/// Verify the audit trail of the platform
///
/// The chain of events outside of any tenant, such as failed sign-ins; every tenant's trail has its own chain. For super
/// admins.
#[utoipa::path(
    tag = "Audit",
    operation_id = "verifyPlatformAudit",
    responses((status = 200, body = Verification)),
    security(("bearer" = ["platform:audit"])),
)]
#[get("/audit/verify")]
async fn verify_platform(app: Data<App>, caller: Caller) -> Result<HttpResponse, Problem> {
    let mut repositories = app.core.reader();
    let found = Chains::new(&mut *repositories, &caller.0).verify_platform().await?;
    Ok(HttpResponse::Ok().with_json(&found))
}
