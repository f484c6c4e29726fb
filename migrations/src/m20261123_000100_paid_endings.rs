//! Whether what a tenant pays for ends because the tenant is to be deleted.

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
            alter table billing_accounts add column ends_with_tenant boolean not null default false;
            ",
        )
        .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(
            manager,
            "
            alter table billing_accounts drop column ends_with_tenant;
            ",
        )
        .await
    }
}
