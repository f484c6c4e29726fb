//! Branding of a tenant.

use actix_web::{HttpRequest, HttpResponse, delete, get, put, web::Data};
use portico_kernel::{Permission, TenantId};
use portico_tenancy::branding::{Branding, BrandingUpdate, Brandings};
use portico_web::{
    body::Body,
    caller::Caller,
    conditional,
    problem::{Problem, ProblemBody},
    response_cache::About,
    routing::{MERGE, READ, Routes, WRITE},
};

use crate::{flows::assets, state::App};

/// Adds the routes.
pub fn configure(config: &mut Routes<'_, '_>) {
    config.service(READ, read).service(MERGE, update).service(WRITE, reset);
}

/// Read the branding
#[utoipa::path(
    tag = "Branding",
    operation_id = "getBranding",
    params(("tenantId" = TenantId, Path)),
    responses((status = 200, body = Branding, headers(("ETag" = String))), (status = 304, description = "Not changed.")),
    security(("bearer" = ["branding:read"])),
)]
#[get("/tenants/{tenantId}/branding")]
async fn read(app: Data<App>, caller: Caller, request: HttpRequest) -> Result<HttpResponse, Problem> {
    let find = async || {
        let mut repositories = app.core.reader();
        let branding = Brandings::new(&mut *repositories, &caller.0, &app.core.env).get().await?;
        let version = branding.version;
        Ok((branding, Some(version)))
    };
    app.api.responses.respond(&request, &caller.0, (About::Branding, Permission::BrandingRead), find).await
}

/// Update the branding
///
/// Published sites use it from their next deployment on.
#[utoipa::path(
    tag = "Branding",
    operation_id = "updateBranding",
    params(("tenantId" = TenantId, Path), ("If-Match" = Option<String>, Header)),
    request_body = BrandingUpdate,
    responses(
        (status = 200, body = Branding, headers(("ETag" = String))),
        (status = 409, description = "Another request changed it at the same moment.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 412, description = "Changed since it was read.", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["branding:write"])),
)]
#[put("/tenants/{tenantId}/branding")]
async fn update(
    app: Data<App>,
    caller: Caller,
    request: HttpRequest,
    body: Body<BrandingUpdate>,
) -> Result<HttpResponse, Problem> {
    let expected = conditional::expected_version(&request);
    let branding = assets::update_branding(&app, &caller.0, body.0, expected).await?;
    Ok(conditional::updated(branding.version, &branding))
}

/// Reset the branding
///
/// Back to the defaults.
#[utoipa::path(
    tag = "Branding",
    operation_id = "deleteBranding",
    params(("tenantId" = TenantId, Path), ("If-Match" = Option<String>, Header)),
    responses(
        (status = 204, description = "Reset."),
        (status = 409, description = "Another request changed it at the same moment.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 412, description = "Changed since it was read.", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["branding:write"])),
)]
#[delete("/tenants/{tenantId}/branding")]
async fn reset(app: Data<App>, caller: Caller, request: HttpRequest) -> Result<HttpResponse, Problem> {
    let expected = conditional::expected_version(&request);
    caller
        .write(&app.core, async |work| {
            Brandings::new(&mut *work, &caller.0, &app.core.env).reset(expected).await?;
            Ok(HttpResponse::NoContent().finish())
        })
        .await
}
