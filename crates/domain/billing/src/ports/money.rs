//! The ports of what became of money: invoices, refunds, disputes and the ledger.

use async_trait::async_trait;
use portico_kernel::{InvoiceId, List, PageRequest, PurchaseId, StoreError, TenantId};

use crate::{
    dispute::PurchaseDispute,
    invoice::Invoice,
    ledger::{EntryKey, LedgerEntry, LedgerTransaction},
    ledger_check::{BookedInvoice, BookedPurchase, BookedSale},
    payment::Provider,
    refund::PurchaseRefund,
};

/// Invoices.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait InvoiceRepository: Send {
    /// One page of the invoices of a tenant, newest first.
    async fn list(&mut self, tenant: TenantId, page: PageRequest) -> Result<List<Invoice>, StoreError>;

    /// An invoice. MUST answer `None` for one of another tenant.
    async fn find(&mut self, tenant: TenantId, id: InvoiceId) -> Result<Option<Invoice>, StoreError>;

    /// Those of the tenant that the provider knows by these ids, in any order.
    async fn of_provider(
        &mut self,
        tenant: TenantId,
        provider: Provider,
        ids: &[String],
    ) -> Result<Vec<Invoice>, StoreError>;

    /// Stores an invoice, or replaces the one of this id. MUST answer `Conflict` when another one of the tenant has the provider's id. MUST
    /// leave who sold it as it is.
    async fn upsert(&mut self, invoice: &Invoice) -> Result<(), StoreError>;

    /// The next number of a series: 1, 2, 3 and so on. MUST NOT answer the same to two units of work that commit, and MUST leave no gap
    /// where one does not: whoever asks waits for another unit of work that has asked.
    async fn next_number<'s>(&mut self, series: &'s str) -> Result<u64, StoreError>;
}

/// Refunds of purchases, or of sales of sites.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait RefundRepository: Send {
    /// Stores a refund; of one that is there the provider's id, amount, status and last change. MUST answer `Conflict` when another refund
    /// of the tenant has the provider's id, and `MissingReference` for a purchase of another tenant.
    async fn store(&mut self, refund: &PurchaseRefund) -> Result<(), StoreError>;

    /// The refunds of a purchase, the oldest first. MUST answer none for a purchase of another tenant.
    async fn of_purchase(
        &mut self,
        tenant: TenantId,
        purchase: PurchaseId,
    ) -> Result<Vec<PurchaseRefund>, StoreError>;
}

/// Disputes about payments of purchases.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait DisputeRepository: Send {
    /// Stores a dispute; of one that is there status, time to answer and last change. MUST answer `Conflict` when another dispute of the
    /// tenant has the provider's id, and `MissingReference` for a purchase of another tenant.
    async fn store(&mut self, dispute: &PurchaseDispute) -> Result<(), StoreError>;

    /// The disputes about a purchase, the oldest first. MUST answer none for a purchase of another tenant.
    async fn of_purchase(
        &mut self,
        tenant: TenantId,
        purchase: PurchaseId,
    ) -> Result<Vec<PurchaseDispute>, StoreError>;
}

/// The ledger. Entries are stored with their subjects.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait LedgerRepository: Send {
    /// Appends a transaction of a tenant. MUST answer `Conflict`, and store nothing of it, when the tenant has one of this source, also under
    /// concurrency.
    async fn book(&mut self, tenant: TenantId, transaction: &LedgerTransaction) -> Result<(), StoreError>;

    /// Appends a transaction of a tenant unless it has one of this source, and answers whether it did. MUST answer `true` to one unit of
    /// work only, also under concurrency, and leave what is there as it is.
    async fn book_missing(
        &mut self,
        tenant: TenantId,
        transaction: &LedgerTransaction,
    ) -> Result<bool, StoreError>;

    /// Entries of all tenants in the order of their keys, those after a key; at most `limit`.
    async fn entries(&mut self, after: Option<EntryKey>, limit: u64) -> Result<Vec<LedgerEntry>, StoreError>;

    /// Purchases of all tenants in the order of tenant and id, those after one, each with what the ledger has about it; at most
    /// `limit`. What was paid in the other mode than `live` says is left out, and entries of that mode are not counted. MUST
    /// answer of each purchase what was so at one moment.
    async fn purchases(
        &mut self,
        live: bool,
        after: Option<(TenantId, PurchaseId)>,
        limit: u64,
    ) -> Result<Vec<BookedPurchase>, StoreError>;

    /// The same of invoices for plans. MUST leave out those of purchases.
    async fn invoices(
        &mut self,
        live: bool,
        after: Option<(TenantId, InvoiceId)>,
        limit: u64,
    ) -> Result<Vec<BookedInvoice>, StoreError>;

    /// The same of sales of sites.
    async fn sales(
        &mut self,
        live: bool,
        after: Option<(TenantId, PurchaseId)>,
        limit: u64,
    ) -> Result<Vec<BookedSale>, StoreError>;
}
