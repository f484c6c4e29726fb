//! The ledger, and what the financial report is made of, in memory.

use async_trait::async_trait;
use portico_kernel::{InvoiceId, Month, PurchaseId, StoreError, TenantId};

use super::Shop;
use crate::{
    finance::{BookedSum, ChangeCount, PricedVersion},
    invoice::{Invoice, InvoiceKind},
    ledger::{EntryKey, LedgerEntry, LedgerTransaction, SourceKind},
    ledger_check::{BookedInvoice, BookedPurchase, BookedSale},
    ports::{FinanceRepository, LedgerRepository},
    purchase::Purchase,
    recurring::RecurringChange,
    refund::PurchaseRefund,
    site_sale::SiteSale,
};

#[async_trait]
impl LedgerRepository for Shop {
    async fn book(&mut self, tenant: TenantId, transaction: &LedgerTransaction) -> Result<(), StoreError> {
        let mut rows = self.rows();
        if rows.booked.iter().any(|(_, booked)| booked.source() == transaction.source()) {
            return Err(StoreError::Conflict("ledger_entries_source_key".to_owned()));
        }
        rows.booked.push((tenant, transaction.clone()));
        Ok(())
    }

    async fn book_missing(
        &mut self,
        tenant: TenantId,
        transaction: &LedgerTransaction,
    ) -> Result<bool, StoreError> {
        match self.book(tenant, transaction).await {
            Err(StoreError::Conflict(_)) => Ok(false),
            booked => booked.map(|()| true),
        }
    }

    async fn entries(&mut self, after: Option<EntryKey>, limit: u64) -> Result<Vec<LedgerEntry>, StoreError> {
        let order =
            |key: &EntryKey| (key.tenant_id, key.source.kind.as_str(), key.source.id.clone(), key.position);
        let rows = self.rows();
        let booked = rows.booked.iter().flat_map(|(tenant, booked)| {
            (0_i32..).zip(booked.entries()).map(move |(position, entry)| LedgerEntry {
                key: EntryKey { tenant_id: *tenant, source: booked.source().clone(), position },
                entry: entry.clone(),
                live: booked.live(),
                currency: booked.currency().to_owned(),
            })
        });
        let mut all: Vec<LedgerEntry> = rows.entries.iter().cloned().chain(booked).collect();
        all.sort_by_key(|entry| order(&entry.key));
        let after = after.as_ref().map(order);
        let left = all.into_iter().filter(|entry| after.is_none() || Some(order(&entry.key)) > after);
        Ok(left.take(limit as usize).collect())
    }

    async fn purchases(
        &mut self,
        live: bool,
        after: Option<(TenantId, PurchaseId)>,
        limit: u64,
    ) -> Result<Vec<BookedPurchase>, StoreError> {
        let rows = self.rows();
        // The first entry of each transaction is the balance.
        let sum = |kinds: [SourceKind; 2], ids: &[&str]| -> i64 {
            let booked = rows.booked.iter().map(|(_, booked)| booked);
            let booked = booked.filter(|booked| {
                booked.live() == live
                    && kinds.contains(&booked.source().kind)
                    && ids.contains(&booked.source().id.as_str())
            });
            booked.map(|booked| -booked.entries()[0].amount).sum()
        };
        let booked = |purchase: &Purchase| {
            let checkouts = rows.checkouts.iter().filter(|checkout| checkout.purchase_id == purchase.id);
            let payments: Vec<&str> =
                checkouts.filter_map(|checkout| checkout.payment_id.as_deref()).collect();
            let refunds = rows.refunds.iter().filter(|refund| refund.purchase_id == purchase.id);
            let refunds: Vec<&str> = refunds.filter_map(|refund| refund.provider_id.as_deref()).collect();
            let disputes = rows.disputes.iter().filter(|dispute| dispute.purchase_id == purchase.id);
            let disputes: Vec<&str> = disputes.map(|dispute| dispute.provider_id.as_str()).collect();
            BookedPurchase {
                tenant_id: purchase.tenant_id,
                id: purchase.id,
                is_paid: purchase.completed_at.is_some(),
                status: purchase.status,
                amount: purchase.amount,
                refunded_amount: purchase.refunded_amount,
                paid: -sum([SourceKind::Payment; 2], &payments),
                refunded: sum([SourceKind::Refund, SourceKind::RefundFailed], &refunds),
                disputed: sum([SourceKind::Dispute, SourceKind::DisputeWon], &disputes),
            }
        };
        let mut all: Vec<BookedPurchase> = rows
            .purchases
            .iter()
            .filter(|purchase| {
                let mut checkouts = rows.checkouts.iter();
                !checkouts.any(|checkout| checkout.purchase_id == purchase.id && checkout.live != live)
            })
            .map(booked)
            .collect();
        all.sort_by_key(|purchase| (purchase.tenant_id, purchase.id));
        let left = all
            .into_iter()
            .filter(|purchase| after.is_none_or(|after| (purchase.tenant_id, purchase.id) > after));
        Ok(left.take(limit as usize).collect())
    }

    async fn invoices(
        &mut self,
        live: bool,
        after: Option<(TenantId, InvoiceId)>,
        limit: u64,
    ) -> Result<Vec<BookedInvoice>, StoreError> {
        let rows = self.rows();
        let sum = |invoice: &Invoice, kinds: [SourceKind; 2]| -> i64 {
            let own = format!("{}:", invoice.provider_id);
            let booked = rows.booked.iter().filter(|(tenant, booked)| {
                let source = booked.source();
                *tenant == invoice.tenant_id
                    && booked.live() == live
                    && kinds.contains(&source.kind)
                    && source.id.starts_with(&own)
            });
            booked.map(|(_, booked)| -booked.entries()[0].amount).sum()
        };
        let booked = |invoice: &Invoice| BookedInvoice {
            tenant_id: invoice.tenant_id,
            id: invoice.id,
            amount_paid: invoice.amount_paid,
            amount_refunded: invoice.amount_refunded,
            amount_disputed: invoice.disputed(),
            paid: -sum(invoice, [SourceKind::Invoice; 2]),
            refunded: sum(invoice, [SourceKind::InvoiceRefund, SourceKind::InvoiceRefundFailed]),
            disputed: sum(invoice, [SourceKind::Dispute, SourceKind::DisputeWon]),
        };
        let is_of_other = |invoice: &Invoice| {
            let own = format!("{}:", invoice.provider_id);
            rows.booked.iter().any(|(tenant, booked)| {
                *tenant == invoice.tenant_id && booked.live() != live && booked.source().id.starts_with(&own)
            })
        };
        let of_plans = rows
            .invoices
            .iter()
            .filter(|invoice| invoice.kind == InvoiceKind::Subscription && !is_of_other(invoice));
        let mut all: Vec<BookedInvoice> = of_plans.map(booked).collect();
        all.sort_by_key(|invoice| (invoice.tenant_id, invoice.id));
        let left = all
            .into_iter()
            .filter(|invoice| after.is_none_or(|after| (invoice.tenant_id, invoice.id) > after));
        Ok(left.take(limit as usize).collect())
    }

    async fn sales(
        &mut self,
        live: bool,
        after: Option<(TenantId, PurchaseId)>,
        limit: u64,
    ) -> Result<Vec<BookedSale>, StoreError> {
        let rows = self.rows();
        let sum = |sale: &SiteSale, kinds: [SourceKind; 2], ids: &[&str]| -> i64 {
            let booked = rows.booked.iter().filter(|(tenant, booked)| {
                let source = booked.source();
                *tenant == sale.tenant_id
                    && booked.live() == live
                    && kinds.contains(&source.kind)
                    && ids.contains(&source.id.as_str())
            });
            booked.map(|(_, booked)| booked.entries()[0].amount).sum()
        };
        let booked = |sale: &SiteSale| {
            let payment: Vec<&str> = sale.checkout.payment_id.as_deref().into_iter().collect();
            let refunds = rows.site_refunds.iter().filter(|refund| refund.purchase_id == sale.id);
            let refunded_amount = refunds.clone().map(PurchaseRefund::refunded).sum();
            let refunds: Vec<&str> = refunds.filter_map(|refund| refund.provider_id.as_deref()).collect();
            BookedSale {
                tenant_id: sale.tenant_id,
                id: sale.id,
                is_paid: sale.paid_at.is_some(),
                amount: sale.amount,
                refunded_amount,
                paid: sum(sale, [SourceKind::Payment; 2], &payment),
                refunded: -sum(sale, [SourceKind::Refund, SourceKind::RefundFailed], &refunds),
            }
        };
        let of_mode = rows.sales.iter().filter(|sale| sale.checkout.live == live);
        let mut all: Vec<BookedSale> = of_mode.map(booked).collect();
        all.sort_by_key(|sale| (sale.tenant_id, sale.id));
        let left = all.into_iter().filter(|sale| after.is_none_or(|after| (sale.tenant_id, sale.id) > after));
        Ok(left.take(limit as usize).collect())
    }
}

#[async_trait]
impl FinanceRepository for Shop {
    async fn record(&mut self, change: &RecurringChange) -> Result<(), StoreError> {
        self.rows().changes.push(change.clone());
        Ok(())
    }

    async fn booked(&mut self, live: bool, from: Month, to: Month) -> Result<Vec<BookedSum>, StoreError> {
        let rows = self.rows();
        let of_mode = rows.booked.iter().filter(|(_, booked)| booked.live() == live);
        let entries = of_mode.flat_map(|(_, booked)| {
            let month = Month::of(booked.booked_at());
            booked.entries().iter().filter_map(move |entry| {
                let (account, amount) = (entry.account, entry.amount);
                let currency = booked.currency().to_owned();
                Some(BookedSum { month, currency, account, subject: entry.subject.clone()?, amount })
            })
        });
        Ok(entries.filter(|sum| (from..=to).contains(&sum.month)).collect())
    }

    async fn changes(&mut self, live: bool, from: Month, to: Month) -> Result<Vec<ChangeCount>, StoreError> {
        let rows = self.rows();
        let changes =
            rows.changes.iter().filter(|change| change.live == live && Month::of(change.changed_at) <= to);
        let count = |change: &RecurringChange| {
            let month = Some(Month::of(change.changed_at)).filter(|month| *month >= from);
            let (from, to) = (change.from.clone(), change.to.clone());
            ChangeCount { month, from, to, from_off: change.from_off, to_off: change.to_off, count: 1 }
        };
        Ok(changes.map(count).collect())
    }

    async fn prices(&mut self) -> Result<Vec<PricedVersion>, StoreError> {
        Ok(self.rows().plan_prices.clone())
    }
}
