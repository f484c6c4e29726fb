//! What becomes of each event in the audit trail.

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
            alter table events add column audit text not null default 'sealed';
            create index events_unsealed_idx on events (audit, tenant_id, created_at) where audit <> 'sealed';
            ",
        )
        .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(
            manager,
            "
            -- Without the column they would be entries that the sealing went past.
            delete from events where audit <> 'sealed';
            drop index events_unsealed_idx;
            alter table events drop column audit;
            ",
        )
        .await
    }
}
