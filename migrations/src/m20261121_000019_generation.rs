//! Meters count by periods; uses of the writer of texts that are under way; tokens of all tenants together.

use sea_orm_migration::prelude::*;

use crate::dialect::run;

/// See the module.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // SQLite cannot change a primary key, so the table is made anew. The period is empty for what stands.
        run(
            manager,
            "
            create table meters_by_period (
                tenant_id uuid not null references tenants (id),
                meter text not null,
                period text not null,
                used bigint not null,
                primary key (tenant_id, meter, period)
            );
            insert into meters_by_period (tenant_id, meter, period, used)
                select tenant_id, meter, '', used from meters where meter <> 'ai_generations';
            drop table meters;
            alter table meters_by_period rename to meters;

            create table generation_reservations (
                tenant_id uuid not null references tenants (id),
                id uuid not null,
                period text not null,
                tokens bigint not null,
                expires_at timestamp not null,
                primary key (tenant_id, id)
            );
            create index generation_reservations_expires_at_idx on generation_reservations (expires_at);

            create table token_spending (
                period text not null primary key,
                tokens bigint not null
            );
            ",
        )
        .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(
            manager,
            "
            drop table token_spending;
            drop table generation_reservations;
            create table meters_for_ever (
                tenant_id uuid not null references tenants (id),
                meter text not null,
                used bigint not null,
                primary key (tenant_id, meter)
            );
            insert into meters_for_ever (tenant_id, meter, used)
                select tenant_id, meter, sum(used) from meters group by tenant_id, meter;
            drop table meters;
            alter table meters_for_ever rename to meters;
            ",
        )
        .await
    }
}
