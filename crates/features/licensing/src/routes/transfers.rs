//! Licenses that are given to other tenants.

use actix_web::{
    HttpResponse, delete, post,
    web::{Data, Path},
};
use portico_kernel::LicenseId;
use portico_licensing::{
    owned::OwnedLicense,
    transfer::{AcceptLicense, LicenseTransfers, OfferedLicense},
};
use portico_web::{
    body::Body,
    caller::Caller,
    problem::{Problem, ProblemBody},
    routing::{KEYED, Routes, WRITE},
    write::WithJson,
};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::{flows::transfer, state::App};

/// Adds the routes.
pub fn configure(config: &mut Routes<'_, '_>) {
    // The first one is not keyed: its answer has a token.
    config.service(WRITE, offer).service(WRITE, withdraw).service(KEYED, accept);
}

/// To whom a license is offered.
#[derive(Default, Deserialize, ToSchema)]
#[serde(default)]
#[schema(example = json!({"email": "bob@example.com"}))]
struct LicenseOffer {
    /// The verified address of whoever may accept.
    #[schema(required = true, format = "email", max_length = 254)]
    email: String,
}

/// Offer a license to somebody else
///
/// Whoever owns the address may accept within a week, with the token of the answer, for a tenant of theirs. Until then the license stays as
/// it is. Another offer of it replaces this one. The token is shown this once: pass it on.
#[utoipa::path(
    tag = "Licenses",
    operation_id = "offerLicense",
    params(("licenseId" = LicenseId, Path, description = "Id of the license.")),
    request_body = LicenseOffer,
    responses(
        (status = 201, body = OfferedLicense),
        (status = 409, description = "The license may not be used (`license_suspended`, `license_expired`, `license_revoked`).", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["licenses:write"])),
)]
#[post("/licenses/{licenseId}/transfer")]
async fn offer(
    app: Data<App>,
    caller: Caller,
    path: Path<LicenseId>,
    body: Body<LicenseOffer>,
) -> Result<HttpResponse, Problem> {
    caller
        .write(&app.core, async |work| {
            let made = transfer::offer(&app, &mut *work, &caller.0, *path, &body.0.email).await?;
            Ok(HttpResponse::Created().with_json(&made))
        })
        .await
}

/// Take the offer of a license back
///
/// Its token is of no use from then on. Without an offer nothing changes.
#[utoipa::path(
    tag = "Licenses",
    operation_id = "deleteLicenseOffer",
    params(("licenseId" = LicenseId, Path, description = "Id of the license.")),
    responses((status = 204, description = "The license is not offered.")),
    security(("bearer" = ["licenses:write"])),
)]
#[delete("/licenses/{licenseId}/transfer")]
async fn withdraw(app: Data<App>, caller: Caller, path: Path<LicenseId>) -> Result<HttpResponse, Problem> {
    caller
        .write(&app.core, async |work| {
            LicenseTransfers::new(&mut *work, &caller.0, &app.core.env, &app.vault).withdraw(*path).await?;
            Ok(HttpResponse::NoContent().finish())
        })
        .await
}

/// Accept a license
///
/// For the owner of the verified address that it was offered to: the active tenant has it from then on, as a new license with a new key.
/// The old one is revoked, and its machines are gone. A refund of what it was bought with revokes it all the same.
#[utoipa::path(
    tag = "Licenses",
    operation_id = "acceptLicense",
    request_body = AcceptLicense,
    responses(
        (status = 200, body = OwnedLicense),
        (status = 403, description = "Not allowed; `email_unverified` while the address of the account is not verified."),
        (status = 404, description = "No license is offered to the caller with this token.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "The license may not be used (`license_suspended`, `license_expired`, `license_revoked`), or as many of its seats were freed in this month as it allows (`too_many_seat_releases`).", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["licenses:write"])),
)]
#[post("/licenses/transfers/accept")]
async fn accept(app: Data<App>, caller: Caller, body: Body<AcceptLicense>) -> Result<HttpResponse, Problem> {
    caller
        .write(&app.core, async |work| {
            let license = transfer::accept(&app, &mut *work, &caller.0, &body.0).await?;
            Ok(HttpResponse::Ok().with_json(&license))
        })
        .await
}
