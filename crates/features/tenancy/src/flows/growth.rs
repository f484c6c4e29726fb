//! Counting of what tenants did, a day at a time.

use portico_kernel::StoreError;
use portico_tenancy::growth::Growth;

use crate::state::App;

/// Records every day that is over and was not recorded, each in a transaction of its own.
pub async fn record(app: &App) -> Result<(), StoreError> {
    loop {
        let mut work = app.core.begin().await?;
        if Growth::new(&mut *work, &app.core.env).record_next().await?.is_none() {
            return Ok(());
        }
        work.commit().await?;
    }
}
