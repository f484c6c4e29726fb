//! Licenses of a tenant.

use actix_web::{
    HttpResponse, Responder, delete, get, post,
    web::{Data, Path},
};
use portico_kernel::{ActivationId, LicenseId, List};
use portico_licensing::{
    activation::Activation,
    file::LicenseFile,
    owned::{Licenses, OfflineMachine, OwnedLicense},
};
use portico_web::{
    body::Body,
    caller::Caller,
    list::Listed,
    problem::{Problem, ProblemBody},
    query::{Paging, Query},
    routing::{KEYED, READ, Routes, WRITE},
    write::WithJson,
};

use crate::state::App;

/// Adds the routes.
pub fn configure(config: &mut Routes<'_, '_>) {
    config
        .service(READ, list)
        .service(READ, read)
        .service(READ, activations)
        .service(WRITE, free_seat)
        .service(KEYED, rotate_key)
        .service(KEYED, file);
}

/// List licenses
///
/// Those of the active tenant with their keys, newest first, also those that may not be used any more.
#[utoipa::path(
    tag = "Licenses",
    operation_id = "listLicenses",
    params(Paging),
    responses((status = 200, body = List<OwnedLicense>)),
    security(("bearer" = ["licenses:read"])),
)]
#[get("/licenses")]
async fn list(app: Data<App>, caller: Caller, query: Query<Paging>) -> Result<impl Responder, Problem> {
    let page = query.0.request()?;
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
    Ok(HttpResponse::Ok().with_json(&license))
}

/// List the machines of a license
///
/// Each of them takes a seat. The one activated last comes first.
#[utoipa::path(
    tag = "Licenses",
    operation_id = "listLicenseActivations",
    params(("licenseId" = LicenseId, Path, description = "Id of the license."), Paging),
    responses((status = 200, body = List<Activation>)),
    security(("bearer" = ["licenses:read"])),
)]
#[get("/licenses/{licenseId}/activations")]
async fn activations(
    app: Data<App>,
    caller: Caller,
    path: Path<LicenseId>,
    query: Query<Paging>,
) -> Result<impl Responder, Problem> {
    let page = query.0.request()?;
    let mut repositories = app.core.reader();
    let found = Licenses::new(&mut *repositories, &caller.0, &app.core.env, &app.vault)
        .activations(*path, page)
        .await?;
    Ok(Listed(found))
}

/// Free a seat of a license
///
/// For a machine that is gone. As often in a calendar month (UTC) as the license allows. A license file for the machine stays good until
/// it ends (`offlineUntil`).
#[utoipa::path(
    tag = "Licenses",
    operation_id = "deleteLicenseActivation",
    params(
        ("licenseId" = LicenseId, Path, description = "Id of the license."),
        ("activationId" = ActivationId, Path, description = "Id of the machine."),
    ),
    responses(
        (status = 204, description = "The seat is free."),
        (status = 409, description = "As many were freed in this month as the license allows (`too_many_seat_releases`).", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["licenses:write"])),
)]
#[delete("/licenses/{licenseId}/activations/{activationId}")]
async fn free_seat(
    app: Data<App>,
    caller: Caller,
    path: Path<(LicenseId, ActivationId)>,
) -> Result<HttpResponse, Problem> {
    let (id, activation) = path.into_inner();
    caller
        .write(&app.core, async |work| {
            let mut licenses = Licenses::new(&mut *work, &caller.0, &app.core.env, &app.vault);
            licenses.free_seat(id, activation).await?;
            Ok(HttpResponse::NoContent().finish())
        })
        .await
}

/// Replace the key of a license
///
/// For a key that others have seen: it finds nothing from then on. Machines keep their seats, but have to be told the new key.
#[utoipa::path(
    tag = "Licenses",
    operation_id = "rotateLicenseKey",
    params(("licenseId" = LicenseId, Path, description = "Id of the license.")),
    responses(
        (status = 200, body = OwnedLicense),
        (status = 409, description = "The license was revoked (`license_revoked`).", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["licenses:write"])),
)]
#[post("/licenses/{licenseId}/rotate-key")]
async fn rotate_key(app: Data<App>, caller: Caller, path: Path<LicenseId>) -> Result<HttpResponse, Problem> {
    caller
        .write(&app.core, async |work| {
            let mut licenses = Licenses::new(&mut *work, &caller.0, &app.core.env, &app.vault);
            Ok(HttpResponse::Ok().with_json(&licenses.rotate_key(*path).await?))
        })
        .await
}

/// Make a license file
///
/// For a machine without a connection. It takes a seat unless the machine has one, and it is signed (Ed25519): the product verifies it with
/// a public key that is built in, see `GET /licenses/keys`.
#[utoipa::path(
    tag = "Licenses",
    operation_id = "createLicenseFile",
    params(("licenseId" = LicenseId, Path, description = "Id of the license.")),
    request_body = OfflineMachine,
    responses(
        (status = 200, body = LicenseFile),
        (status = 409, description = "The license may not be used (`license_suspended`, `license_expired`, `license_revoked`), has no free seat (`too_many_activations`), or allows no files (`license_offline_not_allowed`); or this installation makes none (`license_files_unavailable`).", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["licenses:write"])),
)]
#[post("/licenses/{licenseId}/file")]
async fn file(
    app: Data<App>,
    caller: Caller,
    path: Path<LicenseId>,
    body: Body<OfflineMachine>,
) -> Result<HttpResponse, Problem> {
    caller
        .write(&app.core, async |work| {
            let mut licenses = Licenses::new(&mut *work, &caller.0, &app.core.env, &app.vault);
            Ok(HttpResponse::Ok().with_json(&licenses.file(*path, &body.0, app.signer.as_deref()).await?))
        })
        .await
}
