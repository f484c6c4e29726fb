//! More sites than the limit: since when, and which sites are read-only for it.

use sea_orm_migration::prelude::*;

use crate::dialect::run;

/// See the module.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // A tenant that is over its limit already is found by the check that follows its next change, and has its days from then on.
        run(
            manager,
            "
            alter table sites add column over_limit boolean not null default false;
            create index sites_over_limit_idx on sites (tenant_id) where over_limit;

            -- Both or neither.
            alter table subscriptions add column over_limit_since timestamp;
            alter table subscriptions add column over_limit_sites bigint;
            create index subscriptions_over_limit_idx on subscriptions (tenant_id) where over_limit_since is not null;
            ",
        )
        .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(
            manager,
            "
            drop index subscriptions_over_limit_idx;
            alter table subscriptions drop column over_limit_sites;
            alter table subscriptions drop column over_limit_since;
            drop index sites_over_limit_idx;
            alter table sites drop column over_limit;
            ",
        )
        .await
    }
}
