//! Tenants, the names they and their sites answer at, and branding.

use sea_orm_migration::prelude::*;

use crate::dialect::run;

/// Tenants come before users, because a session names its active tenant; memberships come after both.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(
            manager,
            "
            create table tenants (
                id uuid not null primary key,
                name text not null,
                subdomain text not null,
                status text not null,
                created_at timestamp not null,
                updated_at timestamp not null,
                version bigint not null,
                constraint tenants_subdomain_key unique (subdomain)
            );
            create index tenants_created_at_idx on tenants (created_at, id);

            -- The one registry of names: whoever has the row has the name, tenant or site.
            create table subdomains (
                name text not null primary key,
                tenant_id uuid not null references tenants (id),
                created_at timestamp not null,
                constraint subdomains_tenant_id_name_key unique (tenant_id, name)
            );

            create table brandings (
                tenant_id uuid not null primary key references tenants (id),
                colors {json} not null,
                fonts {json} not null,
                logo_asset_id uuid,
                favicon_asset_id uuid,
                updated_at timestamp not null,
                version bigint not null
            );
            ",
        )
        .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, "drop table brandings; drop table subdomains; drop table tenants;").await
    }
}
