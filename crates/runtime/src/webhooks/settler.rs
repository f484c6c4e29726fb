//! Noting how attempts went: all that ended while the database was told the last time is told in one transaction.

use portico_kernel::{DeliveryId, Fault, Kind, StoreError};
use portico_tenancy::{
    dispatch::{self, DisableReason},
    ports::{Health, Outcome},
};
use tokio::{sync::mpsc, time::sleep};

use super::Key;
use crate::{backoff::Backoff, core::Core, logging::chain};

/// Attempts that are noted in one transaction.
const BATCH: usize = 500;

/// An attempt that ended.
pub struct Ended {
    /// What to note.
    pub outcome: Outcome,
    /// Hears of it once it is noted.
    pub noted: mpsc::UnboundedSender<DeliveryId>,
}

/// Notes until nobody has anything more to tell.
pub async fn run(core: Core, mut ended: mpsc::Receiver<Ended>) {
    let mut batch: Vec<Ended> = Vec::with_capacity(BATCH);
    while ended.recv_many(&mut batch, BATCH).await > 0 {
        note(&core, &mut batch).await;
        batch.clear();
    }
}

/// Notes a batch. Goes on until the database takes it: what is not noted would be sent again.
async fn note(core: &Core, batch: &mut Vec<Ended>) {
    let mut backoff = Backoff::new("deliveries cannot be noted");
    loop {
        let outcomes = batch.iter().map(|ended| ended.outcome.clone()).collect();
        match core.deliveries.settle(outcomes).await {
            Ok(health) => {
                backoff.succeeded();
                switch_off(core, batch, &health).await;
                for Ended { outcome, noted } in batch.drain(..) {
                    // Whoever looked after the webhook may be gone.
                    let _ = noted.send(outcome.id);
                }
                return;
            }
            Err(error) if error.kind() == Kind::Unavailable => {
                sleep(backoff.failed(&error)).await;
            }
            Err(error) if batch.len() > 1 => {
                tracing::error!(error = %chain(&error), "deliveries cannot be noted together");
                for one in std::mem::take(batch) {
                    Box::pin(note(core, &mut vec![one])).await;
                }
                return;
            }
            Err(error) => return refused(core, batch, &error).await,
        }
    }
}

/// One that the database does not take. It is tried once more without what strangers wrote; failing that, it stays unnoted, and
/// whoever looks after the webhook keeps it from being sent again.
async fn refused(core: &Core, batch: &mut Vec<Ended>, error: &StoreError) {
    let Some(Ended { outcome, noted }) = batch.pop() else { return };
    tracing::error!(error = %chain(error), delivery = %outcome.id, "a delivery cannot be noted");
    let bare = Outcome { response_body: None, error: None, ..outcome };
    let id = bare.id;
    match core.deliveries.settle(vec![bare]).await {
        Ok(_) => drop(noted.send(id)),
        Err(error) => tracing::error!(error = %chain(&error), delivery = %id, "a delivery stays unnoted"),
    }
}

/// Switches those webhooks off that have failed for too long.
async fn switch_off(core: &Core, batch: &[Ended], health: &[Health]) {
    let ended: Vec<&Outcome> = batch.iter().map(|ended| &ended.outcome).collect();
    for key in dispatch::failing(&ended, health, core.settings.webhooks.disable_after, core.env.now()) {
        disable(core, key, DisableReason::Failing).await;
    }
}

/// Switches a webhook off. Where that fails, the next attempt that fails tries again.
pub async fn disable(core: &Core, (tenant, webhook): Key, reason: DisableReason) {
    let result = async {
        let mut work = core.begin().await?;
        let disabled = dispatch::disable(&mut *work, &core.env, tenant, webhook, reason).await?;
        work.commit().await?;
        Ok::<_, StoreError>(disabled)
    };
    match result.await {
        Ok(true) => tracing::info!(%tenant, %webhook, reason = reason.as_str(), "a webhook was switched off"),
        Ok(false) => {}
        Err(error) => {
            tracing::warn!(error = %chain(&error), %tenant, %webhook, "a webhook could not be switched off");
        }
    }
}
