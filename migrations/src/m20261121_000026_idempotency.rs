//! Requests that a client may send again without having them carried out twice.

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
            -- No foreign keys: the tenant is nil for who has none, a caller is a person or an API key, and a row lives for
            -- a day.
            create table idempotency_keys (
                tenant_id uuid not null,
                caller_id uuid not null,
                key text not null,
                fingerprint text not null,
                holder uuid not null,
                leased_until timestamp not null,
                -- Null while the request is carried out.
                answer bytea,
                expires_at timestamp not null,
                primary key (tenant_id, caller_id, key)
            );
            create index idempotency_keys_caller_id_idx on idempotency_keys (caller_id);
            create index idempotency_keys_expires_at_idx on idempotency_keys (expires_at);
            ",
        )
        .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, "drop table idempotency_keys;").await
    }
}
