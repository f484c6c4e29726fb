//! Indexes without which large tenants would be slow (see `portico-bench growth`).

use sea_orm_migration::prelude::*;

use crate::dialect::{is_postgres, run};

/// See the module.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // The owners among many members: their number, the first of them, and whom to notify.
        run(
            manager,
            "create index memberships_role_idx on memberships (tenant_id, role, joined_at, user_id);",
        )
        .await?;
        if is_postgres(manager) {
            // Where Postgres does not know that a site has many pages, it takes this one and `pages_created_at_idx` for equally good
            // at finding a slug, and of equals the newer one. With the other it would read all pages of the site.
            run(
                manager,
                "alter table pages drop constraint pages_slug_key;
                alter table pages add constraint pages_slug_key unique (tenant_id, site_id, slug);",
            )
            .await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, "drop index memberships_role_idx;").await
    }
}
