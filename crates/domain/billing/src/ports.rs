//! Ports of billing: one repository for each kind of row, in the file of its subject, and all of them over one unit of work.

mod accounts;
mod catalogue;
mod finance;
mod money;
mod plans;
mod purchases;
mod site_sales;
mod usage;

use portico_kernel::Outbox;

pub use accounts::*;
pub use catalogue::*;
pub use finance::*;
pub use money::*;
pub use plans::*;
pub use purchases::*;
pub use site_sales::*;
pub use usage::*;

/// The repositories of billing, over one unit of work.
pub trait BillingRepositories: Outbox {
    /// The catalogue of plans.
    fn plans<'c>(&'c mut self) -> Box<dyn PlanRepository + 'c>;
    /// Subscriptions.
    fn subscriptions<'c>(&'c mut self) -> Box<dyn SubscriptionRepository + 'c>;
    /// Uses of the text generator.
    fn generations<'c>(&'c mut self) -> Box<dyn GenerationRepository + 'c>;
    /// Counters.
    fn meters<'c>(&'c mut self) -> Box<dyn MeterRepository + 'c>;
    /// The catalogue of products.
    fn products<'c>(&'c mut self) -> Box<dyn ProductRepository + 'c>;
    /// Purchases.
    fn purchases<'c>(&'c mut self) -> Box<dyn PurchaseRepository + 'c>;
    /// Coupons.
    fn coupons<'c>(&'c mut self) -> Box<dyn CouponRepository + 'c>;
    /// Payments of purchases.
    fn checkouts<'c>(&'c mut self) -> Box<dyn CheckoutRepository + 'c>;
    /// Sales of sites.
    fn site_sales<'c>(&'c mut self) -> Box<dyn SiteSaleRepository + 'c>;
    /// Refunds of sales of sites.
    fn site_refunds<'c>(&'c mut self) -> Box<dyn RefundRepository + 'c>;
    /// Refunds of purchases.
    fn refunds<'c>(&'c mut self) -> Box<dyn RefundRepository + 'c>;
    /// Disputes about purchases.
    fn disputes<'c>(&'c mut self) -> Box<dyn DisputeRepository + 'c>;
    /// Tenants at their payment providers.
    fn accounts<'c>(&'c mut self) -> Box<dyn AccountRepository + 'c>;
    /// Calls to providers of subscriptions.
    fn plan_calls<'c>(&'c mut self) -> Box<dyn PlanCallRepository + 'c>;
    /// Invoices.
    fn invoices<'c>(&'c mut self) -> Box<dyn InvoiceRepository + 'c>;
    /// The ledger.
    fn ledger<'c>(&'c mut self) -> Box<dyn LedgerRepository + 'c>;
    /// What the financial report is made of.
    fn finance<'c>(&'c mut self) -> Box<dyn FinanceRepository + 'c>;
}
