//! Visits of published sites, and what visitors sent through contact forms.

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
            -- The secret that visitors of a day are hashed with, the same for all instances.
            create table visit_salts (
                day text not null primary key,
                salt bytea not null
            );

            -- Which batches were added to the counts.
            create table visit_batches (
                id uuid not null primary key,
                stored_at timestamp not null
            );
            create index visit_batches_stored_at_idx on visit_batches (stored_at);

            create table visit_days (
                tenant_id uuid not null,
                site_id uuid not null,
                day text not null,
                visits bigint not null,
                visitors bigint not null,
                primary key (tenant_id, site_id, day),
                foreign key (tenant_id, site_id) references sites (tenant_id, id) on delete cascade
            );
            create index visit_days_day_idx on visit_days (day);

            -- Visits by page, referrer, country and device.
            create table visit_names (
                tenant_id uuid not null,
                site_id uuid not null,
                day text not null,
                dimension text not null,
                name text not null,
                visits bigint not null,
                primary key (tenant_id, site_id, day, dimension, name),
                foreign key (tenant_id, site_id) references sites (tenant_id, id) on delete cascade
            );
            create index visit_names_day_idx on visit_names (day);

            -- Who came today. Emptied when the day is over.
            create table visitor_hashes (
                tenant_id uuid not null,
                site_id uuid not null,
                day text not null,
                hash bytea not null,
                primary key (tenant_id, site_id, day, hash),
                foreign key (tenant_id, site_id) references sites (tenant_id, id) on delete cascade
            );
            create index visitor_hashes_day_idx on visitor_hashes (day);

            -- What the sites of a tenant sent. It outlives the sites, because plans are about it.
            create table traffic_days (
                tenant_id uuid not null references tenants (id),
                day text not null,
                answers bigint not null,
                bytes bigint not null,
                primary key (tenant_id, day)
            );
            create index traffic_days_day_idx on traffic_days (day);

            create table submissions (
                tenant_id uuid not null,
                id uuid not null,
                site_id uuid not null,
                -- No foreign key: the section may go, what was sent through its form stays.
                section_id uuid not null,
                page_path text not null,
                language text not null,
                name text not null,
                email text not null,
                phone text,
                message text not null,
                consent boolean not null,
                consent_text text not null,
                consent_at timestamp,
                status text not null,
                digest text not null,
                created_at timestamp not null,
                updated_at timestamp not null,
                version bigint not null,
                primary key (tenant_id, id),
                constraint submissions_digest_key unique (tenant_id, site_id, digest),
                foreign key (tenant_id, site_id) references sites (tenant_id, id) on delete cascade
            );
            create index submissions_site_id_idx on submissions (tenant_id, site_id, id);
            create index submissions_created_at_idx on submissions (created_at);
            ",
        )
        .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(
            manager,
            "drop table submissions; drop table traffic_days; drop table visitor_hashes; drop table visit_names; \
             drop table visit_days; drop table visit_batches; drop table visit_salts;",
        )
        .await
    }
}
