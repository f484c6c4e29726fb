//! Indexes by which expired rows are found.

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
            create index sessions_expires_at_idx on sessions (expires_at);
            create index one_time_tokens_expires_at_idx on one_time_tokens (expires_at);
            ",
        )
        .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, "drop index sessions_expires_at_idx; drop index one_time_tokens_expires_at_idx;").await
    }
}
