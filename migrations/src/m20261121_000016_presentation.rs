//! Languages, looks and prices of sites, translations of pages, and what search engines are told.

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
            alter table sites add column language text not null default 'en';
            alter table sites add column industry text;
            alter table sites add column look {json};
            alter table sites add column price_amount bigint;
            alter table sites add column price_currency text;
            alter table pages add column language text;
            -- No foreign key: it names a group of pages, which stays when the first of them goes.
            alter table pages add column translation_of uuid;
            alter table pages add column publish_at timestamp;

            create table page_seo (
                tenant_id uuid not null,
                page_id uuid not null,
                title text,
                description text,
                keywords {json} not null,
                canonical_url text,
                robots text,
                open_graph {json} not null,
                structured_data {json},
                updated_at timestamp not null,
                version bigint not null,
                primary key (tenant_id, page_id),
                foreign key (tenant_id, page_id) references pages (tenant_id, id) on delete cascade
            );
            ",
        )
        .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(
            manager,
            "
            drop table page_seo;
            alter table pages drop column publish_at;
            alter table pages drop column translation_of;
            alter table pages drop column language;
            alter table sites drop column price_currency;
            alter table sites drop column price_amount;
            alter table sites drop column look;
            alter table sites drop column industry;
            alter table sites drop column language;
            ",
        )
        .await
    }
}
