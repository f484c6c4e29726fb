//! Plans, subscriptions, and counters of what tenants use.

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
            create table plans (
                id text not null primary key,
                name text not null,
                amount bigint not null,
                currency text not null,
                limits {json} not null,
                premium_templates boolean not null,
                position integer not null
            );

            create table subscriptions (
                tenant_id uuid not null primary key references tenants (id),
                plan_id text not null references plans (id),
                status text not null,
                created_at timestamp not null,
                updated_at timestamp not null
            );

            create table meters (
                tenant_id uuid not null references tenants (id),
                meter text not null,
                used bigint not null,
                primary key (tenant_id, meter)
            );
            ",
        )
        .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, "drop table meters; drop table subscriptions; drop table plans;").await
    }
}
