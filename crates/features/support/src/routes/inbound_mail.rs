//! Mail that a provider brings.

use actix_web::{
    HttpRequest, HttpResponse,
    http::header,
    post,
    web::{Data, Payload},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use portico_kernel::Kind;
use portico_support::{SupportError, inbound::MAIL_MAX};
use portico_web::{
    body::collect,
    caller::Visitor,
    problem::{Problem, ProblemBody},
    routing::{Routes, WRITE},
    write::WithJson,
};
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;
use utoipa::ToSchema;

use crate::{
    flows::inbound::{Outcome, receive},
    state::App,
};

/// Most bytes of what the provider sends: JSON needs more than the mail that is in it, and the provider adds what it has read of it.
const BODY_MAX: usize = 4 * MAIL_MAX;

/// Adds the route.
pub fn configure(config: &mut Routes<'_, '_>) {
    config.service(WRITE.signed(), deliver);
}

/// What Postmark sends, as far as it is read. Its other members are what it has made of the mail; here the mail itself is read.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct InboundMessage {
    /// The address that the mail went to.
    original_recipient: String,
    /// The mail (RFC 5322).
    raw_email: String,
}

/// What became of a mail.
#[derive(Serialize, ToSchema)]
struct MailReceipt {
    /// What became of it. Whatever it is, the mail need not be sent again.
    outcome: Outcome,
}

/// Receive a mail
///
/// For the mail provider: the format is that of the inbound webhook of Postmark with the raw mail in it. It shows its password in
/// `Authorization: Basic`; the name beside it does not matter. A mail that answers a ticket becomes a message of it, once however often it
/// comes.
#[utoipa::path(
    tag = "Support",
    operation_id = "receiveInboundMail",
    request_body(
        content = String,
        content_type = "application/octet-stream",
        description = "JSON as Postmark sends it, with \"Include raw email content in JSON payload\". Members that are not named here are not read.",
        example = json!("{\"OriginalRecipient\": \"reply@reply.example.com\", \"RawEmail\": \"From: ada@example.com\\r\\n\\r\\nIt is 2.4.1.\"}"),
    ),
    responses(
        (status = 200, body = MailReceipt),
        (status = 400, description = "The password is missing or wrong (`invalid_signature`), or the body is not what the provider sends (`malformed_body`).", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
#[post("/webhooks/inbound-mail")]
async fn deliver(
    app: Data<App>,
    visitor: Visitor,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, Problem> {
    if !is_from_provider(&app, &request) {
        return Err(SupportError::NotFromProvider.into());
    }
    let body = collect(&request, payload.into_inner(), BODY_MAX).await?;
    let message: InboundMessage = serde_json::from_slice(&body).map_err(|_| {
        Problem::new(Kind::Malformed, "malformed_body", "Send JSON with OriginalRecipient and RawEmail.")
    })?;
    let (recipient, raw) = (&message.original_recipient, message.raw_email.as_bytes());
    let outcome = receive(&app, &visitor.0.request, recipient, raw).await?;
    Ok(HttpResponse::Ok().with_json(&MailReceipt { outcome }))
}

/// Whether the password is the one of the settings. Where none is set, nobody brings mail.
fn is_from_provider(app: &App, request: &HttpRequest) -> bool {
    let Some(expected) = &app.rule.inbound_password else { return false };
    let shown = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let shown =
        shown.and_then(|text| text.strip_prefix("Basic ")).and_then(|text| STANDARD.decode(text.trim()).ok());
    let Some(shown) = shown else { return false };
    let password = shown.splitn(2, |byte| *byte == b':').nth(1).unwrap_or_default();
    password.ct_eq(expected.expose_secret().as_bytes()).into()
}
