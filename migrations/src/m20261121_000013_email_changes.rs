//! Changes of address that wait for the reader of the new one.

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
            -- One for each user: a newer one takes the place of an older one. The session may be gone before it is used.
            create table email_changes (
                user_id uuid not null primary key references users (id),
                id uuid not null unique,
                session_id uuid not null,
                email text not null,
                created_at timestamp not null,
                expires_at timestamp not null
            );
            create index email_changes_expires_at_idx on email_changes (expires_at);
            ",
        )
        .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, "drop table email_changes;").await
    }
}
