//! Deliveries: attempts to send an event to a webhook.

mod use_cases;

use portico_kernel::{DeliveryId, EventId, TenantId, Timestamp, WebhookId};
use serde::{Deserialize, Serialize};

pub use use_cases::{Deliveries, Resend, ResendPlan};

/// Status of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum DeliveryStatus {
    /// Waits for its time, or is under way.
    Pending,
    /// Answered with 2xx.
    Succeeded,
    /// Anything else. Where there is to be another attempt, it is a delivery of its own.
    Failed,
}

impl DeliveryStatus {
    /// Name in JSON and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
        }
    }

    /// The status of this name.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Pending, Self::Succeeded, Self::Failed].into_iter().find(|status| status.as_str() == text)
    }
}

/// Why something is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum DeliveryCause {
    /// The event happened.
    Event,
    /// A member tests the webhook.
    Test,
    /// A member asked to send it again.
    Resend,
}

impl DeliveryCause {
    /// Name in JSON and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::Test => "test",
            Self::Resend => "resend",
        }
    }

    /// The cause of this name.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Event, Self::Test, Self::Resend].into_iter().find(|cause| cause.as_str() == text)
    }
}

/// One attempt to send an event to a webhook.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivery {
    /// UUIDv7.
    pub id: DeliveryId,
    /// The tenant.
    pub tenant: TenantId,
    /// The webhook.
    pub webhook_id: WebhookId,
    /// The event; its id with `evt_` before it is the `webhook-id` of the request.
    pub event_id: EventId,
    /// Public name of what happened.
    pub event_type: String,
    /// Sequence number among the tenant's messages.
    pub sequence: Option<i64>,
    /// Why it is sent.
    pub cause: DeliveryCause,
    /// From 1; counts again from 1 when it is sent again.
    pub attempt: u32,
    /// Status.
    pub status: DeliveryStatus,
    /// Status code of the answer.
    pub response_status: Option<u16>,
    /// The beginning of the answer, if it is text: 512 bytes at most. Not in lists.
    pub response_body: Option<String>,
    /// How long it took.
    pub duration_ms: Option<u64>,
    /// Why it failed.
    pub error: Option<String>,
    /// Not before this time.
    pub due_at: Timestamp,
    /// When it was planned.
    pub created_at: Timestamp,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
}

impl Delivery {
    /// As members see it.
    pub fn view(&self) -> DeliveryView {
        DeliveryView {
            id: self.id,
            webhook_id: self.webhook_id,
            event_id: self.event_id,
            event_type: self.event_type.clone(),
            sequence: self.sequence,
            cause: self.cause,
            attempt: self.attempt,
            status: self.status,
            response_status: self.response_status,
            response_body: self.response_body.clone(),
            duration_ms: self.duration_ms,
            error: self.error.clone(),
            next_attempt_at: (self.status == DeliveryStatus::Pending).then_some(self.due_at),
            created_at: self.created_at,
            delivered_at: self.finished_at.filter(|_| self.status == DeliveryStatus::Succeeded),
            finished_at: self.finished_at,
        }
    }
}

/// An attempt as members see it. What an attempt does not have is left out.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DeliveryView {
    /// UUIDv7.
    pub id: DeliveryId,
    /// The webhook.
    pub webhook_id: WebhookId,
    /// The event; its id with `evt_` before it is the `webhook-id` of the request.
    pub event_id: EventId,
    /// What happened.
    #[cfg_attr(feature = "openapi", schema(example = "page.updated"))]
    pub event_type: String,
    /// Sequence number of the event among the tenant's messages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sequence: Option<i64>,
    /// Why it is sent.
    pub cause: DeliveryCause,
    /// From 1; counts again from 1 when it is sent again.
    pub attempt: u32,
    /// Status.
    pub status: DeliveryStatus,
    /// Status code of the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_status: Option<u16>,
    /// The beginning of the answer, if it is text: 512 bytes at most. Not in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_body: Option<String>,
    /// How long it took.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// For one that is pending: not before this time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_attempt_at: Option<Timestamp>,
    /// When it was planned.
    pub created_at: Timestamp,
    /// When it succeeded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delivered_at: Option<Timestamp>,
    /// When it ended, successful or not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Timestamp>,
}

/// Which attempts to list. Every field that is set narrows the list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeliveryFilter {
    /// The webhook.
    pub webhook: Option<WebhookId>,
    /// Their status.
    pub status: Option<DeliveryStatus>,
    /// What happened.
    pub event_type: Option<String>,
    /// Their event; the use case has checked that it is an id.
    pub event_id: Option<String>,
    /// Not planned before.
    pub from: Option<Timestamp>,
    /// Planned before.
    pub to: Option<Timestamp>,
}

/// Which events to send to a webhook again.
#[derive(Clone, Debug, PartialEq)]
pub struct Window {
    /// Names, in the event log, of the events that the webhook subscribes to.
    pub kinds: Vec<&'static str>,
    /// Not before.
    pub since: Timestamp,
    /// Before.
    pub until: Timestamp,
    /// Only those without a successful attempt.
    pub only_failed: bool,
    /// When it was requested: what was sent again since then is not sent once more.
    pub requested_at: Timestamp,
}

/// The payload of a delivery.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// A message that is in no event log: that of a test.
    Message(serde_json::Value),
    /// The event in the event log.
    Event,
    /// The event log does not have it any more.
    Forgotten,
}

/// An event of a window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Occurrence {
    /// Its id.
    pub event: EventId,
    /// Its name in the event log.
    pub kind: String,
    /// Its sequence number among the tenant's messages, where it got one.
    pub sequence: Option<i64>,
    /// Whether it is to be sent again.
    pub wanted: bool,
}

#[cfg(test)]
mod tests;
