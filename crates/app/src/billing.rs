//! Checks of what was billed.

use anyhow::Context;
use portico_billing::ledger_check::{LedgerReport, check_ledger};

use crate::{settings::Settings, startup};

/// Compares the ledger of all tenants with itself and with their purchases, invoices and sales of sites. Changes nothing, and may run beside the server.
///
/// # Errors
/// When the database cannot be read.
pub async fn verify(settings: &Settings) -> anyhow::Result<LedgerReport> {
    let store = startup::connect(settings).await?;
    let report = check_ledger(&mut store.reader()).await.context("the ledger cannot be read")?;
    store.close().await;
    Ok(report)
}
