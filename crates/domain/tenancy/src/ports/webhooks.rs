//! Webhooks and attempts to deliver to them: the ports.

use async_trait::async_trait;
use portico_kernel::{
    CursorPage, CursorRequest, DeliveryId, EventId, List, PageRequest, StoreError, TenantId, Timestamp,
    WebhookId,
};

use crate::{
    delivery::{Content, Delivery, DeliveryFilter, Occurrence, Window},
    webhook::Webhook,
};

/// The secrets of a webhook, as they are stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredSecrets {
    /// Whose webhook it is.
    pub tenant: TenantId,
    /// The webhook.
    pub webhook: WebhookId,
    /// The sealed secret.
    pub current: Vec<u8>,
    /// The one before, where there is one.
    pub previous: Option<Vec<u8>>,
}

/// Webhooks.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait WebhookRepository: Send {
    /// Stores a new webhook. MUST answer `false` and store nothing when the tenant has `most` of them already, also under
    /// concurrency.
    async fn insert(&mut self, webhook: &Webhook, most: u64) -> Result<bool, StoreError>;

    /// One of the tenant's webhooks.
    async fn find(&mut self, tenant: TenantId, id: WebhookId) -> Result<Option<Webhook>, StoreError>;

    /// The tenant's webhooks, newest first.
    async fn list(&mut self, tenant: TenantId, page: PageRequest) -> Result<List<Webhook>, StoreError>;

    /// Stores everything but its failures, which [`super::DeliveryQueue`] counts, with `version + 1`. MUST answer `Stale` when
    /// the stored version is not `webhook.version`.
    async fn update(&mut self, webhook: &Webhook) -> Result<(), StoreError>;

    /// Resets the count of failures.
    async fn forget_failures(&mut self, tenant: TenantId, id: WebhookId) -> Result<(), StoreError>;

    /// The sealed secrets of the webhooks of all tenants, at most so many, in the order of the webhooks' ids after `after`.
    async fn sealed_secrets(
        &mut self,
        after: Option<WebhookId>,
        most: u64,
    ) -> Result<Vec<StoredSecrets>, StoreError>;

    /// Stores the same secrets sealed anew. MUST change nothing when the stored current one is not that of `was` any more.
    async fn reseal(&mut self, was: &StoredSecrets, now: &StoredSecrets) -> Result<bool, StoreError>;

    /// Deletes a webhook and every delivery to it. MUST answer whether there was one; of several at once exactly one does.
    async fn delete(&mut self, tenant: TenantId, id: WebhookId) -> Result<bool, StoreError>;
}

/// Attempts to deliver, as members see them. They are planned by [`super::DeliveryPlans`].
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait DeliveryRepository: Send {
    /// One of the tenant's attempts.
    async fn find(&mut self, tenant: TenantId, id: DeliveryId) -> Result<Option<Delivery>, StoreError>;

    /// The tenant's attempts, newest first, without the bodies of answers. The cursor is the id of the last attempt of the
    /// piece before.
    async fn list(
        &mut self,
        tenant: TenantId,
        filter: DeliveryFilter,
        request: CursorRequest,
    ) -> Result<CursorPage<Delivery>, StoreError>;

    /// The payload of an attempt. MUST answer `Forgotten` when it is not stored any more.
    async fn content(&mut self, delivery: &Delivery) -> Result<Content, StoreError>;

    /// The tenant's events of a window in the order of their ids, behind `after`, at most `limit`, those that are not wanted
    /// among them. An event MUST be marked as not wanted when an attempt to this webhook is pending or was planned again since
    /// the window was requested, and where only failed ones are wanted, when one succeeded.
    async fn window(
        &mut self,
        tenant: TenantId,
        webhook: WebhookId,
        bounds: &Window,
        after: Option<EventId>,
        limit: u32,
    ) -> Result<Vec<Occurrence>, StoreError>;

    /// Deletes attempts of all tenants that were planned before this time, at most `limit`. Answers how many.
    async fn forget(&mut self, before: Timestamp, limit: u64) -> Result<u64, StoreError>;
}
