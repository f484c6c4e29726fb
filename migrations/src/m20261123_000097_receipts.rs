//! Numbers of receipts, and who sold what an invoice is for.

use sea_orm_migration::prelude::*;

use crate::dialect::run;

/// See the module.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // The seller is read and written with the invoice only, and never changes: a document.
        run(
            manager,
            "
            create table receipt_numbers (
                series text not null primary key,
                last_number bigint not null
            );
            alter table invoices add column seller {json};
            ",
        )
        .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(
            manager,
            "
            alter table invoices drop column seller;
            drop table receipt_numbers;
            ",
        )
        .await
    }
}
