//! Use cases of deliveries for members: reading them, and having them sent again.

use portico_kernel::{
    CursorPage, CursorRequest, DeliveryId, Env, Event, EventId, JobType, NewJob, Permission, Scope,
    StoreError, TenantId, Timestamp, Violations, WebhookId,
    catalogue::{EventCatalogue, TEST},
    message::{EventMessage, MessageActor},
};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Content, Delivery, DeliveryCause, DeliveryFilter, DeliveryStatus, Window};
use crate::{
    TenancyError, events,
    ports::{PlannedDelivery, TenancyRepositories},
    webhook::{Webhook, WebhookStatus},
};

/// Events processed in one transaction.
const BATCH: u32 = 500;

/// Which events to send to a webhook again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({"from": "2026-11-21T00:00:00Z", "onlyFailed": true})))]
pub struct Resend {
    /// Events that happened then or later.
    #[serde(alias = "since")]
    #[cfg_attr(feature = "openapi", schema(required, value_type = Timestamp))]
    pub from: Option<Timestamp>,
    /// Events that happened before; until now when absent.
    #[serde(alias = "until", skip_serializing_if = "Option::is_none")]
    pub to: Option<Timestamp>,
    /// Only those that have not arrived: every attempt failed, or there was none, because the webhook was paused or switched
    /// off. True when absent.
    #[serde(alias = "only_failed", skip_serializing_if = "Option::is_none")]
    pub only_failed: Option<bool>,
}

/// The job that plans deliveries again, see [`Deliveries::plan`].
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ResendPlan {
    webhook_id: WebhookId,
    since: Timestamp,
    until: Timestamp,
    only_failed: bool,
    requested_at: Timestamp,
}

impl JobType for ResendPlan {
    const KIND: &'static str = "webhook.resend";
    /// The database may be down for about a day.
    const MAX_ATTEMPTS: u32 = 36;
}

/// Use cases around deliveries to the webhooks of the active tenant.
pub struct Deliveries<'a> {
    repositories: &'a mut dyn TenancyRepositories,
    scope: &'a Scope,
    env: &'a Env,
}

impl<'a> Deliveries<'a> {
    /// Over an open unit of work, or a reader for what only reads.
    pub fn new(repositories: &'a mut dyn TenancyRepositories, scope: &'a Scope, env: &'a Env) -> Self {
        Self { repositories, scope, env }
    }

    /// Attempts, newest first.
    pub async fn list(
        &mut self,
        filter: DeliveryFilter,
        request: CursorRequest,
        catalogue: &EventCatalogue,
    ) -> Result<CursorPage<Delivery>, TenancyError> {
        let tenant = self.scope.require(Permission::WebhooksRead)?;
        let filter = checked(filter, &request, catalogue)?;
        Ok(self.repositories.deliveries().list(tenant, filter, request).await?)
    }

    /// Attempts to deliver to one webhook, newest first.
    pub async fn of_webhook(
        &mut self,
        webhook: WebhookId,
        filter: DeliveryFilter,
        request: CursorRequest,
        catalogue: &EventCatalogue,
    ) -> Result<CursorPage<Delivery>, TenancyError> {
        let tenant = self.scope.require(Permission::WebhooksRead)?;
        let filter = checked(DeliveryFilter { webhook: Some(webhook), ..filter }, &request, catalogue)?;
        self.webhook(tenant, webhook).await?;
        Ok(self.repositories.deliveries().list(tenant, filter, request).await?)
    }

    /// One of them.
    pub async fn get(&mut self, id: DeliveryId) -> Result<Delivery, TenancyError> {
        let tenant = self.scope.require(Permission::WebhooksRead)?;
        self.existing(tenant, id).await
    }

    /// Plans to send the same once more, at once and whatever its status. Errors: [`TenancyError::WebhookNotEnabled`];
    /// [`TenancyError::EventForgotten`].
    pub async fn resend(&mut self, id: DeliveryId) -> Result<Delivery, TenancyError> {
        let tenant = self.scope.require(Permission::WebhooksWrite)?;
        self.scope.require_verified()?;
        let before = self.existing(tenant, id).await?;
        let webhook = self.webhook(tenant, before.webhook_id).await?;
        if webhook.status != WebhookStatus::Enabled {
            return Err(TenancyError::WebhookNotEnabled);
        }
        let payload = match self.repositories.deliveries().content(&before).await? {
            Content::Message(message) => Some(message),
            Content::Event => None,
            Content::Forgotten => return Err(TenancyError::EventForgotten),
        };
        let cause = if payload.is_some() { DeliveryCause::Test } else { DeliveryCause::Resend };
        let (event, name) = (before.event_id, before.event_type);
        let again =
            PlannedDelivery { payload, ..planned(self.env, &webhook, event, name, before.sequence, cause) };
        self.repositories.delivery_plans().plan(vec![again.clone()]).await?;
        let after = json!({"deliveryId": again.id, "eventId": again.event, "eventType": again.event_type});
        self.note(webhook.id, after).await?;
        Ok(pending(again))
    }

    /// Has all events since a time sent to a webhook again, in the background. Answers the bounds of the window. Errors:
    /// [`TenancyError::WebhookNotEnabled`].
    pub async fn resend_since(&mut self, id: WebhookId, input: Resend) -> Result<Resend, TenancyError> {
        let tenant = self.scope.require(Permission::WebhooksWrite)?;
        self.scope.require_verified()?;
        let webhook = self.webhook(tenant, id).await?;
        let now = self.env.now();
        let mut violations = Violations::default();
        violations.check(input.from.is_some(), "from", "required", "This field is required.");
        let in_past = input.from.is_none_or(|from| from <= now);
        violations.check(in_past, "from", "out_of_range", "Use a time in the past.");
        if let (Some(from), Some(to)) = (input.from, input.to) {
            violations.check(from <= to, "to", "before_from", "The end must not be before the beginning.");
        }
        violations.into_result()?;
        let Some(since) = input.from else { return Err(TenancyError::NotFound("time")) };
        if webhook.status != WebhookStatus::Enabled {
            return Err(TenancyError::WebhookNotEnabled);
        }
        let until = input.to.unwrap_or(now).min(now);
        let only_failed = input.only_failed.unwrap_or(true);
        let plan = ResendPlan { webhook_id: id, since, until, only_failed, requested_at: now };
        let job = NewJob::new(self.env, self.scope, tenant, &plan);
        self.repositories.jobs().enqueue(job).await?;
        self.note(id, json!({"from": since, "to": until, "onlyFailed": only_failed})).await?;
        Ok(Resend { from: Some(since), to: Some(until), only_failed: Some(only_failed) })
    }

    /// Plans the next events of [`Deliveries::resend_since`] behind `after`, and answers the last one of them; `None` at the end.
    /// For the background job, one transaction a call: run again from the beginning, it skips what it has planned before.
    pub async fn plan(
        &mut self,
        plan: &ResendPlan,
        after: Option<EventId>,
        catalogue: &EventCatalogue,
    ) -> Result<Option<EventId>, TenancyError> {
        let tenant = self.scope.require(Permission::WebhooksWrite)?;
        let Some(webhook) = self.repositories.webhooks().find(tenant, plan.webhook_id).await? else {
            return Ok(None);
        };
        if webhook.status != WebhookStatus::Enabled {
            return Ok(None);
        }
        let bounds = Window {
            kinds: webhook.kinds(catalogue),
            since: plan.since,
            until: plan.until,
            only_failed: plan.only_failed,
            requested_at: plan.requested_at,
        };
        let found = self.repositories.deliveries().window(tenant, webhook.id, &bounds, after, BATCH).await?;
        let again: Vec<PlannedDelivery> = found
            .iter()
            .filter(|event| event.wanted)
            .filter_map(|event| {
                let name = catalogue.published(&event.kind)?.name.to_owned();
                Some(planned(self.env, &webhook, event.event, name, event.sequence, DeliveryCause::Resend))
            })
            .collect();
        if !again.is_empty() {
            self.repositories.delivery_plans().plan(again).await?;
        }
        Ok(found.last().map(|event| event.event))
    }

    /// Plans a test message, also to a webhook that is not enabled.
    pub async fn test(&mut self, id: WebhookId) -> Result<Delivery, TenancyError> {
        let tenant = self.scope.require(Permission::WebhooksWrite)?;
        self.scope.require_verified()?;
        let webhook = self.webhook(tenant, id).await?;
        let event = Event::new(self.env, self.scope, &events::WEBHOOK_TESTED, id.uuid());
        let test = planned(self.env, &webhook, self.env.new_id(), TEST.to_owned(), None, DeliveryCause::Test);
        let message = EventMessage {
            id: test.event,
            kind: TEST.into(),
            timestamp: test.created_at,
            tenant_id: tenant,
            sequence: None,
            actor: MessageActor { kind: event.actor_kind, id: event.actor_id },
            resource: event.resource.clone(),
            data: Some(json!({"webhookId": id, "message": "This is a test."})),
            changes: serde_json::Map::new(),
        };
        let payload = serde_json::to_value(message).map_err(|error| StoreError::Internal(Box::new(error)))?;
        let test = PlannedDelivery { payload: Some(payload), ..test };
        self.repositories.delivery_plans().plan(vec![test.clone()]).await?;
        let event = event.after(&json!({"deliveryId": test.id}));
        self.repositories.events().append(event).await?;
        Ok(pending(test))
    }

    async fn existing(&mut self, tenant: TenantId, id: DeliveryId) -> Result<Delivery, TenancyError> {
        let found = self.repositories.deliveries().find(tenant, id).await?;
        found.ok_or(TenancyError::NotFound("delivery"))
    }

    async fn webhook(&mut self, tenant: TenantId, id: WebhookId) -> Result<Webhook, TenancyError> {
        self.repositories.webhooks().find(tenant, id).await?.ok_or(TenancyError::NotFound("webhook"))
    }

    async fn note(&mut self, webhook: WebhookId, after: serde_json::Value) -> Result<(), TenancyError> {
        let event = Event::new(self.env, self.scope, &events::WEBHOOK_DELIVERIES_RESENT, webhook.uuid())
            .after(&after);
        Ok(self.repositories.events().append(event).await?)
    }
}

/// A first attempt that is due at once.
fn planned(
    env: &Env,
    webhook: &Webhook,
    event: EventId,
    event_type: String,
    sequence: Option<i64>,
    cause: DeliveryCause,
) -> PlannedDelivery {
    let now = env.now();
    PlannedDelivery {
        id: env.new_id(),
        tenant: webhook.tenant,
        webhook: webhook.id,
        event,
        event_type,
        sequence,
        cause,
        attempt: 1,
        payload: None,
        due_at: now,
        created_at: now,
    }
}

/// A planned attempt as it is stored.
fn pending(planned: PlannedDelivery) -> Delivery {
    Delivery {
        id: planned.id,
        tenant: planned.tenant,
        webhook_id: planned.webhook,
        event_id: planned.event,
        event_type: planned.event_type,
        sequence: planned.sequence,
        cause: planned.cause,
        attempt: planned.attempt,
        status: DeliveryStatus::Pending,
        response_status: None,
        response_body: None,
        duration_ms: None,
        error: None,
        due_at: planned.due_at,
        created_at: planned.created_at,
        finished_at: None,
    }
}

/// Checks the filter and the cursor, and writes the id of an event the way the store does.
fn checked(
    mut filter: DeliveryFilter,
    request: &CursorRequest,
    catalogue: &EventCatalogue,
) -> Result<DeliveryFilter, TenancyError> {
    let mut violations = Violations::default();
    let cursor = request.cursor.as_ref().is_none_or(|text| text.parse::<DeliveryId>().is_ok());
    violations.check(cursor, "cursor", "invalid_cursor", "Use the nextCursor of the piece before.");
    let known = |name: &String| catalogue.is_name(name) || name == TEST;
    violations.check(
        filter.event_type.as_ref().is_none_or(known),
        "eventType",
        "unknown_event_type",
        "There is no such type of event; GET /event-types lists them.",
    );
    if let Some(text) = &mut filter.event_id {
        // Receivers know it with the prefix, the API returns it without.
        match text.strip_prefix("evt_").unwrap_or(text).parse::<EventId>() {
            Ok(id) => *text = id.to_string(),
            Err(_) => violations.add("eventId", "invalid_id", "Use an id as the API gives it out."),
        }
    }
    if let (Some(from), Some(to)) = (filter.from, filter.to) {
        violations.check(from <= to, "to", "before_from", "The end must not be before the beginning.");
    }
    violations.into_result()?;
    Ok(filter)
}
