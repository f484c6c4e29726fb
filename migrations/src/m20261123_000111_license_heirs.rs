//! Licenses that follow others are found by themselves.

use sea_orm_migration::prelude::*;

use crate::dialect::run;

/// See the module.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // Open offers have no heir.
        run(
            manager,
            "
            create index license_transfers_heir_idx on license_transfers (heir_tenant_id, heir_license_id)
                where heir_license_id is not null;
            ",
        )
        .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, "drop index license_transfers_heir_idx;").await
    }
}
