//! Sites that go back to the tenant that sold them when their money is given back.

use sea_orm_migration::prelude::*;

use crate::dialect::run;

/// See the module.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // Staff decide it with the refund; the money may be given back much later.
        run(manager, "alter table site_sales add column returns_site boolean not null default false;").await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, "alter table site_sales drop column returns_site;").await
    }
}
