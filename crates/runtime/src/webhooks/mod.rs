//! Webhook delivery: from the event log to the receivers.
//!
//! A reader of the log plans deliveries ([`fan_out`]). The dispatcher claims webhooks with due deliveries, each for one
//! process at a time, and starts a task for each ([`dispatcher`], [`receiver`]), which calls its receiver ([`attempt`]).
//! The outcomes of attempts are recorded in batches ([`settler`]).

mod attempt;
mod dispatcher;
mod fan_out;
mod pace;
mod receiver;
mod settler;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use portico_kernel::{TenantId, WebhookId, http::HttpClient};
use tokio::sync::{Notify, watch};

use crate::core::Core;

/// The name of the reader of the event log.
pub const READER: &str = "webhooks";

/// A webhook, in its tenant.
type Key = (TenantId, WebhookId);

/// Notifies the senders of deliveries planned in this process, so that they need not wait for the next poll.
#[derive(Default)]
struct Nudges {
    /// There may be webhooks to claim.
    ready: Notify,
    /// The webhooks that are handled here.
    held: Mutex<HashMap<Key, Arc<Notify>>>,
}

impl Nudges {
    /// Deliveries were planned for these webhooks.
    fn planned(&self, keys: &[Key]) {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        for nudge in keys.iter().filter_map(|key| held.get(key)) {
            nudge.notify_one();
        }
        drop(held);
        self.ready.notify_one();
    }

    /// Marks the webhook as handled here; `None` if it is already.
    fn hold(&self, key: Key) -> Option<Arc<Notify>> {
        use std::collections::hash_map::Entry;
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        match held.entry(key) {
            Entry::Occupied(entry) => {
                entry.get().notify_one();
                None
            }
            Entry::Vacant(entry) => Some(entry.insert(Arc::default()).clone()),
        }
    }

    fn let_go(&self, key: &Key) {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }

    fn keys(&self) -> Vec<Key> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).keys().copied().collect()
    }
}

/// Plans and sends until shutdown, and then waits for running attempts.
pub async fn run(core: Core, client: Arc<dyn HttpClient>, stopping: watch::Receiver<bool>) {
    let nudges = Arc::new(Nudges::default());
    tokio::join!(
        fan_out::run(core.clone(), nudges.clone(), stopping.clone()),
        dispatcher::run(core, client, nudges, stopping)
    );
}
