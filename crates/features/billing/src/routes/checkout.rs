//! Buying: from an order to the page to pay at, and back.

use actix_web::{HttpResponse, post, web::Data};
use portico_billing::{checkout::CheckoutSession, order::Order};
use portico_kernel::{Permission, Violations};
use portico_web::{
    admission::Class,
    body::Body,
    caller::Caller,
    problem::{Problem, ProblemBody},
    routing::{KEYED, Routes, WRITE},
    write::WithJson,
};
use serde::Deserialize;
use utoipa::ToSchema;

use super::purchases::{PurchaseDetails, detailed};
use crate::{flows::checkout, state::App};

/// Most characters of the id of a session.
const SESSION_MAX: usize = 255;

/// Adds the routes.
pub fn configure(config: &mut Routes<'_, '_>) {
    config
        .service(KEYED.waiting_in(Class::Outside), create)
        // Not keyed: the answer is what the provider says now, and not what it said before.
        .service(WRITE.waiting_in(Class::Outside), success);
}

/// A buyer is back from the page to pay at.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
#[schema(example = json!({"sessionId": "cs_test_a1b2c3"}))]
struct CheckoutReturn {
    /// Id of the session, as it was answered when it was created.
    #[schema(required = true, min_length = 1, max_length = 255)]
    session_id: String,
}

/// Create a checkout session
///
/// Stores a purchase that is to be paid, and answers the page to send the buyer to. Prices are those of the catalogue, less what the coupon
/// takes off, if one is named and can be used. At most ten in a minute for each user. Only people with a verified address buy.
#[utoipa::path(
    tag = "Purchases",
    operation_id = "createCheckoutSession",
    request_body = Order,
    responses(
        (status = 201, body = CheckoutSession),
        (status = 403, description = "Not allowed; `email_unverified` while the address of the account is not verified."),
        (status = 402, description = "The payment provider declines it (`payment_failed`).", body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "The payment provider cannot do this (`payment_unsupported`), or what is to be paid is less than it charges (`amount_too_small`).", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "The payment provider does not answer (`payment_provider_unavailable`). Nothing was charged.", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["billing:write"])),
)]
#[post("/checkout/create-session")]
async fn create(app: Data<App>, caller: Caller, body: Body<Order>) -> Result<HttpResponse, Problem> {
    checkout::create(&app, &caller, &body.0).await
}

/// Confirm a checkout session
///
/// For the page that the buyer comes back to: asks the payment provider, and answers the purchase as it is then. One that is not paid yet is
/// still `pending`, and nothing is granted for it. It may be sent any number of times.
#[utoipa::path(
    tag = "Purchases",
    operation_id = "confirmCheckoutSession",
    request_body = CheckoutReturn,
    responses(
        (status = 200, body = PurchaseDetails),
        (status = 404, description = "The tenant has no such session.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "The payment provider does not answer (`payment_provider_unavailable`).", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["billing:write"])),
)]
#[post("/checkout/success")]
async fn success(
    app: Data<App>,
    caller: Caller,
    body: Body<CheckoutReturn>,
) -> Result<HttpResponse, Problem> {
    caller.0.require(Permission::BillingWrite)?;
    let mut violations = Violations::default();
    violations.line("sessionId", &body.0.session_id, 1, SESSION_MAX);
    violations.into_result().map_err(Problem::invalid)?;
    let purchase = checkout::confirm(&app, &caller.0, body.0.session_id.trim()).await?;
    let mut found = detailed(&app, &mut *app.core.reader(), &caller.0, vec![purchase]).await?;
    Ok(HttpResponse::Ok().with_json(&found.pop()))
}
