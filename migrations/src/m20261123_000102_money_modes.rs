//! Which money is real: of entries of the ledger, and of changes of what is paid for plans.

use sea_orm_migration::prelude::*;

use crate::dialect::run;

/// See the module.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // What was stored before is as what was paid says: the checkout of a purchase, the sale of a site, the account that pays for a
        // plan, which had one mode until now. The source of a movement of an invoice has a colon in it, and no other has. What is found
        // nowhere is play money. The index begins with the mode: a report reads its part of it and no more.
        run(
            manager,
            "
            alter table ledger_entries add column live boolean not null default false;
            update ledger_entries set live = true where source_kind in ('payment', 'fee') and exists (
                select 1 from checkouts c where c.tenant_id = ledger_entries.tenant_id and c.payment_id = ledger_entries.source_id and c.live);
            update ledger_entries set live = true where source_kind in ('payment', 'fee') and exists (
                select 1 from site_sales s where s.tenant_id = ledger_entries.tenant_id and s.payment_id = ledger_entries.source_id and s.live);
            update ledger_entries set live = true where source_kind in ('refund', 'refund_failed') and exists (
                select 1 from refunds r join checkouts c on c.tenant_id = r.tenant_id and c.purchase_id = r.purchase_id
                where r.tenant_id = ledger_entries.tenant_id and r.provider_id = ledger_entries.source_id and c.live);
            update ledger_entries set live = true where source_kind in ('refund', 'refund_failed') and exists (
                select 1 from site_refunds r join site_sales s on s.tenant_id = r.tenant_id and s.id = r.purchase_id
                where r.tenant_id = ledger_entries.tenant_id and r.provider_id = ledger_entries.source_id and s.live);
            update ledger_entries set live = true where source_kind in ('dispute', 'dispute_fee', 'dispute_won') and exists (
                select 1 from disputes d join checkouts c on c.tenant_id = d.tenant_id and c.purchase_id = d.purchase_id
                where d.tenant_id = ledger_entries.tenant_id and d.provider_id = ledger_entries.source_id and c.live);
            update ledger_entries set live = true where source_id like '%:%' and exists (
                select 1 from billing_accounts a where a.tenant_id = ledger_entries.tenant_id and a.live);
            drop index ledger_entries_report_idx;
            create index ledger_entries_report_idx on ledger_entries (live, booked_at, currency, account, subject, amount)
                where subject is not null;

            alter table recurring_changes add column live boolean not null default false;
            update recurring_changes set live = true where exists (
                select 1 from billing_accounts a where a.tenant_id = recurring_changes.tenant_id and a.live);
            drop index recurring_changes_report_idx;
            create index recurring_changes_report_idx on recurring_changes (live, changed_at, from_price, to_price);
            ",
        )
        .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(
            manager,
            "
            drop index recurring_changes_report_idx;
            create index recurring_changes_report_idx on recurring_changes (changed_at, from_price, to_price);
            alter table recurring_changes drop column live;
            drop index ledger_entries_report_idx;
            create index ledger_entries_report_idx on ledger_entries (booked_at, currency, account, subject, amount)
                where subject is not null;
            alter table ledger_entries drop column live;
            ",
        )
        .await
    }
}
