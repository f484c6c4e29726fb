//! Records the outcomes of attempts: all that completed during one transaction are recorded in the next.

use portico_kernel::{DeliveryId, Fault, Kind, StoreError};
use portico_tenancy::{
    dispatch::{self, DisableReason},
    ports::{Health, Outcome},
};
use tokio::{sync::mpsc, time::sleep};

use super::Key;
use crate::{backoff::Backoff, core::Core, logging::chain};

/// Outcomes recorded in one transaction.
const BATCH: usize = 500;

/// A completed attempt.
pub struct Ended {
    /// The outcome to record.
    pub outcome: Outcome,
    /// Notified once it is recorded.
    pub noted: mpsc::UnboundedSender<DeliveryId>,
}

/// Records outcomes until all senders are gone.
pub async fn run(core: Core, mut ended: mpsc::Receiver<Ended>) {
    let mut batch: Vec<Ended> = Vec::with_capacity(BATCH);
    while ended.recv_many(&mut batch, BATCH).await > 0 {
        note(&core, &mut batch).await;
        batch.clear();
    }
}

/// Records a batch. Retries until the database accepts it: deliveries without a recorded outcome would be sent again.
async fn note(core: &Core, batch: &mut Vec<Ended>) {
    let mut backoff = Backoff::new("deliveries cannot be noted");
    loop {
        let outcomes = batch.iter().map(|ended| ended.outcome.clone()).collect();
        match core.deliveries.settle(outcomes).await {
            Ok(health) => {
                backoff.succeeded();
                switch_off(core, batch, &health).await;
                for Ended { outcome, noted } in batch.drain(..) {
                    // The webhook's task may have ended.
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

/// An outcome that the database refuses. It is retried without texts from the receiver; if that fails, it stays unrecorded,
/// and the webhook's task keeps the delivery from being sent again.
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

/// Disables webhooks that have failed for too long.
async fn switch_off(core: &Core, batch: &[Ended], health: &[Health]) {
    let ended: Vec<&Outcome> = batch.iter().map(|ended| &ended.outcome).collect();
    for key in dispatch::failing(&ended, health, core.settings.webhooks.disable_after, core.env.now()) {
        disable(core, key, DisableReason::Failing).await;
    }
}

/// Disables a webhook. If that fails, the next failed attempt tries again.
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
