//! Limits that staff agree on with one tenant.

use sea_orm_migration::prelude::*;

use crate::dialect::run;

/// See the module.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // In the row of the subscription, which everything that asks for a limit reads.
        run(manager, "alter table subscriptions add column overrides {json};").await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, "alter table subscriptions drop column overrides;").await
    }
}
