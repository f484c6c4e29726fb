//! Lists of sales of sites, and when a tenant published for the first time.

use sea_orm_migration::prelude::*;

use crate::dialect::run;

/// See the module.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // Sales of all sellers, newest first, and those to one buyer. Deployments go with their site, and the log is cut off: that a tenant
        // has published stays with the tenant. A site that was bought was published by its seller before.
        run(
            manager,
            "
            create index site_sales_created_at_idx on site_sales (created_at, id);
            create index site_sales_buyer_tenant_idx on site_sales (buyer_tenant_id, created_at, id)
                where buyer_tenant_id is not null;

            alter table tenants add column first_published_at timestamp;
            update tenants set first_published_at = (select min(done.at) from (
                select finished_at as at from deployments
                where deployments.tenant_id = tenants.id and deployments.status = 'live' and deployments.finished_at >= tenants.created_at
                union all select created_at as at from events
                where events.tenant_id = tenants.id and events.kind = 'site.deployed') done);
            ",
        )
        .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(
            manager,
            "
            alter table tenants drop column first_published_at;
            drop index site_sales_buyer_tenant_idx;
            drop index site_sales_created_at_idx;
            ",
        )
        .await
    }
}
