//! What a tenant has bought and used.

use portico_billing::ports::{
    AccountRepository, BillingRepositories, CheckoutRepository, CouponRepository, DisputeRepository,
    FinanceRepository, GenerationRepository, InvoiceRepository, LedgerRepository, MeterRepository,
    PlanCallRepository, PlanRepository, ProductRepository, PurchaseRepository, RefundRepository,
    SiteSaleRepository, SubscriptionRepository,
};

use crate::{Repositories, db::StatementConnection};

mod accounts;
mod checkouts;
mod coupons;
mod disputes;
mod finance;
mod generations;
mod inbound_events;
mod invoices;
mod ledger;
mod meters;
mod plan_calls;
mod plans;
mod products;
mod purchases;
mod refunds;
mod site_sales;
mod subscriptions;

pub(crate) use subscriptions::agreed_rate;

impl<C: StatementConnection> BillingRepositories for Repositories<C> {
    fn plans<'c>(&'c mut self) -> Box<dyn PlanRepository + 'c> {
        Box::new(plans::Plans { db: self.connection.db() })
    }

    fn subscriptions<'c>(&'c mut self) -> Box<dyn SubscriptionRepository + 'c> {
        Box::new(subscriptions::Subscriptions { db: self.connection.db() })
    }

    fn generations<'c>(&'c mut self) -> Box<dyn GenerationRepository + 'c> {
        Box::new(generations::Generations { db: self.connection.db() })
    }

    fn meters<'c>(&'c mut self) -> Box<dyn MeterRepository + 'c> {
        Box::new(meters::Meters { db: self.connection.db() })
    }

    fn products<'c>(&'c mut self) -> Box<dyn ProductRepository + 'c> {
        Box::new(products::Products { db: self.connection.db() })
    }

    fn purchases<'c>(&'c mut self) -> Box<dyn PurchaseRepository + 'c> {
        Box::new(purchases::Purchases { db: self.connection.db() })
    }

    fn coupons<'c>(&'c mut self) -> Box<dyn CouponRepository + 'c> {
        Box::new(coupons::Coupons { db: self.connection.db() })
    }

    fn checkouts<'c>(&'c mut self) -> Box<dyn CheckoutRepository + 'c> {
        Box::new(checkouts::Checkouts { db: self.connection.db() })
    }

    fn site_sales<'c>(&'c mut self) -> Box<dyn SiteSaleRepository + 'c> {
        Box::new(site_sales::SiteSales { db: self.connection.db() })
    }

    fn refunds<'c>(&'c mut self) -> Box<dyn RefundRepository + 'c> {
        Box::new(refunds::Refunds { db: self.connection.db(), table: "refunds" })
    }

    fn site_refunds<'c>(&'c mut self) -> Box<dyn RefundRepository + 'c> {
        Box::new(refunds::Refunds { db: self.connection.db(), table: "site_refunds" })
    }

    fn disputes<'c>(&'c mut self) -> Box<dyn DisputeRepository + 'c> {
        Box::new(disputes::Disputes { db: self.connection.db() })
    }

    fn accounts<'c>(&'c mut self) -> Box<dyn AccountRepository + 'c> {
        Box::new(accounts::Accounts { db: self.connection.db() })
    }

    fn plan_calls<'c>(&'c mut self) -> Box<dyn PlanCallRepository + 'c> {
        Box::new(plan_calls::PlanCalls { db: self.connection.db() })
    }

    fn invoices<'c>(&'c mut self) -> Box<dyn InvoiceRepository + 'c> {
        Box::new(invoices::Invoices { db: self.connection.db() })
    }

    fn ledger<'c>(&'c mut self) -> Box<dyn LedgerRepository + 'c> {
        Box::new(ledger::Ledger { db: self.connection.db() })
    }

    fn finance<'c>(&'c mut self) -> Box<dyn FinanceRepository + 'c> {
        Box::new(finance::Finance { db: self.connection.db() })
    }
}
