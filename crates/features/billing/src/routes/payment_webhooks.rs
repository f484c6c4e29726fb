//! Webhooks of payment providers.

use actix_web::{
    HttpRequest, HttpResponse, post,
    web::{Data, Payload},
};
use portico_billing::payment::Provider;
use portico_web::{
    body::{BodyLimit, collect},
    caller::Visitor,
    problem::{Problem, ProblemBody},
    routing::{Routes, WRITE},
    write::WithJson,
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{flows::payments, state::App};

/// Adds the routes.
pub fn configure(config: &mut Routes<'_, '_>) {
    config.service(WRITE.signed(), stripe).service(WRITE.signed(), recurrente);
}

/// An event was stored.
#[derive(Serialize, ToSchema)]
struct EventReceipt {
    /// Whether it is stored: always true.
    received: bool,
}

/// Receive an event of Stripe
///
/// For Stripe, which signs what it sends (`Stripe-Signature`). An event is stored once, however often it comes, and worked off in the
/// background: whatever it says is asked of Stripe again.
#[utoipa::path(
    tag = "Purchases",
    operation_id = "receiveStripeEvent",
    request_body(
        content = String,
        content_type = "application/octet-stream",
        description = "The event, byte by byte as Stripe sends it: the signature is over these bytes.",
        example = json!("{\"id\": \"evt_1a2b3c\", \"type\": \"checkout.session.completed\"}"),
    ),
    responses(
        (status = 200, body = EventReceipt),
        (status = 400, description = "The signature is missing, wrong, or too old (`invalid_signature`). Nothing is stored.", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
#[post("/webhooks/stripe")]
async fn stripe(
    app: Data<App>,
    visitor: Visitor,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, Problem> {
    take(&app, &visitor, Provider::Stripe, &request, payload).await
}

/// Receive an event of Recurrente
///
/// For Recurrente, which has Svix send its events and sign them (`svix-id`, `svix-timestamp`, `svix-signature`). An event is stored once,
/// however often it comes, and worked off in the background: whatever it says is asked of Recurrente again.
#[utoipa::path(
    tag = "Sites for sale",
    operation_id = "receiveRecurrenteEvent",
    request_body(
        content = String,
        content_type = "application/octet-stream",
        description = "The event, byte by byte as it is sent: the signature is over these bytes.",
        example = json!("{\"event_type\": \"intent.succeeded\", \"checkout\": {\"id\": \"ch_eegw9j5zgqoae3ms\"}}"),
    ),
    responses(
        (status = 200, body = EventReceipt),
        (status = 400, description = "The signature is missing, wrong, or too old (`invalid_signature`). Nothing is stored.", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
#[post("/webhooks/recurrente")]
async fn recurrente(
    app: Data<App>,
    visitor: Visitor,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, Problem> {
    take(&app, &visitor, Provider::Recurrente, &request, payload).await
}

async fn take(
    app: &App,
    visitor: &Visitor,
    provider: Provider,
    request: &HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, Problem> {
    let limit = request.app_data::<BodyLimit>().map_or(0, |limit| limit.0);
    // As it came: the signature is over these bytes.
    let body = collect(request, payload.into_inner(), limit).await?;
    let headers: Vec<(String, String)> = request
        .headers()
        .iter()
        .filter_map(|(name, value)| Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned())))
        .collect();
    payments::receive(app, &visitor.0, provider, &headers, &body).await?;
    Ok(HttpResponse::Ok().with_json(&EventReceipt { received: true }))
}
