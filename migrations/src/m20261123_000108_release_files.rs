//! What a scanner says of files of releases, when they were deleted, and uploads of them in parts.

use sea_orm_migration::prelude::*;

use crate::dialect::run;

/// See the module.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // An upload has the id of the file to be. Its parts are in the file store only.
        run(
            manager,
            "
            alter table releases add column scan text;
            alter table releases add column signature text;
            alter table releases add column file_deleted_at timestamp;
            create index releases_withdrawn_idx on releases (updated_at)
                where status = 'withdrawn' and file_id is not null and file_deleted_at is null;

            create table release_uploads (
                id uuid not null primary key,
                release_id uuid not null references releases (id),
                file_name text not null,
                content_type text not null,
                size bigint not null,
                sha256 text not null,
                part_size bigint not null,
                created_at timestamp not null,
                expires_at timestamp not null
            );
            create index release_uploads_release_idx on release_uploads (release_id);
            ",
        )
        .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(
            manager,
            "
            drop table release_uploads;
            drop index releases_withdrawn_idx;
            alter table releases drop column file_deleted_at;
            alter table releases drop column signature;
            alter table releases drop column scan;
            ",
        )
        .await
    }
}
