//! Deleting from the audit trail what is older than it has to be kept.

use portico_kernel::StoreError;
use portico_tenancy::retention::{self, Retention};

use crate::core::Core;

/// Deletes everything that is of age now, a batch in a transaction.
pub async fn round(core: &Core, readers: &[&'static str]) -> Result<(), StoreError> {
    let due = Retention::new(core.settings.audit_retention).due(&mut *core.reader(), core.env.now()).await?;
    for (tenant, cutoff) in due {
        loop {
            let mut work = core.begin().await?;
            let more = retention::expire(&mut *work, &core.env, tenant, readers.to_vec(), cutoff).await?;
            work.commit().await?;
            if !more {
                break;
            }
        }
    }
    Ok(())
}
