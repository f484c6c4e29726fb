//! Change of the caller's own address.

use actix_web::{HttpResponse, post, web::Data};
use portico_identity::{
    Accounts,
    email_change::{CancelEmailChange, ChangeEmail, ConfirmEmailChange},
};
use portico_web::{
    body::Body,
    caller::{Caller, MaybeCaller, Visitor},
    problem::Problem,
    routing::{KEYED, Routes, WRITE},
    write::WithJson,
};
use serde::Serialize;
use utoipa::ToSchema;

use super::auth::{Accepted, accepted};
use crate::state::App;

/// Adds the routes.
pub fn configure(config: &mut Routes<'_, '_>) {
    config
        .service(KEYED.strict(), change_email)
        .service(WRITE.for_anyone().strict(), confirm_email_change)
        .service(WRITE.for_anyone().strict(), cancel_email_change);
}

/// The address that an account has now.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ChangedEmail {
    /// The new address.
    #[schema(format = "email", example = "ada.king@example.com")]
    email: String,
    /// Always true: using the link has verified it.
    email_verified: bool,
}

/// Ask for another email address
///
/// Sends a link to the new address, and to the current address a notice with a link that cancels the change. The account
/// keeps its address until the link sent to the new one is used, which is valid once, for 24 hours, and only while the
/// requesting session lasts; a newer request replaces an older one. The answer is the same for an address that belongs to
/// another account. Needs a verified address and a proof of identity within the last 10 minutes.
#[utoipa::path(
    tag = "Authentication",
    operation_id = "changeEmail",
    request_body = ChangeEmail,
    responses(
        (status = 202, body = Accepted),
        (status = 403, description = "The last proof of identity is too long ago, the present address is not verified \
            (`email_unverified`), or somebody acts as the person."),
    ),
    security(("bearer" = [])),
)]
#[post("/auth/change-email")]
async fn change_email(
    app: Data<App>,
    caller: Caller,
    body: Body<ChangeEmail>,
) -> Result<HttpResponse, Problem> {
    let email = body.0.validate()?;
    caller
        .write(&app.core, async |work| {
            Accounts::new(&mut *work, &caller.0, &app.core.env).request_email_change(email).await?;
            Ok(accepted("Use the link that we send to the new address."))
        })
        .await
}

/// Confirm another email address
///
/// With the token of the link sent to the new address. The account then has the new address, and the old one is notified.
/// Every session but the one that requested the change ends; the link is invalid once that session has ended or expired.
/// Send the access token along where there is one: it is required if other accounts claim the address too.
#[utoipa::path(
    tag = "Authentication",
    operation_id = "confirmEmailChange",
    request_body = ConfirmEmailChange,
    responses(
        (status = 200, body = ChangedEmail),
        (status = 409, description = "Another request changed the account at the same moment."),
    ),
)]
#[post("/auth/confirm-email-change")]
async fn confirm_email_change(
    app: Data<App>,
    caller: MaybeCaller,
    body: Body<ConfirmEmailChange>,
) -> Result<HttpResponse, Problem> {
    let token = body.0.validate()?;
    let mut work = app.core.begin().await?;
    let user = Accounts::new(&mut *work, &caller.0, &app.core.env)
        .confirm_email_change(&token, &*app.tokens)
        .await?;
    work.commit().await?;
    Ok(HttpResponse::Ok().with_json(&ChangedEmail { email: user.email.to_string(), email_verified: true }))
}

/// Stop a change of the email address
///
/// With the token of the link sent to the current address; it is valid once, for 24 hours, and needs no sign-in. The
/// pending change is void, and every session of the account ends, because the change may have been requested in any of
/// them.
#[utoipa::path(
    tag = "Authentication",
    operation_id = "cancelEmailChange",
    request_body = CancelEmailChange,
    responses((status = 204, description = "Nothing waits any more, and no session is left.")),
)]
#[post("/auth/cancel-email-change")]
async fn cancel_email_change(
    app: Data<App>,
    visitor: Visitor,
    body: Body<CancelEmailChange>,
) -> Result<HttpResponse, Problem> {
    let token = body.0.validate()?;
    let mut work = app.core.begin().await?;
    Accounts::new(&mut *work, &visitor.0, &app.core.env).cancel_email_change(&token, &*app.tokens).await?;
    work.commit().await?;
    Ok(HttpResponse::NoContent().finish())
}
