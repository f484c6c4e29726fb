//! Planning deliveries, and working them off.

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
    /// Whose.
    pub tenant: TenantId,
    /// Where to.
    pub webhook: WebhookId,
    /// What it tells of.
    pub event: EventId,
    /// What happened, as the outside calls it.
    pub event_type: String,
    /// Place of the event among the tenant's messages.
    pub sequence: Option<i64>,
    /// Why it is sent.
    pub cause: DeliveryCause,
    /// From 1.
    pub attempt: u32,
    /// What to send, where it is in no event log (tests).
    pub payload: Option<Value>,
    /// Not before this time.
    pub due_at: Timestamp,
    /// Now.
    pub created_at: Timestamp,
}

/// Who wants to hear of what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Whose.
    pub tenant: TenantId,
    /// Which webhook.
    pub webhook: WebhookId,
    /// Names of events, or the star.
    pub events: Vec<String>,
    /// When it was made: it hears of nothing that happened before.
    pub since: Timestamp,
}

/// Plans deliveries, inside the open unit of work. Every delivery is planned here, so that those who send notice it.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait DeliveryPlans: Send {
    /// The webhooks of these tenants that are enabled. Those of deleted tenants are not.
    async fn listeners(&mut self, tenants: Vec<TenantId>) -> Result<Vec<Listener>, StoreError>;

    /// Takes `count` places among the tenant's messages, and answers the first of them. MUST give no place twice, also under
    /// concurrency.
    async fn places(&mut self, tenant: TenantId, count: u32) -> Result<i64, StoreError>;

    /// Stores deliveries as pending, and has their webhooks looked after when they are due.
    async fn plan(&mut self, deliveries: Vec<PlannedDelivery>) -> Result<(), StoreError>;

    /// Has a webhook looked after that may have something pending, for instance because it was paused.
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

/// A webhook that a worker looks after, with what is due.
#[derive(Clone, Debug, PartialEq)]
pub struct Due {
    /// As it is now.
    pub webhook: Webhook,
    /// Whether anything but tests is to be sent: it is enabled, and its tenant is not deleted.
    pub active: bool,
    /// What [`DeliveryQueue::release`] wants to know.
    pub generation: i64,
    /// What is due, in the order in which it is.
    pub deliveries: Vec<DueDelivery>,
}

/// A delivery that is due.
#[derive(Clone, Debug, PartialEq)]
pub struct DueDelivery {
    /// The delivery.
    pub delivery: Delivery,
    /// What to send, where it is in no event log.
    pub payload: Option<Value>,
    /// What to tell of; `None` when the event log does not have it any more.
    pub event: Option<Event>,
}

impl DueDelivery {
    /// Its place in the order of [`DeliveryQueue::due`].
    pub fn place(&self) -> (Timestamp, DeliveryId) {
        (self.delivery.due_at, self.delivery.id)
    }
}

/// How an attempt went.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// Which delivery.
    pub id: DeliveryId,
    /// Whose.
    pub tenant: TenantId,
    /// Of which webhook.
    pub webhook: WebhookId,
    /// Not pending.
    pub status: DeliveryStatus,
    /// Whether it says something about the health of the receiver.
    pub counts: bool,
    /// Status code of the answer.
    pub response_status: Option<u16>,
    /// The beginning of the answer.
    pub response_body: Option<String>,
    /// How long it took.
    pub duration_ms: Option<u64>,
    /// Why it failed.
    pub error: Option<String>,
    /// When it was over.
    pub finished_at: Timestamp,
    /// The next attempt, where there is to be one.
    pub next: Option<PlannedDelivery>,
}

/// How a webhook has been doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Health {
    /// Whose.
    pub tenant: TenantId,
    /// Which webhook.
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
    /// How long the webhook that should have been looked after first has waited.
    pub oldest_due: Duration,
}

/// Deliveries as workers make them. Each call is a transaction of its own. A worker takes a webhook and not a delivery: so
/// one that is slow delays nobody else's, and its rate is kept.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait DeliveryQueue: Send + Sync {
    /// Takes up to `limit` webhooks that have to be looked after, those that have waited longest first, for `worker` until
    /// `until`. MUST give a webhook to one worker only, also under concurrency, and give it to another one after that time.
    async fn take(
        &self,
        worker: &str,
        limit: u32,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<Vec<(TenantId, WebhookId)>, StoreError>;

    /// Keeps those of these webhooks that `worker` holds until then. MUST leave alone what another one has taken meanwhile.
    async fn keep(
        &self,
        worker: &str,
        keys: Vec<(TenantId, WebhookId)>,
        until: Timestamp,
    ) -> Result<(), StoreError>;

    /// The webhook and what is due of it, up to `limit`, after the place of an earlier piece. Of one that is not active only
    /// tests are. MUST answer `None` when `worker` does not hold it (any more).
    async fn due(
        &self,
        worker: &str,
        key: (TenantId, WebhookId),
        after: Option<(Timestamp, DeliveryId)>,
        limit: u32,
        now: Timestamp,
    ) -> Result<Option<Due>, StoreError>;

    /// Notes how attempts went and plans the next ones, all of it or nothing. An attempt that was noted before MUST be left as
    /// it is, and have no second next one. Answers how those webhooks are doing of which an attempt failed.
    async fn settle(&self, outcomes: Vec<Outcome>) -> Result<Vec<Health>, StoreError>;

    /// Gives a webhook back, to be looked after when its next delivery is due (of one that is not active: when somebody
    /// [wakes](DeliveryPlans::wake) it), and not before `held_until`. MUST answer `false` and change nothing when something
    /// was planned since `generation`, unless `anyway`.
    async fn release(
        &self,
        worker: &str,
        key: (TenantId, WebhookId),
        generation: Option<i64>,
        held_until: Option<Timestamp>,
    ) -> Result<bool, StoreError>;

    /// Fails up to `limit` pending deliveries of a webhook for this reason. Answers how many.
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
