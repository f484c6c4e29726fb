//! Files that tenants uploaded.

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
            create table assets (
                tenant_id uuid not null references tenants (id),
                id uuid not null,
                filename text not null,
                content_type text not null,
                size bigint not null,
                width integer,
                height integer,
                hash text not null,
                variants {json} not null,
                alt_text text,
                -- Set on one that is deleted: until then it can be restored.
                purge_at timestamp,
                created_at timestamp not null,
                updated_at timestamp not null,
                version bigint not null,
                primary key (tenant_id, id)
            );
            create index assets_created_at_idx on assets (tenant_id, created_at, id) where purge_at is null;
            ",
        )
        .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, "drop table assets;").await
    }
}
