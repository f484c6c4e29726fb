//! What money is about, and changes of what is paid for plans.

use sea_orm_migration::prelude::*;

use crate::dialect::run;

/// See the module.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // Balances are about everything, and are not in the index: it has all that the financial report sums, so that the table itself
        // is not read. A change of what is paid for has the number of the answer of the provider that showed it.
        run(
            manager,
            "
            alter table ledger_entries add column subject text;
            update ledger_entries set subject = 'unknown' where account not in ('provider:stripe:balance', 'provider:recurrente:balance');
            create index ledger_entries_report_idx on ledger_entries (booked_at, currency, account, subject, amount)
                where subject is not null;

            create table recurring_changes (
                tenant_id uuid not null references tenants (id),
                revision bigint not null,
                from_price text,
                to_price text,
                changed_at timestamp not null,
                primary key (tenant_id, revision)
            );
            create index recurring_changes_report_idx on recurring_changes (changed_at, from_price, to_price);
            ",
        )
        .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(
            manager,
            "
            drop table recurring_changes;
            drop index ledger_entries_report_idx;
            alter table ledger_entries drop column subject;
            ",
        )
        .await
    }
}
