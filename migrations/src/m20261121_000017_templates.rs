//! Website templates, and what the sections of pages were made from.

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
            create table templates (
                id uuid not null primary key,
                slug text not null,
                name text not null,
                category text not null,
                industry text not null,
                description text not null,
                language text not null,
                is_premium boolean not null,
                is_featured boolean not null,
                popularity bigint not null,
                look {json} not null,
                -- The pages without the content of their sections: what lists show.
                outline {json} not null,
                pages {json} not null,
                -- `library` while it is as the program brought it, `staff` once somebody made or changed it.
                origin text not null,
                -- Of the version of the library that is stored; null for what staff made.
                fingerprint text,
                -- Set for what pages may refer to, and for the library's, which must not come back.
                deleted_at timestamp,
                created_at timestamp not null,
                updated_at timestamp not null,
                version bigint not null
            );
            create unique index templates_slug_key on templates (slug) where deleted_at is null;
            create index templates_popularity_idx on templates (popularity) where deleted_at is null;
            create index templates_industry_idx on templates (industry) where deleted_at is null;
            create index templates_category_idx on templates (category) where deleted_at is null;

            -- No foreign key to the section: that it is gone is worth knowing. None to the template either: templates
            -- belong to no tenant, and one that is in use is never deleted, only marked.
            create table section_origins (
                tenant_id uuid not null,
                section_id uuid not null,
                page_id uuid not null,
                template_id uuid not null,
                page_key text not null,
                section_key text not null,
                kind text not null,
                content {json} not null,
                position integer not null,
                applied_at timestamp not null,
                primary key (tenant_id, section_id),
                foreign key (tenant_id, page_id) references pages (tenant_id, id) on delete cascade
            );
            create index section_origins_page_id_idx on section_origins (tenant_id, page_id, position);
            ",
        )
        .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, "drop table section_origins; drop table templates;").await
    }
}
