//! Tickets that were not answered in time.

use portico_kernel::{RequestInfo, Scope};
use portico_support::{SupportError, breach::Breaches};

use crate::state::App;

/// Tickets that the schedule reads at once.
const BATCH: u64 = 100;

/// `support_targets`, each minute: notes every ticket that was to be answered by now. An event of each tells staff.
///
/// # Errors
/// Where the database does not answer: the rest is done in the next round.
pub async fn look_after(app: &App) -> Result<(), SupportError> {
    loop {
        // Each one that is noted is not found again.
        let overdue = app.core.reader().tickets().overdue(app.core.env.now(), BATCH).await?;
        for ticket in &overdue {
            let scope = Scope::system(Some(ticket.tenant_id), RequestInfo::default());
            let mut work = app.core.begin().await?;
            Breaches::new(&mut *work, &scope, &app.core.env).note(ticket).await?;
            work.commit().await?;
        }
        if overdue.len() < BATCH as usize {
            return Ok(());
        }
    }
}
