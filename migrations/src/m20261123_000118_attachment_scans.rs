//! What a scanner says of mails that came to tickets, and files that nobody loads before it has passed them.

use sea_orm_migration::prelude::*;

use crate::dialect::run;

/// See the module.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // What is said of a file that came with a ticket stands in `attachments`, beside its name. With defaults, for instances that do not
        // know of scans yet.
        run(
            manager,
            "
            alter table assets add column held boolean not null default false;
            alter table support_mails add column scan text not null default 'not_scanned';
            alter table support_mails add column signature text;
            ",
        )
        .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(
            manager,
            "
            alter table support_mails drop column signature;
            alter table support_mails drop column scan;
            alter table assets drop column held;
            ",
        )
        .await
    }
}
