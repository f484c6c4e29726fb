//! Deletes events older than their retention.

use portico_kernel::StoreError;
use portico_tenancy::retention::{self, Retention};

use crate::core::Core;

/// Deletes all expired events, one batch in a transaction.
pub async fn round(core: &Core, readers: &[&'static str]) -> Result<(), StoreError> {
    let (retention, now) = (Retention::new(core.settings.audit_retention), core.env.now());
    let due = retention.due(&mut *core.reader(), now).await?;
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
    for (tenant, cutoff) in retention.due_recorded(&mut *core.reader(), now).await? {
        loop {
            let mut work = core.begin().await?;
            let more = retention::expire_recorded(&mut *work, tenant, readers.to_vec(), cutoff).await?;
            work.commit().await?;
            if !more {
                break;
            }
        }
    }
    loop {
        let mut work = core.begin().await?;
        let more = retention::forget(&mut *work, readers.to_vec(), now).await?;
        work.commit().await?;
        if !more {
            return Ok(());
        }
    }
}
