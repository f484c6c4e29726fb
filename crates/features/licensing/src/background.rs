//! Background work of licensing: terms that are over.

use std::time::Duration;

use portico_licensing::{LicensingError, expiry::LicenseTermEnds};
use portico_runtime::worker::schedules::Schedule;

use crate::state::App;

/// Interval of looking for licenses whose term is over. Whoever asks about one is told at once; this is for its events.
const MINUTE: Duration = Duration::from_secs(60);

/// Periodic work of this feature.
pub fn schedules(app: &App) -> [Schedule; 1] {
    [Schedule::new("license_terms", MINUTE, app, |app| Box::pin(expire(app)))]
}

/// Expires the licenses whose term is over, a batch in each transaction.
///
/// # Errors
/// Those of the database: the rest is done in the next round.
pub async fn expire(app: &App) -> Result<(), LicensingError> {
    loop {
        let mut work = app.core.begin().await?;
        let is_done = LicenseTermEnds::new(&mut *work, &app.core.env).expire().await?;
        work.commit().await?;
        if is_done {
            return Ok(());
        }
    }
}
