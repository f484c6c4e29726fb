//! Settings of a tenant, and its dealer.

use actix_web::{HttpRequest, HttpResponse, delete, get, put, web::Data};
use portico_kernel::TenantId;
use portico_tenancy::{
    dealer::{Dealer, DealerUpdate, Dealers},
    settings::{Settings, TenantSettings, TenantSettingsUpdate},
};
use portico_web::{
    body::Body,
    caller::Caller,
    conditional,
    problem::Problem,
    routing::{MERGE, READ, Routes, WRITE},
};

use crate::state::App;

/// Adds the routes.
pub fn configure(config: &mut Routes<'_, '_>) {
    config
        .service(READ, read_settings)
        .service(MERGE, update_settings)
        .service(READ, read_dealer)
        .service(WRITE, put_dealer)
        .service(WRITE, remove_dealer);
}

/// Read the settings of a tenant
#[utoipa::path(
    tag = "Tenants",
    operation_id = "getTenantSettings",
    params(("tenantId" = TenantId, Path)),
    responses(
        (status = 200, body = TenantSettings, headers(("ETag" = String))),
        (status = 304, description = "Not changed."),
    ),
    security(("bearer" = ["tenant:read"])),
)]
#[get("/tenants/{tenantId}/settings")]
async fn read_settings(
    app: Data<App>,
    caller: Caller,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let settings = Settings::new(&mut *app.core.reader(), &caller.0, &app.core.env).get().await?;
    conditional::resource(&request, settings.version, &settings)
}

/// Update the settings of a tenant
///
/// Absent fields stay unchanged; `null` clears an optional one.
#[utoipa::path(
    tag = "Tenants",
    operation_id = "updateTenantSettings",
    params(("tenantId" = TenantId, Path), ("If-Match" = Option<String>, Header)),
    request_body = TenantSettingsUpdate,
    responses(
        (status = 200, body = TenantSettings, headers(("ETag" = String))),
        (status = 403, description = "Not allowed; `email_unverified` for another `supportEmail` while the address of the account, or of the user who made the API key, is not verified."),
        (status = 409, description = "Another request changed them at the same moment."),
        (status = 412, description = "Changed since they were read."),
    ),
    security(("bearer" = ["tenant:write"])),
)]
#[put("/tenants/{tenantId}/settings")]
async fn update_settings(
    app: Data<App>,
    caller: Caller,
    request: HttpRequest,
    body: Body<TenantSettingsUpdate>,
) -> Result<HttpResponse, Problem> {
    let expected = conditional::expected_version(&request);
    caller
        .write(&app.core, async |work| {
            let settings =
                Settings::new(&mut *work, &caller.0, &app.core.env).update(body.0, expected).await?;
            Ok(conditional::updated(settings.version, &settings))
        })
        .await
}

/// Read the dealer of a tenant
///
/// 404 also where the tenant has none.
#[utoipa::path(
    tag = "Tenants",
    operation_id = "getDealer",
    params(("tenantId" = TenantId, Path)),
    responses(
        (status = 200, body = Dealer, headers(("ETag" = String))),
        (status = 304, description = "Not changed."),
    ),
    security(("bearer" = ["tenant:read"])),
)]
#[get("/tenants/{tenantId}/dealer")]
async fn read_dealer(app: Data<App>, caller: Caller, request: HttpRequest) -> Result<HttpResponse, Problem> {
    let dealer = Dealers::new(&mut *app.core.reader(), &caller.0, &app.core.env).get().await?;
    let dealer = dealer.ok_or_else(Problem::not_found)?;
    conditional::resource(&request, dealer.version, &dealer)
}

/// Set the dealer of a tenant
///
/// By the operator. Absent fields stay unchanged; `null` clears an optional one.
#[utoipa::path(
    tag = "Tenants",
    operation_id = "updateDealer",
    params(("tenantId" = TenantId, Path), ("If-Match" = Option<String>, Header)),
    request_body = DealerUpdate,
    responses(
        (status = 200, body = Dealer, headers(("ETag" = String))),
        (status = 409, description = "Another request changed it at the same moment."),
        (status = 412, description = "Changed since it was read."),
    ),
    security(("bearer" = ["platform:tenants"])),
)]
#[put("/tenants/{tenantId}/dealer")]
async fn put_dealer(
    app: Data<App>,
    caller: Caller,
    request: HttpRequest,
    body: Body<DealerUpdate>,
) -> Result<HttpResponse, Problem> {
    let expected = conditional::expected_version(&request);
    caller
        .write(&app.core, async |work| {
            let dealer = Dealers::new(&mut *work, &caller.0, &app.core.env).put(body.0, expected).await?;
            Ok(conditional::updated(dealer.version, &dealer))
        })
        .await
}

/// Remove the dealer of a tenant
#[utoipa::path(
    tag = "Tenants",
    operation_id = "deleteDealer",
    params(("tenantId" = TenantId, Path), ("If-Match" = Option<String>, Header)),
    responses(
        (status = 204, description = "There is none any more."),
        (status = 412, description = "Changed since it was read."),
    ),
    security(("bearer" = ["platform:tenants"])),
)]
#[delete("/tenants/{tenantId}/dealer")]
async fn remove_dealer(
    app: Data<App>,
    caller: Caller,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let expected = conditional::expected_version(&request);
    caller
        .write(&app.core, async |work| {
            Dealers::new(&mut *work, &caller.0, &app.core.env).remove(expected).await?;
            Ok(HttpResponse::NoContent().finish())
        })
        .await
}
