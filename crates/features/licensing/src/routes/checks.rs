//! What products ask with a key and no account. Credentials are ignored; requests are counted by address.

use actix_web::{HttpResponse, get, post, web::Data};
use portico_licensing::{
    activation::Activation,
    check::{FileRequest, KeyHolders, LicenseCheck, LicensedMachine, NewActivation, Verdict},
    file::{LicenseFile, VerifyingKeys},
};
use portico_web::{
    body::Body,
    caller::Visitor,
    problem::{Problem, ProblemBody},
    routing::{READ, Routes, WRITE},
    write::WithJson,
};

use crate::state::App;

/// Adds the routes.
pub fn configure(config: &mut Routes<'_, '_>) {
    // Not keyed: whoever has a key may repeat each of them, and no two callers can be told apart.
    config
        .service(READ.for_anyone(), keys)
        .service(WRITE.for_anyone(), validate)
        .service(WRITE.for_anyone(), activate)
        .service(WRITE.for_anyone(), deactivate)
        .service(WRITE.for_anyone(), heartbeat)
        .service(WRITE.for_anyone(), file);
}

/// List the keys that license files are verified with
///
/// A JWK Set of Ed25519 keys, the one that signs now first. Build them into the product: a program that fetches its keys believes whoever
/// answers. Empty where no files are made.
#[utoipa::path(
    tag = "License checks",
    operation_id = "listLicenseKeys",
    responses((status = 200, body = VerifyingKeys)),
)]
#[get("/licenses/keys")]
async fn keys(app: Data<App>) -> HttpResponse {
    HttpResponse::Ok().with_json(&VerifyingKeys::of(app.signer.as_deref()))
}

/// Validate a license
///
/// Whether a product may be used, and why not: `valid`, `suspended`, `expired`, `revoked`, `product_mismatch`, `not_activated`, and where
/// seats are floating `lease_expired`, `no_seat`. It changes nothing.
#[utoipa::path(
    tag = "License checks",
    operation_id = "validateLicense",
    request_body = LicenseCheck,
    responses(
        (status = 200, body = Verdict),
        (status = 404, description = "No license has the key.", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
#[post("/licenses/validate")]
async fn validate(
    app: Data<App>,
    visitor: Visitor,
    body: Body<LicenseCheck>,
) -> Result<HttpResponse, Problem> {
    let mut repositories = app.core.reader();
    let verdict =
        KeyHolders::new(&mut *repositories, &visitor.0, &app.core.env, &app.vault).validate(&body.0).await?;
    Ok(HttpResponse::Ok().with_json(&verdict))
}

/// Activate a license on a machine
///
/// Takes a seat. A machine that has one keeps it: then the answer is 200, with the new name and platform. `leaseEndsAt` says until when the
/// machine holds it without a heartbeat.
#[utoipa::path(
    tag = "License checks",
    operation_id = "activateLicense",
    request_body = NewActivation,
    responses(
        (status = 200, body = Activation, description = "The machine had a seat."),
        (status = 201, body = Activation, description = "The machine has taken a seat."),
        (status = 404, description = "No license has the key.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "The license is for another product (`license_product_mismatch`), may not be used (`license_suspended`, `license_expired`, `license_revoked`), or has no free seat (`too_many_activations`, with the `limit`).", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
#[post("/licenses/activate")]
async fn activate(
    app: Data<App>,
    visitor: Visitor,
    body: Body<NewActivation>,
) -> Result<HttpResponse, Problem> {
    let mut work = app.core.begin().await?;
    let (activation, is_new) =
        KeyHolders::new(&mut *work, &visitor.0, &app.core.env, &app.vault).activate(&body.0).await?;
    work.commit().await?;
    let mut answer = if is_new { HttpResponse::Created() } else { HttpResponse::Ok() };
    Ok(answer.with_json(&activation))
}

/// Deactivate a license on a machine
///
/// Frees its seat, for instance where the product is removed. It may be sent again. While a license file for the machine is good, it counts
/// among the seats that an owner may free in a calendar month (UTC).
#[utoipa::path(
    tag = "License checks",
    operation_id = "deactivateLicense",
    request_body = LicensedMachine,
    responses(
        (status = 204, description = "The machine has no seat."),
        (status = 404, description = "No license has the key.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "The machine has a license file that is good, and as many were freed in this month as the license allows (`too_many_seat_releases`).", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
#[post("/licenses/deactivate")]
async fn deactivate(
    app: Data<App>,
    visitor: Visitor,
    body: Body<LicensedMachine>,
) -> Result<HttpResponse, Problem> {
    let mut work = app.core.begin().await?;
    KeyHolders::new(&mut *work, &visitor.0, &app.core.env, &app.vault).deactivate(&body.0).await?;
    work.commit().await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Send a heartbeat of a machine
///
/// Answers like a validation, and notes that the machine was seen. Once a day is enough where seats are held until they are freed. Where
/// they are floating it renews the lease, which `activation.leaseEndsAt` tells; a machine whose lease is over takes a seat again if one is
/// free, and is told `no_seat` otherwise.
#[utoipa::path(
    tag = "License checks",
    operation_id = "sendLicenseHeartbeat",
    request_body = LicensedMachine,
    responses(
        (status = 200, body = Verdict),
        (status = 404, description = "No license has the key.", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
#[post("/licenses/heartbeat")]
async fn heartbeat(
    app: Data<App>,
    visitor: Visitor,
    body: Body<LicensedMachine>,
) -> Result<HttpResponse, Problem> {
    let mut work = app.core.begin().await?;
    let verdict =
        KeyHolders::new(&mut *work, &visitor.0, &app.core.env, &app.vault).heartbeat(&body.0).await?;
    work.commit().await?;
    Ok(HttpResponse::Ok().with_json(&verdict))
}

/// Get a license file with a key
///
/// For a product that will work without a connection for some time. It takes a seat unless the machine has one.
#[utoipa::path(
    tag = "License checks",
    operation_id = "getLicenseFile",
    request_body = FileRequest,
    responses(
        (status = 200, body = LicenseFile),
        (status = 404, description = "No license has the key.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "As for `POST /licenses/{licenseId}/file`.", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
#[post("/licenses/file")]
async fn file(app: Data<App>, visitor: Visitor, body: Body<FileRequest>) -> Result<HttpResponse, Problem> {
    let mut work = app.core.begin().await?;
    let made = KeyHolders::new(&mut *work, &visitor.0, &app.core.env, &app.vault)
        .file(&body.0, app.signer.as_deref())
        .await?;
    work.commit().await?;
    Ok(HttpResponse::Ok().with_json(&made))
}
