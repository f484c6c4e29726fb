//! Counting what is stored, and finding deliveries by the type of their event, faster.

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
            "create index webhook_deliveries_event_type_idx on webhook_deliveries (tenant_id, event_type, id);",
        )
        .await?;
        // A function in SQL that is called by one in PL/pgSQL is parsed and planned at each call; one in PL/pgSQL is planned once
        // for each connection.
        counting(manager, "plpgsql", "begin", "end").await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, "drop index webhook_deliveries_event_type_idx;").await?;
        counting(manager, "sql", "", "").await
    }
}

async fn counting(manager: &SchemaManager<'_>, language: &str, begin: &str, end: &str) -> Result<(), DbErr> {
    if !is_postgres(manager) {
        return Ok(());
    }
    run(
        manager,
        &format!(
            "create or replace function add_stored_text(tenant uuid, amount bigint) returns void language {language} as $$
                {begin}
                    insert into stored_texts (tenant_id, part, bytes) values (tenant, pg_backend_pid() % 32, amount)
                    on conflict (tenant_id, part) do update set bytes = stored_texts.bytes + excluded.bytes;
                {end}
            $$"
        ),
    )
    .await
}
