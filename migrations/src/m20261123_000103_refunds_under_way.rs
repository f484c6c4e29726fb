//! Refunds count once they have succeeded.

use sea_orm_migration::prelude::*;

use crate::dialect::run;

/// See the module.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // Those that are on their way were booked and counted until now; they are once they have arrived.
        run(
            manager,
            "
            delete from ledger_entries where source_kind = 'refund' and exists (
                select 1 from refunds r where r.tenant_id = ledger_entries.tenant_id and r.provider_id = ledger_entries.source_id
                and r.status = 'pending');
            delete from ledger_entries where source_kind = 'refund' and exists (
                select 1 from site_refunds r where r.tenant_id = ledger_entries.tenant_id and r.provider_id = ledger_entries.source_id
                and r.status = 'pending');
            update purchases set refunded_amount = refunded_amount - (
                select sum(r.amount) from refunds r where r.tenant_id = purchases.tenant_id and r.purchase_id = purchases.id
                and r.status = 'pending')
                where exists (select 1 from refunds r where r.tenant_id = purchases.tenant_id and r.purchase_id = purchases.id
                and r.status = 'pending');
            update invoices set amount_refunded = (
                select p.refunded_amount from purchases p where p.tenant_id = invoices.tenant_id and p.id = invoices.id)
                where kind = 'purchase' and exists (select 1 from refunds r where r.tenant_id = invoices.tenant_id
                and r.purchase_id = invoices.id and r.status = 'pending');
            ",
        )
        .await
    }

    async fn down(&self, _: &SchemaManager) -> Result<(), DbErr> {
        // They are booked when the provider says that they have arrived, and counted with its next answer.
        Ok(())
    }
}
