//! Telling other processes something at once, where there is a quicker way to them than the database.

use async_trait::async_trait;

/// A way to every process of the installation. What is told may be lost, come twice, or out of order: it is a hint to look
/// into the database, never a fact.
#[async_trait]
pub trait Broadcast: Send + Sync {
    /// Hands over a message for whoever carries messages in this process. MUST NOT wait: when too many are waiting
    /// already, this one is dropped.
    fn tell(&self, message: String);

    /// Carries messages until the way is lost, and answers why: sends what is told here, and hands to `hear` what is told
    /// anywhere (this process included). MUST notice a way that is dead, though nobody closed it, within seconds.
    async fn carry(&self, hear: &(dyn for<'m> Fn(&'m str) + Send + Sync)) -> BroadcastLost;
}

/// Messages are not carried any more. Whoever carries them tries again.
#[derive(Debug, thiserror::Error)]
#[error("messages to other processes are not carried: {0}")]
pub struct BroadcastLost(pub String);
