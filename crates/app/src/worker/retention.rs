//! Deleting from the audit trail what is older than it has to be kept.

use portico_kernel::StoreError;
use portico_tenancy::retention::{self, Retention};

use super::READERS;
use crate::state::App;

/// Deletes everything that is of age now, a batch in a transaction.
pub async fn round(app: &App) -> Result<(), StoreError> {
    let kept = app.settings.audit.retention;
    let kept = time::Duration::try_from(kept).ok().filter(|kept| !kept.is_zero());
    let readers: Vec<&'static str> = READERS.iter().map(|(name, _)| *name).collect();
    let due = Retention::new(kept).due(&mut *app.reader(), app.env.now()).await?;
    for (tenant, cutoff) in due {
        loop {
            let mut work = app.begin().await?;
            let more = retention::expire(&mut *work, &app.env, tenant, readers.clone(), cutoff).await?;
            work.commit().await?;
            if !more {
                break;
            }
        }
    }
    Ok(())
}
