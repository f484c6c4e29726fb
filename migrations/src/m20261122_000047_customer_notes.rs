//! Notes of staff about customers.

use sea_orm_migration::prelude::*;

use crate::dialect::run;

/// See the module.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // Ids follow the time of creation, so the key is the index of the list.
        run(
            manager,
            "create table customer_notes (
                tenant_id uuid not null references tenants (id),
                id uuid not null,
                author_id uuid not null references users (id),
                text text not null,
                created_at timestamp not null,
                primary key (tenant_id, id)
            );",
        )
        .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, "drop table customer_notes;").await
    }
}
