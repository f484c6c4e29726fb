//! What a tenant pays with, and the provider's portal.

use actix_web::{
    HttpResponse, delete, get, post, put,
    web::{Data, Path},
};
use portico_billing::{
    payment_method::{DefaultPaymentMethod, PortalRequest, SetupRequest, SetupSession},
    subscription_provider::PaymentMethod,
};
use portico_kernel::{List, PageRequest};
use portico_web::{
    admission::Class,
    body::Body,
    caller::Caller,
    problem::{Problem, ProblemBody},
    routing::{READ, Routes, WRITE},
    write::WithJson,
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{flows::payment_methods, state::App};

/// Adds the routes.
pub fn configure(config: &mut Routes<'_, '_>) {
    config
        .service(READ.waiting_in(Class::Outside), list)
        // Not keyed: pages are good for one use.
        .service(WRITE.waiting_in(Class::Outside), setup)
        .service(WRITE.waiting_in(Class::Outside), choose)
        .service(WRITE.waiting_in(Class::Outside), remove)
        .service(WRITE.waiting_in(Class::Outside), portal);
}

/// A page of the provider's portal.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"url": "https://billing.stripe.com/p/session/test_a1b2c3"}))]
struct PortalPage {
    /// The page to send the customer to. It is good for some minutes, and for whoever has it.
    url: String,
}

/// List payment methods
///
/// What the active tenant has on file at the payment provider, the newest first; at most 100. Numbers of cards are never here.
#[utoipa::path(
    tag = "Billing",
    operation_id = "listPaymentMethods",
    responses(
        (status = 200, body = List<PaymentMethod>),
        (status = 503, description = "The payment provider does not answer (`payment_provider_unavailable`).", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["billing:write"])),
)]
#[get("/billing/payment-methods")]
async fn list(app: Data<App>, caller: Caller) -> Result<HttpResponse, Problem> {
    let methods = payment_methods::list(&app, &caller.0).await?;
    let (page, total) = (PageRequest { page: 1, limit: PageRequest::MAX_LIMIT }, methods.len() as u64);
    Ok(HttpResponse::Ok().with_json(&List::new(methods, page, total)))
}

/// Put a payment method on file
///
/// Answers a page of the payment provider, which asks for it and has the bank confirm it. The first one becomes the default.
#[utoipa::path(
    tag = "Billing",
    operation_id = "createPaymentMethod",
    request_body = SetupRequest,
    responses(
        (status = 201, body = SetupSession),
        (status = 409, description = "Nothing can be paid here (`payment_unsupported`).", body = ProblemBody, content_type = "application/problem+json"),
        (status = 403, description = "Not allowed; `email_unverified` while the address of the account is not verified."),
        (status = 503, description = "The payment provider does not answer (`payment_provider_unavailable`).", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["billing:write"])),
)]
#[post("/billing/payment-methods")]
async fn setup(app: Data<App>, caller: Caller, body: Body<SetupRequest>) -> Result<HttpResponse, Problem> {
    let session = payment_methods::setup(&app, &caller.0, &body.0).await?;
    Ok(HttpResponse::Created().with_json(&session))
}

/// Choose the default payment method
///
/// The subscription is paid with it from now on.
#[utoipa::path(
    tag = "Billing",
    operation_id = "updateDefaultPaymentMethod",
    request_body = DefaultPaymentMethod,
    responses(
        (status = 200, body = PaymentMethod),
        (status = 404, description = "The tenant has no such payment method on file.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 403, description = "Not allowed; `email_unverified` while the address of the account is not verified."),
        (status = 503, description = "The payment provider does not answer (`payment_provider_unavailable`).", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["billing:write"])),
)]
#[put("/billing/payment-method")]
async fn choose(
    app: Data<App>,
    caller: Caller,
    body: Body<DefaultPaymentMethod>,
) -> Result<HttpResponse, Problem> {
    payment_methods::choose(&app, &caller, &body.0).await
}

/// Remove a payment method
///
/// Takes it off the file, for good. What a running subscription is paid with can be replaced only.
#[utoipa::path(
    tag = "Billing",
    operation_id = "deletePaymentMethod",
    params(("paymentMethodId" = String, Path, description = "The provider's id of it.")),
    responses(
        (status = 204, description = "It is not on file any more."),
        (status = 404, description = "The tenant has no such payment method on file.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "A running subscription is paid with it (`payment_method_needed`).", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "The payment provider does not answer (`payment_provider_unavailable`).", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["billing:write"])),
)]
#[delete("/billing/payment-methods/{paymentMethodId}")]
async fn remove(app: Data<App>, caller: Caller, path: Path<String>) -> Result<HttpResponse, Problem> {
    payment_methods::remove(&app, &caller, &path).await
}

/// Open the portal of the payment provider
///
/// Invoices, and what is on file. Plans are changed here and not there.
#[utoipa::path(
    tag = "Billing",
    operation_id = "createPortalSession",
    request_body = PortalRequest,
    responses(
        (status = 201, body = PortalPage),
        (status = 409, description = "Nothing can be paid here (`payment_unsupported`).", body = ProblemBody, content_type = "application/problem+json"),
        (status = 403, description = "Not allowed; `email_unverified` while the address of the account is not verified."),
        (status = 503, description = "The payment provider does not answer (`payment_provider_unavailable`).", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["billing:write"])),
)]
#[post("/billing/portal-session")]
async fn portal(app: Data<App>, caller: Caller, body: Body<PortalRequest>) -> Result<HttpResponse, Problem> {
    let url = payment_methods::portal(&app, &caller.0, &body.0).await?;
    Ok(HttpResponse::Created().with_json(&PortalPage { url }))
}
