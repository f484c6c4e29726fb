//! Passkeys: registration, removal, and sign-in.

use actix_web::{
    HttpRequest, HttpResponse, Responder, delete, get,
    http::header,
    post, put,
    web::{Data, Path},
};
use portico_identity::{
    Accounts, Sessions,
    passkey::{AddPasskey, PasskeySignIn, PasskeyView, Registered, RenamePasskey},
    session::Tokens,
};
use portico_kernel::{List, PageRequest, PasskeyId};
use portico_web::{
    body::Body,
    caller::{Caller, Visitor},
    list::Listed,
    problem::Problem,
    query::{Paging, Query},
    routing::{MERGE, READ, Routes, WRITE},
    write::WithJson,
};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::second_factors::{PasskeyOptions, answer_outcome, secret};
use crate::{refresh_cookie, state::App};

/// Adds the routes.
pub fn configure(config: &mut Routes<'_, '_>) {
    config
        .service(WRITE, registration_options)
        .service(WRITE.for_anyone().strict(), sign_in_options)
        .service(WRITE.for_anyone().strict(), sign_in)
        .service(READ, list)
        .service(WRITE, add)
        .service(MERGE, rename)
        .service(WRITE, remove);
}

/// A passkey that was just added.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct AddedPasskey {
    #[serde(flatten)]
    passkey: PasskeyView,
    /// Shown once; `null` where the account has recovery codes already, from another second factor.
    #[schema(example = json!(["7QH2-9XKM-04DV-ZT3C", "M1WB-RR8E-5YPN-K6GS"]))]
    recovery_codes: Option<Vec<String>>,
}

/// Options to sign in with a passkey.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct SignInOptions {
    /// To be sent with the answer.
    #[schema(example = "AZOt…")]
    challenge_token: String,
    /// What `PublicKeyCredential.parseRequestOptionsFromJSON` takes, as its member `publicKey`.
    #[schema(value_type = Object, example = json!({"publicKey": {"challenge": "dGhl…", "rpId": "example.com", "userVerification": "required"}}))]
    options: Value,
}

/// Ask for options to make a passkey
///
/// For `navigator.credentials.create`. They are valid for one answer within five minutes, from the same session. Requires a
/// proof of identity within the last ten minutes: a sign-in, or `POST /auth/reauthenticate`.
#[utoipa::path(
    tag = "Passkeys",
    operation_id = "createPasskeyRegistrationOptions",
    responses(
        (status = 200, body = PasskeyOptions),
        (status = 403, description = "`email_unverified`, `reauthentication_required`, or the caller impersonates its owner."),
        (status = 409, description = "The account has as many passkeys as it can have."),
    ),
    security(("bearer" = [])),
)]
#[post("/auth/passkeys/registration-options")]
async fn registration_options(app: Data<App>, caller: Caller) -> Result<HttpResponse, Problem> {
    caller
        .write(&app.core, async |work| {
            let options = Accounts::new(&mut *work, &caller.0, &app.core.env)
                .begin_passkey(&*app.factors, &*app.passkeys)
                .await?;
            Ok(secret(&PasskeyOptions { options }))
        })
        .await
}

/// Add a passkey
///
/// It is a second factor from now on, and signs in without a password. The first second factor comes with ten recovery
/// codes, shown once.
#[utoipa::path(
    tag = "Passkeys",
    operation_id = "createPasskey",
    request_body = AddPasskey,
    responses(
        (status = 201, body = AddedPasskey, headers(("Location" = String))),
        (status = 403, description = "`email_unverified`, or the caller impersonates its owner."),
        (status = 409, description = "No options wait for this answer, or the passkey is known already."),
    ),
    security(("bearer" = [])),
)]
#[post("/auth/passkeys")]
async fn add(app: Data<App>, caller: Caller, body: Body<AddPasskey>) -> Result<HttpResponse, Problem> {
    let step = body.0.validate()?;
    let mut work = app.core.begin().await?;
    let registered = Accounts::new(&mut *work, &caller.0, &app.core.env)
        .add_passkey(&step, &*app.factors, &*app.passkeys)
        .await?;
    // Also after a refusal: the options are used up.
    work.commit().await?;
    match registered {
        Registered::Added(passkey, codes) => {
            let location = format!("/api/v1/auth/passkeys/{}", passkey.id);
            let recovery_codes = codes.map(|codes| codes.recovery_codes);
            Ok(HttpResponse::Created()
                .insert_header((header::LOCATION, location))
                .insert_header((header::CACHE_CONTROL, "no-store"))
                .with_json(&AddedPasskey { passkey, recovery_codes }))
        }
        Registered::Refused(error) => Err(error.into()),
    }
}

/// List the own passkeys
///
/// Oldest first.
#[utoipa::path(
    tag = "Passkeys",
    operation_id = "listPasskeys",
    params(Paging),
    responses((status = 200, body = List<PasskeyView>)),
    security(("bearer" = [])),
)]
#[get("/auth/passkeys")]
async fn list(app: Data<App>, caller: Caller, query: Query<Paging>) -> Result<impl Responder, Problem> {
    let page: PageRequest = query.0.request()?;
    let passkeys = Accounts::new(&mut *app.core.reader(), &caller.0, &app.core.env).passkeys().await?;
    let total = passkeys.len() as u64;
    let items = passkeys.into_iter().skip(page.offset() as usize).take(page.limit as usize).collect();
    Ok(Listed(List::<PasskeyView>::new(items, page, total)))
}

/// Rename a passkey
///
/// The name is for its owner alone; browsers do not show it.
#[utoipa::path(
    tag = "Passkeys",
    operation_id = "updatePasskey",
    params(("passkeyId" = PasskeyId, Path)),
    request_body = RenamePasskey,
    responses((status = 200, body = PasskeyView)),
    security(("bearer" = [])),
)]
#[put("/auth/passkeys/{passkeyId}")]
async fn rename(
    app: Data<App>,
    caller: Caller,
    id: Path<PasskeyId>,
    body: Body<RenamePasskey>,
) -> Result<HttpResponse, Problem> {
    let name = body.0.validate()?;
    caller
        .write(&app.core, async |work| {
            let view = Accounts::new(&mut *work, &caller.0, &app.core.env)
                .rename_passkey(id.into_inner(), name)
                .await?;
            Ok(HttpResponse::Ok().with_json(&view))
        })
        .await
}

/// Remove a passkey
///
/// Requires a proof of identity within the last ten minutes. Removing the last second factor deletes the recovery codes.
#[utoipa::path(
    tag = "Passkeys",
    operation_id = "deletePasskey",
    params(("passkeyId" = PasskeyId, Path)),
    responses(
        (status = 204, description = "Removed."),
        (status = 403, description = "`reauthentication_required`, or the caller impersonates its owner."),
        (status = 409, description = "Nothing would be left to sign in with."),
    ),
    security(("bearer" = [])),
)]
#[delete("/auth/passkeys/{passkeyId}")]
async fn remove(app: Data<App>, caller: Caller, id: Path<PasskeyId>) -> Result<HttpResponse, Problem> {
    let issuers: Vec<String> = app.openid.values().map(|provider| provider.issuer().to_owned()).collect();
    caller
        .write(&app.core, async |work| {
            Accounts::new(&mut *work, &caller.0, &app.core.env)
                .remove_passkey(id.into_inner(), &issuers)
                .await?;
            Ok(HttpResponse::NoContent().finish())
        })
        .await
}

/// Ask for options to sign in with a passkey
///
/// For `navigator.credentials.get`, without a user name: the authenticator finds the passkey. They are valid for one answer
/// within five minutes.
#[utoipa::path(
    tag = "Passkeys",
    operation_id = "createPasskeySignInOptions",
    responses((status = 200, body = SignInOptions)),
)]
#[post("/auth/passkeys/sign-in-options")]
async fn sign_in_options(app: Data<App>, visitor: Visitor) -> Result<HttpResponse, Problem> {
    let mut work = app.core.begin().await?;
    let (challenge_token, options) = Sessions::new(&mut *work, &visitor.0, &app.core.env, app.lifetimes)
        .passkey_sign_in_options(&*app.factors, &*app.passkeys)
        .await?;
    work.commit().await?;
    Ok(secret(&SignInOptions { challenge_token, options }))
}

/// Sign in with a passkey
///
/// Without a password. It counts as both factors, because the authenticator has verified its user.
#[utoipa::path(
    tag = "Passkeys",
    operation_id = "signInWithPasskey",
    request_body = PasskeySignIn,
    responses(
        (status = 200, body = Tokens),
        (status = 401, description = "Unknown, wrong, or answering options that were used before or have expired."),
        (status = 403, description = "The account is suspended."),
    ),
)]
#[post("/auth/passkeys/sign-in")]
async fn sign_in(
    app: Data<App>,
    visitor: Visitor,
    request: HttpRequest,
    body: Body<PasskeySignIn>,
) -> Result<HttpResponse, Problem> {
    refresh_cookie::check(&app, &request, body.0.session.unwrap_or_default())?;
    let step = body.0.validate()?;
    let mut work = app.core.begin().await?;
    let outcome = Sessions::new(&mut *work, &visitor.0, &app.core.env, app.lifetimes)
        .passkey_sign_in(&step, &*app.factors, &*app.passkeys)
        .await?;
    work.commit().await?;
    answer_outcome(&app, outcome, step.session.unwrap_or_default())
}
