//! The audit trail.

use actix_web::{HttpResponse, get, web::Data};
use portico_kernel::{CursorPage, CursorRequest, TenantId, Timestamp};
use portico_tenancy::audit::{Audit, AuditEntry, AuditFilter};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_actix_web::service_config::ServiceConfig;

use crate::{
    http::{
        caller::Caller,
        problem::Problem,
        query::{Query, cursor_request},
    },
    state::App,
};

/// Adds the routes.
pub fn configure(config: &mut ServiceConfig<'_>) {
    config.service(of_tenant).service(of_all);
}

/// Which entries to list.
#[derive(Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
struct ListEntries {
    /// Kind of thing.
    #[param(example = "page")]
    resource_type: Option<String>,
    /// Id of the thing.
    #[param(format = "uuid")]
    resource_id: Option<String>,
    /// What happened.
    #[serde(rename = "type")]
    #[param(example = "page.updated")]
    kind: Option<String>,
    /// Id of the person or key that did it.
    #[param(format = "uuid")]
    actor_id: Option<String>,
    /// Id of the request that caused it.
    request_id: Option<String>,
    /// Not before this time.
    from: Option<Timestamp>,
    /// Before this time.
    to: Option<Timestamp>,
    /// The `nextCursor` of the piece before.
    #[param(format = "uuid")]
    cursor: Option<String>,
    /// Items in a piece, 20 where absent.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u64>,
}

impl ListEntries {
    fn into_parts(self) -> Result<(AuditFilter, CursorRequest), Problem> {
        let Self { resource_type, resource_id, kind, actor_id, request_id, from, to, cursor, limit } = self;
        let filter = AuditFilter { resource_type, resource_id, kind, actor_id, request_id, from, to };
        Ok((filter, cursor_request(cursor, limit)?))
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
    security(("bearer" = [])),
)]
#[get("/tenants/{tenantId}/audit")]
async fn of_tenant(
    app: Data<App>,
    caller: Caller,
    query: Query<ListEntries>,
) -> Result<HttpResponse, Problem> {
    let (filter, request) = query.0.into_parts()?;
    let mut repositories = app.reader();
    let entries = Audit::new(&mut *repositories, &caller.0).list(filter, request).await?;
    Ok(HttpResponse::Ok().json(entries))
}

/// Read the audit trail of the platform
///
/// What happened in all tenants and outside of them; for super admins.
#[utoipa::path(
    tag = "Audit",
    operation_id = "listAudit",
    params(ListEntries),
    responses((status = 200, body = CursorPage<AuditEntry>)),
    security(("bearer" = [])),
)]
#[get("/audit")]
async fn of_all(app: Data<App>, caller: Caller, query: Query<ListEntries>) -> Result<HttpResponse, Problem> {
    let (filter, request) = query.0.into_parts()?;
    let mut repositories = app.reader();
    let entries = Audit::new(&mut *repositories, &caller.0).list_all(filter, request).await?;
    Ok(HttpResponse::Ok().json(entries))
}
