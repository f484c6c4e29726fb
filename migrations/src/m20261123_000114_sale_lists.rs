//! Lists of sales of sites.

use sea_orm_migration::prelude::*;

use crate::dialect::run;

/// See the module.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // Those of all sellers, newest first, and those of one buyer.
        run(
            manager,
            "
            create index site_sales_created_at_idx on site_sales (created_at, id);
            create index site_sales_buyer_tenant_idx on site_sales (buyer_tenant_id, created_at, id)
                where buyer_tenant_id is not null;
            ",
        )
        .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(
            manager,
            "
            drop index site_sales_buyer_tenant_idx;
            drop index site_sales_created_at_idx;
            ",
        )
        .await
    }
}
