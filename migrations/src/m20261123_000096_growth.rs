//! What tenants did in each month, figures of growth, the areas of staff, and what they find customers by.

use sea_orm_migration::prelude::*;

use crate::dialect::run;

/// See the module.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // A row for each month in which a tenant did something with a sort of resource. Days and figures are of all tenants together.
        run(
            manager,
            "
            create table tenant_activity (
                tenant_id uuid not null references tenants (id),
                month text not null,
                resource_type text not null,
                primary key (tenant_id, month, resource_type)
            );
            create index tenant_activity_month_idx on tenant_activity (month, resource_type, tenant_id);

            create table activity_days (
                day text not null primary key
            );

            create table growth_figures (
                month text not null,
                figure text not null,
                amount bigint not null,
                primary key (month, figure)
            );

            -- Staff find customers by them.
            create index invoices_number_idx on invoices (number) where number is not null;
            create index invoices_id_idx on invoices (id);
            create index purchases_id_idx on purchases (id);
            create index licenses_id_idx on licenses (id);

            alter table users add column staff_areas {json};
            ",
        )
        .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(
            manager,
            "
            alter table users drop column staff_areas;
            drop index licenses_id_idx;
            drop index purchases_id_idx;
            drop index invoices_id_idx;
            drop index invoices_number_idx;
            drop table growth_figures;
            drop table activity_days;
            drop table tenant_activity;
            ",
        )
        .await
    }
}
