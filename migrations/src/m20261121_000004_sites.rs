//! Sites, pages, sections, navigation, deployments.

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
            create table sites (
                tenant_id uuid not null references tenants (id),
                id uuid not null,
                name text not null,
                subdomain text not null,
                custom_domain text,
                status text not null,
                -- No foreign key: deployments refer to their site already, and go only with it.
                live_deployment_id uuid,
                created_at timestamp not null,
                updated_at timestamp not null,
                version bigint not null,
                primary key (tenant_id, id),
                constraint sites_subdomain_key unique (subdomain),
                foreign key (tenant_id, subdomain) references subdomains (tenant_id, name)
            );
            create index sites_created_at_idx on sites (tenant_id, created_at, id);

            create table pages (
                tenant_id uuid not null,
                id uuid not null,
                site_id uuid not null,
                title text not null,
                slug text not null,
                status text not null,
                is_home boolean not null,
                template_id uuid,
                published_at timestamp,
                created_at timestamp not null,
                updated_at timestamp not null,
                version bigint not null,
                primary key (tenant_id, id),
                constraint pages_slug_key unique (tenant_id, site_id, slug),
                foreign key (tenant_id, site_id) references sites (tenant_id, id) on delete cascade
            );
            create unique index pages_home_key on pages (tenant_id, site_id) where is_home;
            create index pages_created_at_idx on pages (tenant_id, site_id, created_at, id);

            create table sections (
                tenant_id uuid not null,
                id uuid not null,
                page_id uuid not null,
                kind text not null,
                content {json} not null,
                position integer not null,
                visible boolean not null,
                created_at timestamp not null,
                updated_at timestamp not null,
                version bigint not null,
                primary key (tenant_id, id),
                foreign key (tenant_id, page_id) references pages (tenant_id, id) on delete cascade
            );
            create index sections_position_idx on sections (tenant_id, page_id, position);

            create table nav_items (
                tenant_id uuid not null,
                id uuid not null,
                site_id uuid not null,
                label text not null,
                page_id uuid,
                url text,
                parent_id uuid,
                position integer not null,
                opens_new_tab boolean not null,
                created_at timestamp not null,
                updated_at timestamp not null,
                version bigint not null,
                primary key (tenant_id, id),
                foreign key (tenant_id, site_id) references sites (tenant_id, id) on delete cascade,
                foreign key (tenant_id, page_id) references pages (tenant_id, id) on delete cascade,
                foreign key (tenant_id, parent_id) references nav_items (tenant_id, id) on delete cascade
            );
            create index nav_items_position_idx on nav_items (tenant_id, site_id, position);
            create index nav_items_page_id_idx on nav_items (tenant_id, page_id);
            create index nav_items_parent_id_idx on nav_items (tenant_id, parent_id);

            create table deployments (
                tenant_id uuid not null,
                id uuid not null,
                site_id uuid not null,
                status text not null,
                progress integer not null,
                error text,
                created_at timestamp not null,
                started_at timestamp,
                finished_at timestamp,
                primary key (tenant_id, id),
                foreign key (tenant_id, site_id) references sites (tenant_id, id) on delete cascade
            );
            -- One at a time for a site.
            create unique index deployments_active_key on deployments (tenant_id, site_id)
                where status in ('queued', 'building');
            create index deployments_created_at_idx on deployments (tenant_id, site_id, created_at, id);
            ",
        )
        .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(
            manager,
            "drop table deployments; drop table nav_items; drop table sections; drop table pages; drop table sites;",
        )
        .await
    }
}
