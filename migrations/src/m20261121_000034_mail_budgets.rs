//! How much mail recipients may still get.

use sea_orm_migration::prelude::*;

use crate::dialect::run;

/// See the module.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(
            manager,
            "
            -- The key is a keyed digest: the table tells nobody's address. full_at is in microseconds since 1970.
            create table mail_budgets (
                key bytea primary key,
                full_at bigint not null,
                expires_at timestamp not null
            );
            create index mail_budgets_expires_at_idx on mail_budgets (expires_at);
            ",
        )
        .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, "drop table mail_budgets;").await
    }
}
