//! Second factors: authenticator apps and recovery codes, the second step of a sign-in, and reauthentication.

use actix_web::{
    HttpRequest, HttpResponse, delete, get,
    http::{StatusCode, header},
    post,
    web::{Data, Path},
};
use portico_identity::{
    Accounts, Sessions,
    passkey::{MfaToken, VerifyPasskey},
    reauthentication::{self, Proof, Reauthenticate, Reauthenticated},
    recovery_code::RecoveryCodes,
    second_factor::{SecondFactorsView, VerifyCode},
    session::{FactorOutcome, RefreshTokenIn, Tokens},
    totp::{ConfirmTotp, TotpEnrolment},
};
use portico_kernel::UserId;
use portico_web::{
    admission::Class,
    body::Body,
    caller::{Caller, Visitor},
    problem::Problem,
    routing::{READ, Routes, WRITE},
    write::WithJson,
};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::{refresh_cookie, state::App, throttle};

/// Adds the routes.
pub fn configure(config: &mut Routes<'_, '_>) {
    config
        .service(READ, overview)
        .service(WRITE, begin_totp)
        .service(WRITE.strict(), confirm_totp)
        .service(WRITE, remove_totp)
        .service(WRITE, renew_recovery_codes)
        .service(WRITE.for_anyone().strict(), verify_code)
        .service(WRITE.for_anyone().strict(), passkey_options)
        .service(WRITE.for_anyone().strict(), verify_passkey)
        .service(WRITE.strict().waiting_in(Class::Logins), reauthenticate)
        .service(WRITE, reauthentication_options)
        .service(WRITE, reset);
}

/// Options for `navigator.credentials`.
#[derive(Serialize, ToSchema)]
pub(crate) struct PasskeyOptions {
    /// What `PublicKeyCredential.parseRequestOptionsFromJSON` (or `parseCreationOptionsFromJSON`) takes, as its member
    /// `publicKey`.
    #[schema(value_type = Object, example = json!({"publicKey": {"challenge": "dGhl…", "rpId": "example.com", "userVerification": "required"}}))]
    pub options: Value,
}

/// The answer to the activation of a second factor.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Confirmed {
    /// Shown once; `null` where the account has recovery codes already, from another second factor.
    #[schema(example = json!(["7QH2-9XKM-04DV-ZT3C", "M1WB-RR8E-5YPN-K6GS"]))]
    recovery_codes: Option<Vec<String>>,
}

/// A response with secrets, which must not be cached.
pub(crate) fn secret(body: &impl Serialize) -> HttpResponse {
    HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-store")).with_json(&body)
}

/// The tokens, or the refusal, which is already committed.
pub(crate) fn answer_outcome(
    app: &App,
    outcome: FactorOutcome,
    place: RefreshTokenIn,
) -> Result<HttpResponse, Problem> {
    match outcome {
        FactorOutcome::Complete(signed_in) => refresh_cookie::answer(app, StatusCode::OK, *signed_in, place),
        FactorOutcome::Refused(error) => Err(error.into()),
    }
}

/// Read the own second factors
///
/// Whether there is an authenticator app, how many recovery codes are left, and how many passkeys there are.
#[utoipa::path(
    tag = "Second factors",
    operation_id = "getSecondFactors",
    responses((status = 200, body = SecondFactorsView)),
    security(("bearer" = [])),
)]
#[get("/auth/second-factors")]
async fn overview(app: Data<App>, caller: Caller) -> Result<HttpResponse, Problem> {
    let view = Accounts::new(&mut *app.core.reader(), &caller.0, &app.core.env).second_factors().await?;
    Ok(HttpResponse::Ok().with_json(&view))
}

/// Begin with an authenticator app
///
/// Answers the secret for the app, once. It becomes a second factor when a code of it is confirmed, within 15 minutes.
/// Requires a proof of identity within the last ten minutes: a sign-in, or `POST /auth/reauthenticate`.
#[utoipa::path(
    tag = "Second factors",
    operation_id = "beginTotp",
    responses(
        (status = 200, body = TotpEnrolment),
        (status = 403, description = "`email_unverified`, `reauthentication_required`, or the caller impersonates its owner."),
        (status = 409, description = "There is an authenticator app already."),
    ),
    security(("bearer" = [])),
)]
#[post("/auth/totp")]
async fn begin_totp(app: Data<App>, caller: Caller) -> Result<HttpResponse, Problem> {
    caller
        .write(&app.core, async |work| {
            let enrolment =
                Accounts::new(&mut *work, &caller.0, &app.core.env).begin_totp(&*app.factors).await?;
            Ok(secret(&enrolment))
        })
        .await
}

/// Confirm an authenticator app
///
/// From now on its codes are required at sign-in. The first second factor comes with ten recovery codes, shown once.
#[utoipa::path(
    tag = "Second factors",
    operation_id = "confirmTotp",
    request_body = ConfirmTotp,
    responses(
        (status = 200, body = Confirmed),
        (status = 403, description = "`email_unverified`, or the caller impersonates its owner."),
        (status = 409, description = "No authenticator app waits to be confirmed."),
    ),
    security(("bearer" = [])),
)]
#[post("/auth/totp/confirm")]
async fn confirm_totp(
    app: Data<App>,
    caller: Caller,
    body: Body<ConfirmTotp>,
) -> Result<HttpResponse, Problem> {
    let code = body.0.validate()?;
    caller
        .write(&app.core, async |work| {
            let codes = Accounts::new(&mut *work, &caller.0, &app.core.env)
                .confirm_totp(&code, &*app.factors)
                .await?;
            Ok(secret(&Confirmed { recovery_codes: codes.map(|codes| codes.recovery_codes) }))
        })
        .await
}

/// Remove the authenticator app
///
/// Requires a proof of identity within the last ten minutes. Without an app, nothing happens. Removing the last second
/// factor deletes the recovery codes.
#[utoipa::path(
    tag = "Second factors",
    operation_id = "deleteTotp",
    responses(
        (status = 204, description = "There is none any more."),
        (status = 403, description = "`reauthentication_required`, or the caller impersonates its owner."),
    ),
    security(("bearer" = [])),
)]
#[delete("/auth/totp")]
async fn remove_totp(app: Data<App>, caller: Caller) -> Result<HttpResponse, Problem> {
    caller
        .write(&app.core, async |work| {
            Accounts::new(&mut *work, &caller.0, &app.core.env).remove_totp().await?;
            Ok(HttpResponse::NoContent().finish())
        })
        .await
}

/// Make new recovery codes
///
/// Replaces all earlier ones. Requires a proof of identity within the last ten minutes.
#[utoipa::path(
    tag = "Second factors",
    operation_id = "renewRecoveryCodes",
    responses(
        (status = 200, body = RecoveryCodes),
        (status = 403, description = "`email_unverified`, `reauthentication_required`, or the caller impersonates its owner."),
        (status = 409, description = "The account has no second factor."),
    ),
    security(("bearer" = [])),
)]
#[post("/auth/recovery-codes")]
async fn renew_recovery_codes(app: Data<App>, caller: Caller) -> Result<HttpResponse, Problem> {
    caller
        .write(&app.core, async |work| {
            let codes = Accounts::new(&mut *work, &caller.0, &app.core.env)
                .renew_recovery_codes(&*app.factors)
                .await?;
            Ok(secret(&codes))
        })
        .await
}

/// Continue a sign-in with a code
///
/// A code of the authenticator app, or a recovery code; each is valid once. A sign-in allows five tries within five
/// minutes.
#[utoipa::path(
    tag = "Second factors",
    operation_id = "verifySecondFactor",
    request_body = VerifyCode,
    responses(
        (status = 200, body = Tokens),
        (status = 401, description = "The code is wrong (`invalid_code`), or the sign-in is over (`invalid_mfa_token`)."),
    ),
)]
#[post("/auth/mfa/verify")]
async fn verify_code(
    app: Data<App>,
    visitor: Visitor,
    request: HttpRequest,
    body: Body<VerifyCode>,
) -> Result<HttpResponse, Problem> {
    refresh_cookie::check(&app, &request, body.0.session.unwrap_or_default())?;
    let step = body.0.validate()?;
    let mut work = app.core.begin().await?;
    let outcome = Sessions::new(&mut *work, &visitor.0, &app.core.env, app.lifetimes)
        .verify_code(&step, &*app.factors)
        .await?;
    work.commit().await?;
    answer_outcome(&app, outcome, step.session.unwrap_or_default())
}

/// Ask for options to continue a sign-in with a passkey
///
/// For `navigator.credentials.get`; valid once. The answer goes to `POST /api/v1/auth/mfa/passkey`.
#[utoipa::path(
    tag = "Second factors",
    operation_id = "createSecondFactorPasskeyOptions",
    request_body = MfaToken,
    responses(
        (status = 200, body = PasskeyOptions),
        (status = 401, description = "The sign-in is over."),
        (status = 409, description = "The account has no passkey."),
    ),
)]
#[post("/auth/mfa/passkey-options")]
async fn passkey_options(
    app: Data<App>,
    visitor: Visitor,
    body: Body<MfaToken>,
) -> Result<HttpResponse, Problem> {
    let token = body.0.validate()?;
    let mut work = app.core.begin().await?;
    let options = Sessions::new(&mut *work, &visitor.0, &app.core.env, app.lifetimes)
        .passkey_options(&token, &*app.factors, &*app.passkeys)
        .await?;
    work.commit().await?;
    Ok(secret(&PasskeyOptions { options }))
}

/// Continue a sign-in with a passkey
///
/// Options are valid for one answer.
#[utoipa::path(
    tag = "Second factors",
    operation_id = "verifySecondFactorByPasskey",
    request_body = VerifyPasskey,
    responses(
        (status = 200, body = Tokens),
        (status = 401, description = "The passkey is wrong (`invalid_passkey`), or the sign-in is over (`invalid_mfa_token`)."),
    ),
)]
#[post("/auth/mfa/passkey")]
async fn verify_passkey(
    app: Data<App>,
    visitor: Visitor,
    request: HttpRequest,
    body: Body<VerifyPasskey>,
) -> Result<HttpResponse, Problem> {
    refresh_cookie::check(&app, &request, body.0.session.unwrap_or_default())?;
    let step = body.0.validate()?;
    let mut work = app.core.begin().await?;
    let outcome = Sessions::new(&mut *work, &visitor.0, &app.core.env, app.lifetimes)
        .verify_passkey(&step, &*app.factors, &*app.passkeys)
        .await?;
    work.commit().await?;
    answer_outcome(&app, outcome, step.session.unwrap_or_default())
}

/// Reauthenticate
///
/// With the password and, where the account has a second factor, a code; or with a passkey alone. For ten minutes the
/// session may then make changes by which a stolen session could take the account over. An account with neither password
/// nor passkey signs in again: a new session may make them, too.
#[utoipa::path(
    tag = "Second factors",
    operation_id = "reauthenticate",
    request_body = Reauthenticate,
    responses(
        (status = 204, description = "Proven."),
        (status = 409, description = "No options wait for this passkey."),
    ),
    security(("bearer" = [])),
)]
#[post("/auth/reauthenticate")]
async fn reauthenticate(
    app: Data<App>,
    caller: Caller,
    body: Body<Reauthenticate>,
) -> Result<HttpResponse, Problem> {
    caller.0.require_not_impersonated()?;
    let lifetimes = app.lifetimes;
    let outcome = match body.0.validate()? {
        Proof::Passkey(credential) => {
            let mut work = app.core.begin().await?;
            let outcome = Sessions::new(&mut *work, &caller.0, &app.core.env, lifetimes)
                .reauthenticate_by_passkey(&credential, &*app.factors, &*app.passkeys)
                .await?;
            work.commit().await?;
            outcome
        }
        Proof::Password { password, code } => {
            let credential =
                Accounts::new(&mut *app.core.reader(), &caller.0, &app.core.env).own_credential().await?;
            // Throttled, because a stolen session must not allow guessing the password.
            let attempt =
                throttle::admit(&app.throttling, &app.core, &caller.0, &credential.user.email).await?;
            let right = reauthentication::verify(&*app.hasher, &password, &credential).await?;
            if !right {
                attempt.failed(&app.core, &caller.0, Some(credential.user.id)).await;
            }
            let mut work = app.core.begin().await?;
            let outcome = Sessions::new(&mut *work, &caller.0, &app.core.env, lifetimes)
                .reauthenticate_by_password(right.then_some(&credential), code.as_deref(), &*app.factors)
                .await?;
            work.commit().await?;
            outcome
        }
    };
    match outcome {
        Reauthenticated::Fresh => Ok(HttpResponse::NoContent().finish()),
        Reauthenticated::Refused(error) => Err(error.into()),
    }
}

/// Ask for options to reauthenticate with a passkey
///
/// For `navigator.credentials.get`; valid once. The answer goes to `POST /api/v1/auth/reauthenticate`.
#[utoipa::path(
    tag = "Second factors",
    operation_id = "createReauthenticationOptions",
    responses(
        (status = 200, body = PasskeyOptions),
        (status = 409, description = "The account has no passkey."),
    ),
    security(("bearer" = [])),
)]
#[post("/auth/reauthenticate/passkey-options")]
async fn reauthentication_options(app: Data<App>, caller: Caller) -> Result<HttpResponse, Problem> {
    caller
        .write(&app.core, async |work| {
            let options = Accounts::new(&mut *work, &caller.0, &app.core.env)
                .reauthentication_options(&*app.factors, &*app.passkeys)
                .await?;
            Ok(secret(&PasskeyOptions { options }))
        })
        .await
}

/// Remove all second factors of an account
///
/// For a user who has lost them all: authenticator app, passkeys and recovery codes. The operator has to verify by other
/// means who asks for it.
#[utoipa::path(
    tag = "Users",
    operation_id = "deleteSecondFactors",
    params(("userId" = UserId, Path)),
    responses((status = 204, description = "There are none any more.")),
    security(("bearer" = ["platform:users"])),
)]
#[delete("/users/{userId}/second-factors")]
async fn reset(app: Data<App>, caller: Caller, id: Path<UserId>) -> Result<HttpResponse, Problem> {
    caller
        .write(&app.core, async |work| {
            Accounts::new(&mut *work, &caller.0, &app.core.env).reset_second_factors(id.into_inner()).await?;
            Ok(HttpResponse::NoContent().finish())
        })
        .await
}
