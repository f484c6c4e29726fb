//! Registration, sign-in and sign-out, verification of addresses, passwords.
//!
//! Passwords are hashed before a unit of work is opened, and neither the content nor the time of an answer reveals whether
//! an address is registered.

use actix_web::{
    HttpRequest, HttpResponse, ResponseError,
    http::{StatusCode, header},
    post,
    web::Data,
};
use portico_identity::{
    Accounts, IdentityError, Sessions, Throttle,
    account::Registration,
    recovery::{ChangePassword, ForgotPassword, ResetPassword},
    session::{Refresh, RefreshTokenIn, Refreshed, SignInStep, SignOut, SignedIn, Tokens},
    sign_in::{self, SignIn},
    throttle::GuessTarget,
    verification::{ResendVerification, VerifyEmail},
};
use portico_kernel::Scope;
use portico_web::{
    admission::Class,
    body::{Body, OptionalBody},
    caller::{Caller, MaybeCaller, Visitor},
    problem::Problem,
    routing::{KEYED, Routes, WRITE},
    write::WithJson,
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    flows::{
        account_mail::{PasswordResetMail, VerificationMail},
        registration, users,
    },
    refresh_cookie,
    state::App,
    throttle,
};

/// Adds the routes.
pub fn configure(config: &mut Routes<'_, '_>) {
    config
        .service(WRITE.for_anyone().strict().waiting_in(Class::Logins), register)
        .service(WRITE.for_anyone().strict().waiting_in(Class::Logins), login)
        .service(WRITE.for_anyone(), refresh)
        .service(WRITE.for_anyone(), logout)
        .service(WRITE.for_anyone().strict(), verify_email)
        .service(WRITE.for_anyone().strict(), resend_verification)
        .service(WRITE.for_anyone().strict(), forgot_password)
        .service(WRITE.for_anyone().strict().waiting_in(Class::Logins), reset_password)
        .service(KEYED.strict().waiting_in(Class::Logins), change_password);
}

/// Acknowledgement of a request that is processed in the background, if there is anything to do.
#[derive(Serialize, ToSchema)]
pub(super) struct Accepted {
    /// A human-readable sentence.
    message: &'static str,
}

/// An address that is now verified.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct VerifiedEmail {
    /// The address.
    #[schema(format = "email", example = "ada@example.com")]
    email: String,
    /// Always true.
    email_verified: bool,
    /// Whether a new password has to be set with the link that was just sent: another account had claimed the address too,
    /// and the caller was not signed in to this one, so its password may have been set by a stranger.
    password_required: bool,
}

pub(super) fn accepted(message: &'static str) -> HttpResponse {
    HttpResponse::Accepted().with_json(&Accepted { message })
}

/// Register
///
/// Makes an account with a personal tenant and signs it in. The address is verified by the link in the message that
/// follows. The answer is the same for an address that has an account already; its owner is notified by email.
#[utoipa::path(
    tag = "Authentication",
    operation_id = "register",
    request_body = Registration,
    responses((status = 201, body = Tokens, headers(("Location" = String)))),
)]
#[post("/auth/register")]
async fn register(
    app: Data<App>,
    visitor: Visitor,
    request: HttpRequest,
    body: Body<Registration>,
) -> Result<HttpResponse, Problem> {
    let place = body.0.session.unwrap_or_default();
    refresh_cookie::check(&app, &request, place)?;
    let signed_in = registration::register(&app, &visitor.0, body.0).await?;
    let mut response = refresh_cookie::answer(&app, StatusCode::CREATED, signed_in, place)?;
    response.headers_mut().insert(header::LOCATION, header::HeaderValue::from_static("/api/v1/profile"));
    Ok(response)
}

/// Sign in
///
/// With address and password. Ends no other session of the account.
#[utoipa::path(
    tag = "Authentication",
    operation_id = "login",
    request_body = SignIn,
    responses(
        (status = 200, body = Tokens),
        (status = 401, description = "The address or the password is wrong."),
        (
            status = 403,
            description = "The account is suspended; or it has a second factor (`second_factor_required`): go on with `mfaToken` \
                by one of `methods` (`totp`, `recovery_code`, `passkey`) within five minutes.",
        ),
    ),
)]
#[post("/auth/login")]
async fn login(
    app: Data<App>,
    visitor: Visitor,
    request: HttpRequest,
    body: Body<SignIn>,
) -> Result<HttpResponse, Problem> {
    let place = body.0.session.unwrap_or_default();
    refresh_cookie::check(&app, &request, place)?;
    let input = body.0.validate()?;
    let attempt = throttle::admit(&app.throttling, &app.core, &visitor.0, &input.email).await?;
    let candidates =
        Accounts::new(&mut *app.core.reader(), &visitor.0, &app.core.env).candidates(&input.email).await?;
    let Some(verified) = sign_in::verify(&*app.hasher, &input.password, &candidates).await? else {
        attempt.failed(&app.core, &visitor.0, candidates.first().map(|candidate| candidate.user.id)).await;
        return Err(IdentityError::InvalidCredentials.into());
    };
    let lifetimes = app.lifetimes;
    let mut work = app.core.begin().await?;
    let step = Sessions::new(&mut *work, &visitor.0, &app.core.env, lifetimes).sign_in(&verified).await?;
    work.commit().await?;
    answer_step(&app, step, place)
}

/// The tokens, or what the next step of the sign-in requires.
pub(crate) fn answer_step(
    app: &App,
    step: SignInStep,
    place: RefreshTokenIn,
) -> Result<HttpResponse, Problem> {
    match step {
        SignInStep::Complete(signed_in) => refresh_cookie::answer(app, StatusCode::OK, *signed_in, place),
        SignInStep::SecondFactor(needed) => Err(needed.into_error(&*app.factors).into()),
    }
}

/// Get new tokens
///
/// The refresh token is used up. Sent once more within 30 seconds (the answer may have been lost) it gives the same next
/// refresh token; later it ends the session, because the token may be stolen.
///
/// A page whose session is in a cookie sends no token; the answer replaces the cookie, or removes it.
#[utoipa::path(
    tag = "Authentication",
    operation_id = "refresh",
    request_body(content = Option<Refresh>),
    responses(
        (status = 200, body = Tokens),
        (status = 401, description = "The refresh token is not good any more."),
        (status = 403, description = "`origin_not_allowed`: the cookie is for pages of the server's own origin."),
    ),
)]
#[post("/auth/refresh")]
async fn refresh(
    app: Data<App>,
    visitor: Visitor,
    request: HttpRequest,
    body: OptionalBody<Refresh>,
) -> Result<HttpResponse, Problem> {
    let in_cookie = match body.0.refresh_token {
        Some(_) => None,
        None => refresh_cookie::read(&app, &request)?,
    };
    let Some(token) = in_cookie else {
        let signed_in = next_generation(&app, &visitor.0, &body.0.validate()?).await?;
        return refresh_cookie::answer(&app, StatusCode::OK, signed_in, RefreshTokenIn::Body);
    };
    match next_generation(&app, &visitor.0, &token).await {
        Ok(signed_in) => refresh_cookie::answer(&app, StatusCode::OK, signed_in, RefreshTokenIn::Cookie),
        Err(problem) => {
            let mut response = problem.error_response();
            if response.status() == StatusCode::UNAUTHORIZED {
                refresh_cookie::clear(&app, &mut response);
            }
            Ok(response)
        }
    }
}

/// Uses a refresh token up.
async fn next_generation(app: &App, scope: &Scope, token: &str) -> Result<SignedIn, Problem> {
    if app.tokens.read_refresh_token(token).is_none() {
        // Not a token of ours: rejected without a transaction.
        return Err(IdentityError::InvalidRefreshToken.into());
    }
    let mut work = app.core.begin().await?;
    let refreshed =
        Sessions::new(&mut *work, scope, &app.core.env, app.lifetimes).refresh(token, &*app.tokens).await?;
    work.commit().await?;
    match refreshed {
        Refreshed::Continued(signed_in) => Ok(*signed_in),
        Refreshed::ReuseDetected => Err(IdentityError::InvalidRefreshToken.into()),
    }
}

/// Sign out
///
/// Ends the session of the access token, that of the refresh token (in the body or in the cookie), or both. Access ends at
/// once, not when the access token expires.
#[utoipa::path(
    tag = "Authentication",
    operation_id = "logout",
    request_body(content = Option<SignOut>),
    responses(
        (status = 204, description = "Signed out."),
        (status = 401, description = "Neither a good access token nor a good refresh token."),
        (status = 404, description = "`X-Tenant-Id` names no tenant of the caller."),
    ),
)]
#[post("/auth/logout")]
async fn logout(
    app: Data<App>,
    caller: MaybeCaller,
    request: HttpRequest,
    body: OptionalBody<SignOut>,
) -> Result<HttpResponse, Problem> {
    // A cookie that another site's page sent plays no part.
    let in_cookie = refresh_cookie::read(&app, &request).unwrap_or_default();
    let token = body.0.refresh_token.as_deref().or(in_cookie.as_deref());
    let mut work = app.core.begin().await?;
    Sessions::new(&mut *work, &caller.0, &app.core.env, app.lifetimes).sign_out(token, &*app.tokens).await?;
    work.commit().await?;
    let mut response = HttpResponse::NoContent().finish();
    if in_cookie.is_some() {
        refresh_cookie::clear(&app, &mut response);
    }
    Ok(response)
}

/// Verify an email address
///
/// With the token of the link in the message. It is valid once, for 24 hours. Send the access token along where there is
/// one: it shows that the person following the link is signed in to the account.
#[utoipa::path(
    tag = "Authentication",
    operation_id = "verifyEmail",
    request_body = VerifyEmail,
    responses((status = 200, body = VerifiedEmail)),
)]
#[post("/auth/verify-email")]
async fn verify_email(
    app: Data<App>,
    caller: MaybeCaller,
    body: Body<VerifyEmail>,
) -> Result<HttpResponse, Problem> {
    let token = body.0.validate()?;
    let mut work = app.core.begin().await?;
    let verified =
        Accounts::new(&mut *work, &caller.0, &app.core.env).verify_email(&token, &*app.tokens).await?;
    work.commit().await?;
    Ok(HttpResponse::Ok().with_json(&VerifiedEmail {
        email: verified.user.email.to_string(),
        email_verified: true,
        password_required: verified.password_taken,
    }))
}

/// Ask for the verification message again
///
/// The body may be left out by a signed-in caller. The answer does not reveal whether there is such an account.
#[utoipa::path(
    tag = "Authentication",
    operation_id = "resendVerification",
    request_body(content = Option<ResendVerification>),
    responses(
        (status = 202, body = Accepted),
        (status = 404, description = "`X-Tenant-Id` names no tenant of the caller."),
    ),
)]
#[post("/auth/resend-verification")]
async fn resend_verification(
    app: Data<App>,
    caller: MaybeCaller,
    body: OptionalBody<ResendVerification>,
) -> Result<HttpResponse, Problem> {
    let message = "If there is an account to verify at this address, a message is on its way.";
    let email = if body.0.email.is_empty() && caller.0.require_user().is_ok() {
        caller.0.forbid_impersonation()?;
        let user = Accounts::new(&mut *app.core.reader(), &caller.0, &app.core.env).profile().await?;
        if user.email_verified {
            return Ok(accepted(message));
        }
        user.email
    } else {
        body.0.validate()?
    };
    app.mail.request(&caller.0, &VerificationMail::to(&email)).await?;
    Ok(accepted(message))
}

/// Ask for a link to set a new password
///
/// The answer does not reveal whether there is such an account.
#[utoipa::path(
    tag = "Authentication",
    operation_id = "forgotPassword",
    request_body = ForgotPassword,
    responses((status = 202, body = Accepted)),
)]
#[post("/auth/forgot-password")]
async fn forgot_password(
    app: Data<App>,
    visitor: Visitor,
    body: Body<ForgotPassword>,
) -> Result<HttpResponse, Problem> {
    let email = body.0.validate()?;
    app.mail.request(&visitor.0, &PasswordResetMail::to(&email)).await?;
    Ok(accepted("If there is an account at this address, a message is on its way."))
}

/// Set a new password with a link
///
/// With the token of the link in the message. It works once, for an hour, and ends every session of the account.
#[utoipa::path(
    tag = "Authentication",
    operation_id = "resetPassword",
    request_body = ResetPassword,
    responses(
        (status = 204, description = "The password is set."),
        (status = 409, description = "Another request changed the account at the same moment."),
    ),
)]
#[post("/auth/reset-password")]
async fn reset_password(
    app: Data<App>,
    visitor: Visitor,
    body: Body<ResetPassword>,
) -> Result<HttpResponse, Problem> {
    let reset = body.0.validate(&app.password_rule).await?;
    // The password is judged and hashed before a unit of work is opened.
    let user = Accounts::new(&mut *app.core.reader(), &visitor.0, &app.core.env)
        .account_of_reset(&reset, &*app.tokens)
        .await?;
    reset.verify(&user).await?;
    let hash = app.hasher.hash(reset.password.clone()).await?;
    let mut work = app.core.begin().await?;
    let user = Accounts::new(&mut *work, &visitor.0, &app.core.env)
        .reset_password(&reset, hash, &*app.tokens)
        .await?;
    let target = GuessTarget::new(user.email, &visitor.0.request);
    Throttle::new(&mut *work, &app.core.env, &app.throttling.rule, &*app.marks)
        .clear_failures(&target)
        .await?;
    work.commit().await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Change the own password
///
/// Ends every other session of the account.
#[utoipa::path(
    tag = "Authentication",
    operation_id = "changePassword",
    request_body = ChangePassword,
    responses((status = 204, description = "The password is changed.")),
    security(("bearer" = [])),
)]
#[post("/auth/change-password")]
async fn change_password(
    app: Data<App>,
    caller: Caller,
    body: Body<ChangePassword>,
) -> Result<HttpResponse, Problem> {
    let change = users::check_own_password(&app, &caller.0, body.0).await?;
    caller
        .write(&app.core, async |work| {
            users::change_own_password(work, &app, &caller.0, change).await?;
            Ok(HttpResponse::NoContent().finish())
        })
        .await
}
