//! Planning deliveries, and processing them.

use async_trait::async_trait;
use portico_kernel::{DeliveryId, Event, EventId, StoreError, TenantId, Timestamp, WebhookId};
use serde_json::Value;
use time::Duration;

use crate::{
    delivery::{Delivery, DeliveryCause, DeliveryStatus},
    webhook::Webhook,
};

/// A delivery to be made.
#[derive(Clone, Debug, PartialEq)]
pub struct PlannedDelivery {
    /// UUIDv7.
    pub id: DeliveryId,
    /// The tenant.
    pub tenant: TenantId,
    /// The webhook.
    pub webhook: WebhookId,
    /// The event.
    pub event: EventId,
    /// Public name of what happened.
    pub event_type: String,
    /// Sequence number of the event among the tenant's messages.
    pub sequence: Option<i64>,
    /// Why it is sent.
    pub cause: DeliveryCause,
    /// From 1.
    pub attempt: u32,
    /// What to send, where it is in no event log (tests).
    pub payload: Option<Value>,
    /// Not before this time.
    pub due_at: Timestamp,
    /// When it was planned.
    pub created_at: Timestamp,
}

/// The subscription of a webhook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// The tenant.
    pub tenant: TenantId,
    /// The webhook.
    pub webhook: WebhookId,
    /// Public names of events, or `*`.
    pub events: Vec<String>,
    /// When it was made: it gets no event that happened before.
    pub since: Timestamp,
}

/// Plans deliveries, inside the open unit of work. Every delivery is planned here, so that the workers notice it.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait DeliveryPlans: Send {
    /// The webhooks of these tenants that are enabled. Those of deleted tenants are not.
    async fn listeners(&mut self, tenants: Vec<TenantId>) -> Result<Vec<Listener>, StoreError>;

    /// Takes `count` sequence numbers of the tenant's messages, and answers the first of them. MUST give no number twice, also
    /// under concurrency.
    async fn places(&mut self, tenant: TenantId, count: u32) -> Result<i64, StoreError>;

    /// Keeps others from changing the queues of these webhooks until the unit of work ends. MUST lock them in the order of their keys, as
    /// [`DeliveryPlans::plan`] and [`DeliveryQueue::settle`] do, so that no two wait for each other: call it before what touches several
    /// of them one after the other.
    async fn hold(&mut self, webhooks: Vec<(TenantId, WebhookId)>) -> Result<(), StoreError>;

    /// Stores deliveries as pending, and queues their webhooks for when they are due.
    async fn plan(&mut self, deliveries: Vec<PlannedDelivery>) -> Result<(), StoreError>;

    /// Queues a webhook that may have something pending, for instance because it was paused.
    async fn wake(&mut self, tenant: TenantId, webhook: WebhookId, now: Timestamp) -> Result<(), StoreError>;

    /// Switches an enabled webhook off. Answers it as it was before and is after; `None` when it is not enabled.
    async fn disable(
        &mut self,
        tenant: TenantId,
        webhook: WebhookId,
        reason: &str,
        now: Timestamp,
    ) -> Result<Option<(Webhook, Webhook)>, StoreError>;
}

/// A webhook that a worker has leased, with its due deliveries.
#[derive(Clone, Debug, PartialEq)]
pub struct Due {
    /// As it is now.
    pub webhook: Webhook,
    /// Whether anything but tests is to be sent: it is enabled, and its tenant is not deleted.
    pub active: bool,
    /// For [`DeliveryQueue::release`].
    pub generation: i64,
    /// The due deliveries, in their order.
    pub deliveries: Vec<DueDelivery>,
}

/// A delivery that is due.
#[derive(Clone, Debug, PartialEq)]
pub struct DueDelivery {
    /// The delivery.
    pub delivery: Delivery,
    /// What to send, where it is in no event log.
    pub payload: Option<Value>,
    /// The event; `None` when the event log does not have it any more.
    pub event: Option<Event>,
}

impl DueDelivery {
    /// Its position in the order of [`DeliveryQueue::due`].
    pub fn place(&self) -> (Timestamp, DeliveryId) {
        (self.delivery.due_at, self.delivery.id)
    }
}

/// The outcome of an attempt.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// The delivery.
    pub id: DeliveryId,
    /// The tenant.
    pub tenant: TenantId,
    /// The webhook.
    pub webhook: WebhookId,
    /// Not pending.
    pub status: DeliveryStatus,
    /// Whether it counts for the health of the receiver.
    pub counts: bool,
    /// Status code of the answer.
    pub response_status: Option<u16>,
    /// The beginning of the answer.
    pub response_body: Option<String>,
    /// How long it took.
    pub duration_ms: Option<u64>,
    /// Why it failed.
    pub error: Option<String>,
    /// When it ended.
    pub finished_at: Timestamp,
    /// The next attempt, where there is to be one.
    pub next: Option<PlannedDelivery>,
}

/// The health of a webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Health {
    /// The tenant.
    pub tenant: TenantId,
    /// The webhook.
    pub webhook: WebhookId,
    /// Attempts that failed since the last one that did not.
    pub failures: u32,
    /// When the first of them did.
    pub failing_since: Option<Timestamp>,
}

/// Figures for metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeliveryFigures {
    /// Deliveries that wait, counted up to a hundred thousand.
    pub pending: u64,
    /// How long the webhook that has been due for longest has waited.
    pub oldest_due: Duration,
}

/// The queue of webhooks with deliveries, as workers use it. Each call is a transaction of its own. A worker leases a webhook and
/// not a delivery: so a slow one delays no others, and its rate limit holds.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait DeliveryQueue: Send + Sync {
    /// Leases up to `limit` webhooks that are due, those that have waited longest first, to `worker` until `until`. MUST give a
    /// webhook to one worker only, also under concurrency, and to another one after that time.
    async fn take(
        &self,
        worker: &str,
        limit: u32,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<Vec<(TenantId, WebhookId)>, StoreError>;

    /// Extends the leases of those of these webhooks that `worker` holds. MUST leave alone what another worker has leased
    /// meanwhile.
    async fn keep(
        &self,
        worker: &str,
        keys: Vec<(TenantId, WebhookId)>,
        until: Timestamp,
    ) -> Result<(), StoreError>;

    /// The webhook and its due deliveries, up to `limit`, after the position where an earlier call ended. Of one that is not
    /// active only tests are due. MUST answer `None` when `worker` does not hold it (any more).
    async fn due(
        &self,
        worker: &str,
        key: (TenantId, WebhookId),
        after: Option<(Timestamp, DeliveryId)>,
        limit: u32,
        now: Timestamp,
    ) -> Result<Option<Due>, StoreError>;

    /// Stores the outcomes of attempts and plans the next ones, all of it or nothing. An attempt with a stored outcome MUST be
    /// left as it is, and have no second next one. Answers the health of the webhooks with a failed attempt.
    async fn settle(&self, outcomes: Vec<Outcome>) -> Result<Vec<Health>, StoreError>;

    /// Ends the lease. The webhook is due again with its next delivery (one that is not active: with its next test, or when
    /// [woken](DeliveryPlans::wake)), and not before `held_until`. MUST answer `false` and change nothing when something was
    /// planned since `generation`; `None` ends it regardless.
    async fn release(
        &self,
        worker: &str,
        key: (TenantId, WebhookId),
        generation: Option<i64>,
        held_until: Option<Timestamp>,
    ) -> Result<bool, StoreError>;

    /// Fails up to `limit` pending deliveries of a webhook, except tests, for this reason. Answers how many.
    async fn abandon(
        &self,
        key: (TenantId, WebhookId),
        error: &str,
        limit: u32,
        now: Timestamp,
    ) -> Result<u64, StoreError>;

    /// Figures for metrics.
    async fn figures(&self, now: Timestamp) -> Result<DeliveryFigures, StoreError>;
}
