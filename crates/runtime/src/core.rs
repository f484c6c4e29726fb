//! The services that all parts of a process share.

use std::{sync::Arc, time::Duration};

use portico_billing::ports::PaymentInbox;
use portico_kernel::{
    Env, StoreError, WorkQueue, idempotency::IdempotencyKeys, schedule::Schedules, sealing::Sealer,
};
use portico_otlp::Tracer;
use portico_tenancy::ports::DeliveryQueue;

use crate::{
    access::Access,
    key_usage::KeyUsageCounter,
    live::Live,
    settings::{Idempotency, Live as LiveSettings, Webhooks, Worker},
    signals::Signals,
    store::{Repositories, Store, UnitOfWork},
    telemetry::Telemetry,
};

/// Settings of the services below.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Background jobs.
    pub worker: Worker,
    /// Webhooks.
    pub webhooks: Webhooks,
    /// Live updates.
    pub live: LiveSettings,
    /// Idempotent requests.
    pub idempotency: Idempotency,
    /// How long the audit trail of a tenant without its own setting is kept; none keeps it forever.
    pub audit_retention: Option<time::Duration>,
    /// How long running work may continue after shutdown was requested.
    pub shutdown_timeout: Duration,
}

/// The services that routes and background work share. Cheap to clone.
#[derive(Clone)]
pub struct Core {
    /// Settings of this crate.
    pub settings: Arc<Settings>,
    /// Time and randomness.
    pub env: Env,
    /// The database.
    pub store: Arc<dyn Store>,
    /// Background jobs.
    pub jobs: Arc<dyn WorkQueue>,
    /// Deliveries to webhooks.
    pub deliveries: Arc<dyn DeliveryQueue>,
    /// Leases of scheduled work.
    pub schedules: Arc<dyn Schedules>,
    /// Idempotent requests.
    pub idempotency: Arc<dyn IdempotencyKeys>,
    /// Encryption of secrets at rest.
    pub sealer: Arc<dyn Sealer>,
    /// Authentication and authorisation of requests.
    pub access: Access,
    /// Usage of API keys.
    pub key_usage: Arc<KeyUsageCounter>,
    /// Live updates.
    pub live: Arc<Live>,
    /// Wake-ups and cache epochs.
    pub signals: Arc<Signals>,
    /// Metrics.
    pub telemetry: Telemetry,
    /// Traces.
    pub tracer: Tracer,
}

impl Core {
    /// Opens a transaction. Commit or drop it before any external call.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn begin(&self) -> Result<Box<dyn UnitOfWork>, StoreError> {
        self.store.begin().await
    }

    /// Reads without a transaction.
    pub fn reader(&self) -> Box<dyn Repositories> {
        self.store.reader()
    }

    /// Events of payment providers.
    pub fn inbox(&self) -> Box<dyn PaymentInbox> {
        self.store.inbox()
    }

    /// The same for background work, see [`Store::for_background`].
    #[must_use]
    pub fn for_background(&self) -> Self {
        Self { store: self.store.for_background(), ..self.clone() }
    }
}
