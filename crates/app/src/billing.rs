//! Checks of what was billed.

use anyhow::Context;
use portico_billing::ledger_check::{LedgerReport, check_ledger};
use portico_runtime::store::Store;

use crate::{recurrente, settings::Settings, startup};

/// Compares the ledger of all tenants with itself and with their purchases, invoices and sales of sites, in the mode of the settings.
/// Changes nothing, and may run beside the server.
///
/// # Errors
/// When the database cannot be read.
pub async fn verify(settings: &Settings) -> anyhow::Result<LedgerReport> {
    let store = startup::connect(settings).await?;
    // Through the trait: a concrete reader here compiles all repositories once more.
    let store: &dyn Store = &store;
    let live = settings.stripe.is_live() || recurrente::is_live(settings);
    let report = check_ledger(&mut *store.reader(), live).await.context("the ledger cannot be read")?;
    store.close().await;
    Ok(report)
}
