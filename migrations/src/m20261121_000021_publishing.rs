//! States that pages once had, and deployments whose files were deleted.

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
            create table page_versions (
                tenant_id uuid not null,
                id uuid not null,
                page_id uuid not null,
                number bigint not null,
                author_kind text not null,
                -- No foreign key, as in the event log: a key can be gone.
                author_id uuid,
                summary text not null,
                restored_from bigint,
                digest text not null,
                content {json} not null,
                size bigint not null,
                created_at timestamp not null,
                primary key (tenant_id, id),
                constraint page_versions_number_key unique (tenant_id, page_id, number),
                foreign key (tenant_id, page_id) references pages (tenant_id, id) on delete cascade
            );

            alter table deployments add column cleaned_at timestamp;
            ",
        )
        .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, "alter table deployments drop column cleaned_at; drop table page_versions;").await
    }
}
