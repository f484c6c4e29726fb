//! Webhooks of a tenant.

use actix_web::{
    HttpRequest, HttpResponse, Responder, delete, get,
    http::header::{self, CACHE_CONTROL, HeaderValue},
    post, put,
    web::{Data, Path},
};
use portico_kernel::{List, TenantId, WebhookId};
use portico_runtime::events::catalogue;
use portico_tenancy::{
    delivery::{Deliveries, DeliveryView},
    webhook::{
        EventType, NewWebhook, SecretRotation, Webhook, WebhookRules, WebhookUpdate, WebhookView, Webhooks,
        event_types,
    },
};
use portico_web::{
    body::{Body, OptionalBody},
    caller::Caller,
    conditional,
    list::Listed,
    problem::{Problem, ProblemBody},
    query::{Paging, Query},
    routing::{KEYED, MERGE, READ, Routes, WRITE},
    write::WithJson,
};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use utoipa::ToSchema;

use crate::state::App;

fn rules(app: &App) -> WebhookRules<'_> {
    WebhookRules {
        most: app.core.settings.webhooks.max_per_tenant,
        events: catalogue(),
        http: &*app.webhook_client,
        sealer: &*app.core.sealer,
    }
}

/// Adds the routes.
pub fn configure(config: &mut Routes<'_, '_>) {
    config
        .service(READ.for_anyone(), types)
        .service(READ, list)
        .service(KEYED, create)
        .service(READ, read)
        .service(MERGE, update)
        .service(WRITE, remove)
        .service(KEYED, rotate)
        .service(KEYED, pause)
        .service(KEYED, resume)
        .service(KEYED, test);
}

/// A webhook with its secret.
#[derive(Serialize, ToSchema)]
struct WebhookWithSecret {
    #[serde(flatten)]
    webhook: WebhookView,
    /// The key that deliveries are signed with (Standard Webhooks). It is shown this once.
    #[schema(example = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")]
    secret: String,
}

impl WebhookWithSecret {
    fn new(webhook: &Webhook, secret: &SecretString) -> Self {
        Self { webhook: webhook.view(), secret: secret.expose_secret().to_owned() }
    }
}

/// Forbids caching by clients and intermediaries.
fn unstored(mut response: HttpResponse) -> HttpResponse {
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn changed(webhook: &Webhook) -> HttpResponse {
    conditional::updated(webhook.version, &webhook.view())
}

/// List types of events
///
/// The events that webhooks and live updates can subscribe to, and the permission required for each. Public: no sign-in is
/// needed.
#[utoipa::path(tag = "Webhooks", operation_id = "listEventTypes", responses((status = 200, body = List<EventType>)))]
#[get("/event-types")]
async fn types() -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((CACHE_CONTROL, "public, max-age=300"))
        .with_json(&event_types(catalogue()))
}

/// List webhooks
///
/// Newest first.
#[utoipa::path(
    tag = "Webhooks",
    operation_id = "listWebhooks",
    params(("tenantId" = TenantId, Path), Paging),
    responses((status = 200, body = List<WebhookView>)),
    security(("bearer" = ["webhooks:read"])),
)]
#[get("/tenants/{tenantId}/webhooks")]
async fn list(app: Data<App>, caller: Caller, query: Query<Paging>) -> Result<impl Responder, Problem> {
    let request = query.0.request()?;
    let found = Webhooks::new(&mut *app.core.reader(), &caller.0, &app.core.env).list(request).await?;
    let items: Vec<WebhookView> = found.items.iter().map(Webhook::view).collect();
    Ok(Listed(List::new(items, request, found.total)))
}

/// Create a webhook
///
/// From now on the events that it names are sent to its URL as HTTP POST, signed as Standard Webhooks. The answer has the
/// secret in `secret`, only this once.
#[utoipa::path(
    tag = "Webhooks",
    operation_id = "createWebhook",
    params(("tenantId" = TenantId, Path)),
    request_body = NewWebhook,
    responses(
        (status = 201, body = WebhookWithSecret, headers(("Location" = String), ("ETag" = String))),
        (status = 403, description = "Not allowed; `email_unverified` while the address of the account is not verified."),
        (status = 409, description = "The tenant has as many webhooks as it may.", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["webhooks:write"])),
)]
#[post("/tenants/{tenantId}/webhooks")]
async fn create(app: Data<App>, caller: Caller, body: Body<NewWebhook>) -> Result<HttpResponse, Problem> {
    caller
        .write(&app.core, async |work| {
            let (webhook, secret) =
                Webhooks::new(&mut *work, &caller.0, &app.core.env).create(body.0, rules(&app)).await?;
            let location = format!("/api/v1/tenants/{}/webhooks/{}", webhook.tenant, webhook.id);
            Ok(unstored(conditional::created(
                &location,
                webhook.version,
                &WebhookWithSecret::new(&webhook, &secret),
            )))
        })
        .await
}

/// Read a webhook
#[utoipa::path(
    tag = "Webhooks",
    operation_id = "getWebhook",
    params(("tenantId" = TenantId, Path), ("webhookId" = WebhookId, Path)),
    responses((status = 200, body = WebhookView, headers(("ETag" = String)))),
    security(("bearer" = ["webhooks:read"])),
)]
#[get("/tenants/{tenantId}/webhooks/{webhookId}")]
async fn read(
    app: Data<App>,
    caller: Caller,
    path: Path<(TenantId, WebhookId)>,
) -> Result<HttpResponse, Problem> {
    let webhook = Webhooks::new(&mut *app.core.reader(), &caller.0, &app.core.env).get(path.1).await?;
    // Never 304: deliveries change `failures`, and not the version.
    Ok(changed(&webhook))
}

/// Update a webhook
///
/// Another URL is used from the next attempt on, also for pending deliveries.
#[utoipa::path(
    tag = "Webhooks",
    operation_id = "updateWebhook",
    params(("tenantId" = TenantId, Path), ("webhookId" = WebhookId, Path), ("If-Match" = Option<String>, Header)),
    request_body = WebhookUpdate,
    responses(
        (status = 200, body = WebhookView, headers(("ETag" = String))),
        (status = 403, description = "Not allowed; `email_unverified` while the address of the account is not verified."),
        (status = 409, description = "Another request changed it at the same moment.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 412, description = "Changed since it was read.", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["webhooks:write"])),
)]
#[put("/tenants/{tenantId}/webhooks/{webhookId}")]
async fn update(
    app: Data<App>,
    caller: Caller,
    request: HttpRequest,
    path: Path<(TenantId, WebhookId)>,
    body: Body<WebhookUpdate>,
) -> Result<HttpResponse, Problem> {
    let expected = conditional::expected_version(&request);
    caller
        .write(&app.core, async |work| {
            let mut webhooks = Webhooks::new(&mut *work, &caller.0, &app.core.env);
            let webhook = webhooks.update(path.1, body.0, expected, rules(&app)).await?;
            Ok(changed(&webhook))
        })
        .await
}

/// Delete a webhook
///
/// With the log of its deliveries. Pending deliveries are discarded.
#[utoipa::path(
    tag = "Webhooks",
    operation_id = "deleteWebhook",
    params(("tenantId" = TenantId, Path), ("webhookId" = WebhookId, Path), ("If-Match" = Option<String>, Header)),
    responses(
        (status = 204, description = "Deleted."),
        (status = 412, description = "Changed since it was read.", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["webhooks:write"])),
)]
#[delete("/tenants/{tenantId}/webhooks/{webhookId}")]
async fn remove(
    app: Data<App>,
    caller: Caller,
    request: HttpRequest,
    path: Path<(TenantId, WebhookId)>,
) -> Result<HttpResponse, Problem> {
    let expected = conditional::expected_version(&request);
    caller
        .write(&app.core, async |work| {
            Webhooks::new(&mut *work, &caller.0, &app.core.env).delete(path.1, expected).await?;
            Ok(HttpResponse::NoContent().finish())
        })
        .await
}

/// Rotate the secret of a webhook
///
/// The new secret is in `secret` of the answer, only this once. During the overlap deliveries have two signatures, one with
/// each secret, so that the receiver can be changed over at any moment of it. Rotating again during the overlap ends the
/// oldest secret.
#[utoipa::path(
    tag = "Webhooks",
    operation_id = "rotateWebhookSecret",
    params(("tenantId" = TenantId, Path), ("webhookId" = WebhookId, Path), ("If-Match" = Option<String>, Header)),
    request_body = Option<SecretRotation>,
    responses(
        (status = 200, body = WebhookWithSecret, headers(("ETag" = String))),
        (status = 403, description = "Not allowed; `email_unverified` while the address of the account is not verified."),
        (status = 409, description = "Another request changed it at the same moment.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 412, description = "Changed since it was read.", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["webhooks:write"])),
)]
#[post("/tenants/{tenantId}/webhooks/{webhookId}/rotate-secret")]
async fn rotate(
    app: Data<App>,
    caller: Caller,
    request: HttpRequest,
    path: Path<(TenantId, WebhookId)>,
    body: OptionalBody<SecretRotation>,
) -> Result<HttpResponse, Problem> {
    let expected = conditional::expected_version(&request);
    caller
        .write(&app.core, async |work| {
            let mut webhooks = Webhooks::new(&mut *work, &caller.0, &app.core.env);
            let (webhook, secret) = webhooks.rotate(path.1, body.0, expected, &*app.core.sealer).await?;
            Ok(unstored(conditional::updated(webhook.version, &WebhookWithSecret::new(&webhook, &secret))))
        })
        .await
}

/// Pause a webhook
///
/// Nothing is sent to it until it is resumed. Pending deliveries wait; events that occur meanwhile are not sent, unless
/// requested with `resend`.
#[utoipa::path(
    tag = "Webhooks",
    operation_id = "pauseWebhook",
    params(("tenantId" = TenantId, Path), ("webhookId" = WebhookId, Path)),
    responses(
        (status = 200, body = WebhookView, headers(("ETag" = String))),
        (status = 409, description = "Another request changed it at the same moment.", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["webhooks:write"])),
)]
#[post("/tenants/{tenantId}/webhooks/{webhookId}/pause")]
async fn pause(
    app: Data<App>,
    caller: Caller,
    path: Path<(TenantId, WebhookId)>,
) -> Result<HttpResponse, Problem> {
    caller
        .write(&app.core, async |work| {
            let webhook = Webhooks::new(&mut *work, &caller.0, &app.core.env).pause(path.1).await?;
            Ok(changed(&webhook))
        })
        .await
}

/// Resume a webhook
///
/// After a pause, and also after it was disabled because it failed for too long.
#[utoipa::path(
    tag = "Webhooks",
    operation_id = "resumeWebhook",
    params(("tenantId" = TenantId, Path), ("webhookId" = WebhookId, Path)),
    responses(
        (status = 200, body = WebhookView, headers(("ETag" = String))),
        (status = 403, description = "Not allowed; `email_unverified` while the address of the account is not verified."),
        (status = 409, description = "Another request changed it at the same moment.", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["webhooks:write"])),
)]
#[post("/tenants/{tenantId}/webhooks/{webhookId}/resume")]
async fn resume(
    app: Data<App>,
    caller: Caller,
    path: Path<(TenantId, WebhookId)>,
) -> Result<HttpResponse, Problem> {
    caller
        .write(&app.core, async |work| {
            let webhook = Webhooks::new(&mut *work, &caller.0, &app.core.env).resume(path.1).await?;
            Ok(changed(&webhook))
        })
        .await
}

/// Test a webhook
///
/// Sends it a message of type `webhook.test` at once, also when it is paused or disabled. `Location` is where to read the
/// result of the delivery.
#[utoipa::path(
    tag = "Webhooks",
    operation_id = "testWebhook",
    params(("tenantId" = TenantId, Path), ("webhookId" = WebhookId, Path)),
    responses(
        (status = 202, description = "On its way.", body = DeliveryView, headers(("Location" = String))),
        (status = 403, description = "Not allowed; `email_unverified` while the address of the account is not verified."),
    ),
    security(("bearer" = ["webhooks:write"])),
)]
#[post("/tenants/{tenantId}/webhooks/{webhookId}/test")]
async fn test(
    app: Data<App>,
    caller: Caller,
    path: Path<(TenantId, WebhookId)>,
) -> Result<HttpResponse, Problem> {
    caller
        .write(&app.core, async |work| {
            let delivery = Deliveries::new(&mut *work, &caller.0, &app.core.env).test(path.1).await?;
            let location = format!("/api/v1/tenants/{}/deliveries/{}", delivery.tenant, delivery.id);
            Ok(HttpResponse::Accepted()
                .insert_header((header::LOCATION, location))
                .with_json(&delivery.view()))
        })
        .await
}
