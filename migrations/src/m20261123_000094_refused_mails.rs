//! Mails that tickets did not take any more.

use sea_orm_migration::prelude::*;

use crate::dialect::run;

/// See the module.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // Nothing of the mail but its digest, by which it is known when the provider brings it again.
        run(
            manager,
            "create table support_refused_mails (
                tenant_id uuid not null references tenants (id),
                digest bytea not null,
                refused_at timestamp not null,
                primary key (tenant_id, digest)
            );",
        )
        .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, "drop table support_refused_mails;").await
    }
}
