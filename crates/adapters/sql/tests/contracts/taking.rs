//! Taking events in an open unit of work.

use portico_kernel::{EventHead, TakenEvents};
use portico_sql::SqlUnitOfWork;

/// What comes first to a reader in an open unit of work. A transaction of another test may hold it up for a moment, also after
/// it has come to another reader: until that is over, it could be one that writes here.
pub async fn take_within_soon(work: &mut SqlUnitOfWork, reader: &'static str, limit: u32) -> TakenEvents {
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(30);
    loop {
        let taken = work.readers().take(vec![reader], limit).await.unwrap();
        if !taken.events.is_empty() || tokio::time::Instant::now() > deadline {
            return taken;
        }
    }
}

/// The same for one that is given heads.
pub async fn take_heads_soon(work: &mut SqlUnitOfWork, reader: &'static str, limit: u32) -> Vec<EventHead> {
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(30);
    loop {
        let heads = work.readers().take_heads(reader, limit).await.unwrap();
        if !heads.is_empty() || tokio::time::Instant::now() > deadline {
            return heads;
        }
    }
}
