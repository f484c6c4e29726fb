//! Background work of licensing: terms and leases that are over, files that no release has, and the log of downloads.

use std::time::Duration;

use portico_kernel::StoreError;
use portico_licensing::{
    LicensingError, expiry::LicenseTermEnds, lease::LeaseEnds, release_withdrawal::WithdrawnFiles,
};
use portico_runtime::worker::{
    jobs::Handlers,
    schedules::{HOUR, Schedule},
};

use crate::{flows::release_files, state::App};

/// Interval of looking for terms and leases that are over. Whoever asks is told at once; this is for their events.
const MINUTE: Duration = Duration::from_secs(60);

/// Rows of one transaction.
const ROWS: u64 = 1000;

/// Registers the handlers of this feature's jobs.
pub fn register(app: &App, handlers: &mut Handlers) {
    handlers.on(app, |app, purge, job| Box::pin(release_files::purge(app, purge, job)));
    handlers.on(app, |app, scan, job| Box::pin(release_files::scan(app, scan, job)));
}

/// Periodic work of this feature.
pub fn schedules(app: &App) -> [Schedule; 4] {
    [
        Schedule::new("license_terms", MINUTE, app, |app| Box::pin(expire(app))),
        Schedule::new("seat_leases", MINUTE, app, |app| Box::pin(note_leases(app))),
        Schedule::new("download_log", HOUR, app, |app| Box::pin(forget(app))),
        Schedule::new("withdrawn_files", HOUR, app, |app| Box::pin(delete_withdrawn(app))),
    ]
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

/// Notes the leases of seats that are over, a batch in each transaction.
///
/// # Errors
/// Those of the database: the rest is done in the next round.
pub async fn note_leases(app: &App) -> Result<(), LicensingError> {
    loop {
        let mut work = app.core.begin().await?;
        let is_done = LeaseEnds::new(&mut *work, &app.core.env).note().await?;
        work.commit().await?;
        if is_done {
            return Ok(());
        }
    }
}

/// Deletes what is not kept any more of who has downloaded what (`downloads.log_retention`).
///
/// # Errors
/// Those of the database: the rest is done in the next round.
pub async fn forget(app: &App) -> Result<(), StoreError> {
    let Some(retention) = app.downloads.log_retention else { return Ok(()) };
    loop {
        let mut work = app.core.begin().await?;
        let forgotten = work.downloads().forget(app.core.env.now() - retention, ROWS).await?;
        work.commit().await?;
        if forgotten < ROWS {
            return Ok(());
        }
    }
}

/// Deletes the files of releases that were withdrawn long ago (`downloads.withdrawn_retention`).
///
/// # Errors
/// Those of the database: the rest is done in the next round.
pub async fn delete_withdrawn(app: &App) -> Result<(), LicensingError> {
    let Some(retention) = app.downloads.withdrawn_retention else { return Ok(()) };
    loop {
        let mut work = app.core.begin().await?;
        let before = app.core.env.now() - retention;
        let is_done = WithdrawnFiles::new(&mut *work, &app.core.env).delete(before).await?;
        work.commit().await?;
        if is_done {
            return Ok(());
        }
    }
}
