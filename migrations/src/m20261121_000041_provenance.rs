//! Where the content of each section comes from. What was there before counts as the customer's own.

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
            alter table sections add column provenance text not null default 'own';
            create index sections_samples_idx on sections (tenant_id, page_id) where provenance <> 'own';
            ",
        )
        .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(
            manager,
            "
            drop index sections_samples_idx;
            alter table sections drop column provenance;
            ",
        )
        .await
    }
}
