//! Webhook deliveries, sent and pending.

use actix_web::{
    HttpResponse, Responder, get,
    http::header,
    post,
    web::{Data, Path},
};
use portico_kernel::{CursorPage, CursorRequest, DeliveryId, TenantId, Timestamp, WebhookId};
use portico_runtime::events::catalogue;
use portico_tenancy::delivery::{Deliveries, Delivery, DeliveryFilter, DeliveryStatus, DeliveryView, Resend};
use portico_web::{
    body::Body,
    caller::Caller,
    list::Listed,
    problem::{Problem, ProblemBody},
    query::{Query, cursor_request},
    routing::{KEYED, READ, Routes},
    write::WithJson,
};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::state::App;

/// Adds the routes.
pub fn configure(config: &mut Routes<'_, '_>) {
    config
        .service(READ, list)
        .service(READ, of_webhook)
        .service(READ, read)
        .service(KEYED, resend)
        .service(KEYED, resend_since);
}

/// Query of the list of a tenant's deliveries.
#[derive(Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
struct ListDeliveries {
    /// Id of the receiving webhook.
    webhook_id: Option<WebhookId>,
    /// Status of the delivery.
    status: Option<DeliveryStatus>,
    /// Type of the event.
    #[param(example = "page.published")]
    event_type: Option<String>,
    /// Id of the event, with or without the prefix `evt_`.
    #[param(example = "0199f3c2-6d4e-7c3a-9d7c-5a8e1f2b3c4d")]
    event_id: Option<String>,
    /// Not scheduled before this time.
    #[serde(alias = "since")]
    from: Option<Timestamp>,
    /// Scheduled before this time.
    #[serde(alias = "until")]
    to: Option<Timestamp>,
    /// The `nextCursor` of the previous page.
    #[param(format = "uuid")]
    cursor: Option<String>,
    /// Items on a page, 20 where absent.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u64>,
}

impl ListDeliveries {
    fn into_parts(self) -> Result<(DeliveryFilter, CursorRequest), Problem> {
        let Self { webhook_id: webhook, status, event_type, event_id, from, to, cursor, limit } = self;
        let filter = DeliveryFilter { webhook, status, event_type, event_id, from, to };
        Ok((filter, cursor_request(cursor, limit)?))
    }
}

/// Query of the list of a webhook's deliveries.
#[derive(Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
struct ListOfWebhook {
    /// Status of the delivery.
    status: Option<DeliveryStatus>,
    /// Type of the event.
    #[param(example = "page.published")]
    event_type: Option<String>,
    /// Id of the event, with or without the prefix `evt_`.
    #[param(example = "0199f3c2-6d4e-7c3a-9d7c-5a8e1f2b3c4d")]
    event_id: Option<String>,
    /// Not scheduled before this time.
    #[serde(alias = "since")]
    from: Option<Timestamp>,
    /// Scheduled before this time.
    #[serde(alias = "until")]
    to: Option<Timestamp>,
    /// The `nextCursor` of the previous page.
    #[param(format = "uuid")]
    cursor: Option<String>,
    /// Items on a page, 20 where absent.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u64>,
}

impl ListOfWebhook {
    fn into_parts(self) -> Result<(DeliveryFilter, CursorRequest), Problem> {
        let Self { status, event_type, event_id, from, to, cursor, limit } = self;
        let filter = DeliveryFilter { webhook: None, status, event_type, event_id, from, to };
        Ok((filter, cursor_request(cursor, limit)?))
    }
}

fn piece(found: CursorPage<Delivery>) -> Listed<CursorPage<DeliveryView>> {
    let items: Vec<DeliveryView> = found.items.iter().map(Delivery::view).collect();
    Listed(CursorPage { items, next_cursor: found.next_cursor })
}

/// List deliveries
///
/// Attempts to deliver to webhooks of the tenant, newest first. Each attempt is a delivery of its own; attempts for the
/// same event have the same `eventId`.
#[utoipa::path(
    tag = "Webhooks",
    operation_id = "listDeliveries",
    params(("tenantId" = TenantId, Path), ListDeliveries),
    responses((status = 200, body = CursorPage<DeliveryView>)),
    security(("bearer" = ["webhooks:read"])),
)]
#[get("/tenants/{tenantId}/deliveries")]
async fn list(
    app: Data<App>,
    caller: Caller,
    query: Query<ListDeliveries>,
) -> Result<impl Responder, Problem> {
    let (filter, request) = query.0.into_parts()?;
    let found = Deliveries::new(&mut *app.core.reader(), &caller.0, &app.core.env)
        .list(filter, request, catalogue())
        .await?;
    Ok(piece(found))
}

/// List deliveries to a webhook
///
/// Attempts to deliver to it, newest first.
#[utoipa::path(
    tag = "Webhooks",
    operation_id = "listWebhookDeliveries",
    params(("tenantId" = TenantId, Path), ("webhookId" = WebhookId, Path), ListOfWebhook),
    responses((status = 200, body = CursorPage<DeliveryView>)),
    security(("bearer" = ["webhooks:read"])),
)]
#[get("/tenants/{tenantId}/webhooks/{webhookId}/deliveries")]
async fn of_webhook(
    app: Data<App>,
    caller: Caller,
    path: Path<(TenantId, WebhookId)>,
    query: Query<ListOfWebhook>,
) -> Result<impl Responder, Problem> {
    let (filter, request) = query.0.into_parts()?;
    let mut repositories = app.core.reader();
    let mut deliveries = Deliveries::new(&mut *repositories, &caller.0, &app.core.env);
    Ok(piece(deliveries.of_webhook(path.1, filter, request, catalogue()).await?))
}

/// Read a delivery
///
/// With the first 512 bytes of the receiver's response body, if that is text or JSON.
#[utoipa::path(
    tag = "Webhooks",
    operation_id = "getDelivery",
    params(("tenantId" = TenantId, Path), ("deliveryId" = DeliveryId, Path)),
    responses((status = 200, body = DeliveryView)),
    security(("bearer" = ["webhooks:read"])),
)]
#[get("/tenants/{tenantId}/deliveries/{deliveryId}")]
async fn read(
    app: Data<App>,
    caller: Caller,
    path: Path<(TenantId, DeliveryId)>,
) -> Result<HttpResponse, Problem> {
    let delivery = Deliveries::new(&mut *app.core.reader(), &caller.0, &app.core.env).get(path.1).await?;
    Ok(HttpResponse::Ok().with_json(&delivery.view()))
}

/// Resend a delivery
///
/// Sends the same message to the same webhook once more, with the same `webhook-id`, whatever the result before. The new
/// attempt is a delivery of its own; `Location` is where to read its result.
#[utoipa::path(
    tag = "Webhooks",
    operation_id = "resendDelivery",
    params(("tenantId" = TenantId, Path), ("deliveryId" = DeliveryId, Path)),
    responses(
        (status = 202, description = "On its way.", body = DeliveryView, headers(("Location" = String))),
        (status = 403, description = "Not allowed; `email_unverified` while the address of the account is not verified."),
        (status = 409, description = "The webhook is paused or switched off (`webhook_not_enabled`), or the event log does not have the event any more (`event_forgotten`).", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["webhooks:write"])),
)]
#[post("/tenants/{tenantId}/deliveries/{deliveryId}/resend")]
async fn resend(
    app: Data<App>,
    caller: Caller,
    path: Path<(TenantId, DeliveryId)>,
) -> Result<HttpResponse, Problem> {
    caller
        .write(&app.core, async |work| {
            let delivery = Deliveries::new(&mut *work, &caller.0, &app.core.env).resend(path.1).await?;
            let location = format!("/api/v1/tenants/{}/deliveries/{}", delivery.tenant, delivery.id);
            Ok(HttpResponse::Accepted()
                .insert_header((header::LOCATION, location))
                .with_json(&delivery.view()))
        })
        .await
}

/// Resend to a webhook
///
/// Sends it all events of a period that it subscribes to, or only those not delivered, including events from while it was
/// paused or disabled. They are queued in the background; `Location` is the list of deliveries in which they appear.
#[utoipa::path(
    tag = "Webhooks",
    operation_id = "resendToWebhook",
    params(("tenantId" = TenantId, Path), ("webhookId" = WebhookId, Path)),
    request_body = Resend,
    responses(
        (status = 202, description = "They will be sent.", body = Resend, headers(("Location" = String))),
        (status = 403, description = "Not allowed; `email_unverified` while the address of the account is not verified."),
        (status = 409, description = "The webhook is paused or switched off.", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["webhooks:write"])),
)]
#[post("/tenants/{tenantId}/webhooks/{webhookId}/resend")]
async fn resend_since(
    app: Data<App>,
    caller: Caller,
    path: Path<(TenantId, WebhookId)>,
    body: Body<Resend>,
) -> Result<HttpResponse, Problem> {
    let (tenant, webhook) = path.into_inner();
    let now = app.core.env.now();
    caller
        .write(&app.core, async |work| {
            let planned =
                Deliveries::new(&mut *work, &caller.0, &app.core.env).resend_since(webhook, body.0).await?;
            let location = format!("/api/v1/tenants/{tenant}/webhooks/{webhook}/deliveries?from={now}");
            Ok(HttpResponse::Accepted().insert_header((header::LOCATION, location)).with_json(&planned))
        })
        .await
}
