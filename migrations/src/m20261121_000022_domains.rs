//! Domains of customers, and finding sites for sale.

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
            create table domains (
                tenant_id uuid not null,
                id uuid not null,
                site_id uuid not null,
                name text not null,
                mode text not null,
                status text not null,
                reason text,
                token text not null,
                records {json} not null,
                checked_at timestamp,
                verified_at timestamp,
                missing_since timestamp,
                misses integer not null,
                round bigint not null,
                created_at timestamp not null,
                updated_at timestamp not null,
                version bigint not null,
                primary key (tenant_id, id),
                constraint domains_name_key unique (tenant_id, name),
                foreign key (tenant_id, site_id) references sites (tenant_id, id) on delete cascade
            );
            -- Several may want a name, one has it.
            create unique index domains_verified_key on domains (name) where status = 'verified';
            create unique index domains_primary_key on domains (tenant_id, site_id)
                where mode = 'primary' and status = 'verified';
            create index domains_created_at_idx on domains (tenant_id, site_id, created_at, id);

            create index sites_for_sale_idx on sites (created_at, id) where status = 'for_sale';
            ",
        )
        .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, "drop index sites_for_sale_idx; drop table domains;").await
    }
}
