//! Runs through the wizard, and the texts that are generated for them.

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
            create table wizards (
                tenant_id uuid not null references tenants (id),
                id uuid not null,
                status text not null,
                answers {json} not null,
                site_id uuid,
                generated_at timestamp,
                created_at timestamp not null,
                updated_at timestamp not null,
                completed_at timestamp,
                version bigint not null,
                primary key (tenant_id, id),
                -- A wizard makes one site, and goes with it.
                constraint wizards_site_key unique (tenant_id, site_id),
                foreign key (tenant_id, site_id) references sites (tenant_id, id) on delete cascade
            );
            create index wizards_updated_at_idx on wizards (tenant_id, updated_at, id);
            create index wizards_status_idx on wizards (tenant_id, status, updated_at, id);

            -- The last run for each wizard.
            create table wizard_generations (
                tenant_id uuid not null,
                wizard_id uuid not null,
                -- The use of the writer that it is counted as.
                run uuid,
                tokens bigint not null,
                status text not null,
                error text,
                requested_at timestamp,
                started_at timestamp,
                finished_at timestamp,
                primary key (tenant_id, wizard_id),
                foreign key (tenant_id, wizard_id) references wizards (tenant_id, id) on delete cascade
            );

            create table wizard_pages (
                tenant_id uuid not null,
                wizard_id uuid not null,
                page text not null,
                position integer not null,
                title text not null,
                status text not null,
                sections {json} not null,
                primary key (tenant_id, wizard_id, page),
                foreign key (tenant_id, wizard_id) references wizard_generations (tenant_id, wizard_id)
                    on delete cascade
            );
            ",
        )
        .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, "drop table wizard_pages; drop table wizard_generations; drop table wizards;").await
    }
}
