//! Who acts as somebody else, and when a person last proved who they are.

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
            alter table sessions add column impersonator_id uuid references users (id);
            -- A session that began before this column was there counts as proven when it began.
            alter table sessions add column authenticated_at timestamp not null default '1970-01-01 00:00:00';
            update sessions set authenticated_at = created_at;
            alter table events add column impersonator_id uuid;
            ",
        )
        .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(
            manager,
            "
            alter table events drop column impersonator_id;
            alter table sessions drop column authenticated_at;
            delete from sessions where impersonator_id is not null;
            alter table sessions drop column impersonator_id;
            ",
        )
        .await
    }
}
