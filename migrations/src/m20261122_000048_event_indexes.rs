//! Fewer indexes of the event log, to which every change writes (ADR 67). Of the filters of the audit trail by words with few
//! values, the one that tenants use most keeps its index: by type. The others walk through the entries from the newest on; where a word is
//! rare, Postgres skips the blocks that do not have it by one small index.

use sea_orm_migration::prelude::*;

use crate::dialect::{is_postgres, run};

/// See the module.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(
            manager,
            "drop index events_tenant_resource_type_idx;
            drop index events_tenant_actor_kind_idx;
            drop index events_kind_idx;
            drop index events_resource_type_idx;
            drop index events_actor_kind_idx;",
        )
        .await?;
        if is_postgres(manager) {
            // Each range of 64 blocks has a filter of the words in it: an insert writes to none.
            run(
                manager,
                "create index events_words_idx on events using brin (
                    kind text_bloom_ops (n_distinct_per_range = 100),
                    resource_type text_bloom_ops (n_distinct_per_range = 30),
                    actor_kind text_bloom_ops (n_distinct_per_range = 16)
                ) with (pages_per_range = 64, autosummarize = on);",
            )
            .await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        if is_postgres(manager) {
            run(manager, "drop index events_words_idx;").await?;
        }
        run(
            manager,
            "create index events_tenant_resource_type_idx on events (tenant_id, resource_type, id);
            create index events_tenant_actor_kind_idx on events (tenant_id, actor_kind, id);
            create index events_kind_idx on events (kind, id);
            create index events_resource_type_idx on events (resource_type, id);
            create index events_actor_kind_idx on events (actor_kind, id);",
        )
        .await
    }
}
