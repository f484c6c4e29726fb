//! The check of the ledger, for the end of a test in which money was moved.

use portico_billing::ledger_check::{LedgerReport, check_ledger};

use crate::server::TestServer;

/// Checks that the ledger of a server is sound and agrees with its purchases, and answers what it has.
///
/// # Panics
/// Where anything differs.
pub async fn sound(server: &TestServer) -> LedgerReport {
    let report = check_ledger(&mut *server.app.core.reader(), false).await.expect("the ledger can be read");
    assert_eq!(report.differing, 0, "{report}");
    report
}
