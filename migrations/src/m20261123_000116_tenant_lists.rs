//! Lists of tenants by name and by their last change.

use sea_orm_migration::prelude::*;

use crate::dialect::run;

/// See the module.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // As the lists are sorted: the id decides between equals.
        run(
            manager,
            "
            create index tenants_name_idx on tenants (name, id);
            create index tenants_updated_at_idx on tenants (updated_at, id);
            ",
        )
        .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, "drop index tenants_updated_at_idx; drop index tenants_name_idx;").await
    }
}
