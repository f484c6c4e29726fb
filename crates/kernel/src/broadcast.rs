//! Sending hints to the other processes at once, where there is a faster channel to them than the database.

use async_trait::async_trait;

/// A channel to every process of the installation. A message may be lost, duplicated or reordered: it is a hint to look into the
/// database, never a fact.
#[async_trait]
pub trait Broadcast: Send + Sync {
    /// Queues a message for [`Broadcast::run`] of this process. MUST NOT wait: when the queue is full, the message is dropped.
    fn publish(&self, message: String);

    /// Sends the queued messages and passes each received one (those of this process included) to `on_message`, until the
    /// connection is lost; answers why. MUST detect a dead connection, also one that was not closed, within seconds.
    async fn run(&self, on_message: &(dyn for<'m> Fn(&'m str) + Send + Sync)) -> BroadcastLost;
}

/// Messages are not carried any more. The caller of [`Broadcast::run`] tries again.
#[derive(Debug, thiserror::Error)]
#[error("messages to other processes are not carried: {0}")]
pub struct BroadcastLost(pub String);
