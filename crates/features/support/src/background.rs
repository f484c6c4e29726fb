//! Background work of support: mail, files to be scanned, and tickets that nobody has answered in time.

use std::time::Duration;

use portico_runtime::worker::{jobs::Handlers, schedules::Schedule};

use crate::{
    flows::{notices, scans, targets},
    state::App,
};

/// Interval of looking for tickets that were not answered in time.
const MINUTE: Duration = Duration::from_secs(60);

/// Registers the handlers of this feature's jobs.
pub fn register(app: &App, handlers: &mut Handlers) {
    handlers.on(app, |app, notice, job| Box::pin(notices::send(app, notice, job)));
    handlers.on(app, |app, scan, job| Box::pin(scans::attachment(app, scan, job)));
    handlers.on(app, |app, scan, job| Box::pin(scans::mail(app, scan, job)));
}

/// Periodic jobs of this feature.
pub fn schedules(app: &App) -> [Schedule; 1] {
    [Schedule::new("support_targets", MINUTE, app, |app| Box::pin(targets::look_after(app)))]
}
