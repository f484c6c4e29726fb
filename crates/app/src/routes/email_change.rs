//! Changing the own address.

use actix_web::{HttpResponse, post, web::Data};
use portico_identity::{
    Accounts,
    email_change::{ChangeEmail, ConfirmEmailChange},
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    http::{
        body::Body,
        caller::{Caller, MaybeCaller},
        problem::Problem,
        routing::Routes,
    },
    routes::auth::{Accepted, accepted},
    state::App,
};

/// Adds the routes.
pub fn configure(config: &mut Routes<'_, '_>) {
    config.service(change_email).service(confirm_email_change);
}

/// The address that an account has now.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ChangedEmail {
    /// The new address.
    #[schema(format = "email", example = "ada.king@example.com")]
    email: String,
    /// Always true: whoever used the link reads its mail.
    email_verified: bool,
}

/// Ask for another email address
///
/// Sends a link to the new address. The account keeps its address until the link is used, which works once, for 24 hours; a
/// newer request takes the place of an older one. The answer is the same for an address that belongs to somebody else. Needs
/// a proof of identity within the last 10 minutes.
#[utoipa::path(
    tag = "Authentication",
    operation_id = "changeEmail",
    request_body = ChangeEmail,
    responses(
        (status = 202, body = Accepted),
        (status = 403, description = "The last proof of identity is too long ago, or somebody acts as the person."),
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
    let mut work = app.begin().await?;
    Accounts::new(&mut *work, &caller.0, &app.env).request_email_change(email).await?;
    work.commit().await?;
    Ok(accepted("Use the link that we send to the new address."))
}

/// Confirm another email address
///
/// With the token of the link in the new mailbox. From then on the account has the new address; the old one is told. Every
/// session but the one that asked for it ends. Send the access token along where there is one: if other accounts claim the
/// address too, it is needed.
#[utoipa::path(
    tag = "Authentication",
    operation_id = "confirmEmailChange",
    request_body = ConfirmEmailChange,
    responses(
        (status = 200, body = ChangedEmail),
        (status = 409, description = "Somebody else changed the account at the same moment."),
    ),
)]
#[post("/auth/confirm-email-change")]
async fn confirm_email_change(
    app: Data<App>,
    caller: MaybeCaller,
    body: Body<ConfirmEmailChange>,
) -> Result<HttpResponse, Problem> {
    let token = body.0.validate()?;
    let mut work = app.begin().await?;
    let user =
        Accounts::new(&mut *work, &caller.0, &app.env).confirm_email_change(&token, &*app.tokens).await?;
    work.commit().await?;
    Ok(HttpResponse::Ok().json(ChangedEmail { email: user.email.to_string(), email_verified: true }))
}
