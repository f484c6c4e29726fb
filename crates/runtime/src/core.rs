//! What everything that runs in a process shares.

use std::{sync::Arc, time::Duration};

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

/// The settings that the parts below go by.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Background jobs.
    pub worker: Worker,
    /// Webhooks.
    pub webhooks: Webhooks,
    /// Live updates.
    pub live: LiveSettings,
    /// Requests that may be sent again under a key.
    pub idempotency: Idempotency,
    /// How long the trail of a tenant is kept that does not say; none keeps it for ever.
    pub audit_retention: Option<time::Duration>,
    /// How long what is under way may go on when the process is told to stop.
    pub shutdown_timeout: Duration,
}

/// The parts that routes and background work share. Cheap to clone.
#[derive(Clone)]
pub struct Core {
    /// Settings of what is in this crate.
    pub settings: Arc<Settings>,
    /// Time and randomness.
    pub env: Env,
    /// The database.
    pub store: Arc<dyn Store>,
    /// Background jobs.
    pub jobs: Arc<dyn WorkQueue>,
    /// Deliveries to webhooks.
    pub deliveries: Arc<dyn DeliveryQueue>,
    /// Which process does scheduled work.
    pub schedules: Arc<dyn Schedules>,
    /// Requests that may be sent again under a key.
    pub idempotency: Arc<dyn IdempotencyKeys>,
    /// Encryption of secrets at rest.
    pub sealer: Arc<dyn Sealer>,
    /// Who requests come from, and what they may do.
    pub access: Access,
    /// How API keys are used.
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
    /// Opens a transaction. Commit or drop it before anything outside is called.
    ///
    /// # Errors
    /// Where the database cannot be reached.
    pub async fn begin(&self) -> Result<Box<dyn UnitOfWork>, StoreError> {
        self.store.begin().await
    }

    /// Reads without a transaction.
    pub fn reader(&self) -> Box<dyn Repositories> {
        self.store.reader()
    }

    /// The same for background work, see [`Store::for_background`].
    #[must_use]
    pub fn for_background(&self) -> Self {
        Self { store: self.store.for_background(), ..self.clone() }
    }
}
