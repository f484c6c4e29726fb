//! Whose turn scheduled work is.

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
            -- One row for each kind of work that comes round, whichever instance does it. Not of any tenant.
            create table schedules (
                name text not null primary key,
                due_at timestamp not null,
                leased_by text,
                leased_until timestamp
            );
            ",
        )
        .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, "drop table schedules;").await
    }
}
