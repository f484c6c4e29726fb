//! The port of the financial report.

use async_trait::async_trait;
use portico_kernel::{Month, StoreError};

use crate::{
    finance::{BookedSum, ChangeCount, PricedVersion},
    recurring::RecurringChange,
};

/// What the financial report is made of. It is about all tenants, and either about real money (`live`) or about play money: MUST count
/// nothing of the other mode.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait FinanceRepository: Send {
    /// Stores a change of what a tenant pays for its plan. MUST answer `Conflict` when the tenant has one of this revision.
    async fn record(&mut self, change: &RecurringChange) -> Result<(), StoreError>;

    /// The sums of what the ledger has for each month from the first to the last, by currency, account and subject, without what is in
    /// balances; in any order. MUST count each entry in the month to which the time of its booking belongs, and no other entry.
    async fn booked(&mut self, live: bool, from: Month, to: Month) -> Result<Vec<BookedSum>, StoreError>;

    /// How often what is paid for plans changed from one price to another, in each month from the first to the last, and in all the time
    /// before; in any order.
    async fn changes(&mut self, live: bool, from: Month, to: Month) -> Result<Vec<ChangeCount>, StoreError>;

    /// The prices of all versions of all plans, retired ones included.
    async fn prices(&mut self) -> Result<Vec<PricedVersion>, StoreError>;
}
