//! Licenses of a tenant.

use actix_web::{
    HttpResponse, Responder, get,
    web::{Data, Path},
};
use portico_kernel::{LicenseId, List};
use portico_licensing::{
    activation::Activation,
    owned::{Licenses, OwnedLicense},
};
use portico_web::{
    caller::Caller,
    list::Listed,
    problem::Problem,
    query::{Query, page_request},
    routing::{READ, Routes},
};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::state::App;

/// Adds the routes.
pub fn configure(config: &mut Routes<'_, '_>) {
    config.service(READ, list).service(READ, read).service(READ, activations);
}

/// Query of the lists of licenses and of their machines.
#[derive(Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
struct ListLicenses {
    /// From 1.
    #[param(minimum = 1, maximum = 1_000_000)]
    page: Option<u64>,
    /// Items on a page, 20 where absent.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u64>,
}

/// List licenses
///
/// Those of the active tenant with their keys, newest first, also those that may not be used any more.
#[utoipa::path(
    tag = "Licenses",
    operation_id = "listLicenses",
    params(ListLicenses),
    responses((status = 200, body = List<OwnedLicense>)),
    security(("bearer" = ["licenses:read"])),
)]
#[get("/licenses")]
async fn list(app: Data<App>, caller: Caller, query: Query<ListLicenses>) -> Result<impl Responder, Problem> {
    let page = page_request(query.0.page, query.0.limit)?;
    let mut repositories = app.core.reader();
    let found = Licenses::new(&mut *repositories, &caller.0, &app.core.env, &app.vault).list(page).await?;
    Ok(Listed(found))
}

/// Read a license
#[utoipa::path(
    tag = "Licenses",
    operation_id = "getLicense",
    params(("licenseId" = LicenseId, Path, description = "Id of the license.")),
    responses((status = 200, body = OwnedLicense)),
    security(("bearer" = ["licenses:read"])),
)]
#[get("/licenses/{licenseId}")]
async fn read(app: Data<App>, caller: Caller, path: Path<LicenseId>) -> Result<HttpResponse, Problem> {
    let mut repositories = app.core.reader();
    let license = Licenses::new(&mut *repositories, &caller.0, &app.core.env, &app.vault).get(*path).await?;
    Ok(HttpResponse::Ok().json(license))
}

/// List the machines of a license
///
/// Each of them takes a seat. The one activated last comes first.
#[utoipa::path(
    tag = "Licenses",
    operation_id = "listLicenseActivations",
    params(("licenseId" = LicenseId, Path, description = "Id of the license."), ListLicenses),
    responses((status = 200, body = List<Activation>)),
    security(("bearer" = ["licenses:read"])),
)]
#[get("/licenses/{licenseId}/activations")]
async fn activations(
    app: Data<App>,
    caller: Caller,
    path: Path<LicenseId>,
    query: Query<ListLicenses>,
) -> Result<impl Responder, Problem> {
    let page = page_request(query.0.page, query.0.limit)?;
    let mut repositories = app.core.reader();
    let found = Licenses::new(&mut *repositories, &caller.0, &app.core.env, &app.vault)
        .activations(*path, page)
        .await?;
    Ok(Listed(found))
}
