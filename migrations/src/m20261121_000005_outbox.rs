//! The event log, where its readers are, and the jobs.

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
            "
            -- Append only. No foreign keys: an event outlives what it is about.
            create table events (
                {event_order}
                tenant_id uuid not null,
                id uuid not null,
                kind text not null,
                resource_type text not null,
                resource_id uuid not null,
                actor_kind text not null,
                actor_id uuid,
                before {json},
                after {json},
                request_id text not null,
                address text,
                user_agent text,
                created_at timestamp not null,
                {event_key}
            );
            create index events_resource_idx on events (tenant_id, resource_type, resource_id, id);
            -- The audit trail of the whole platform, newest first.
            create index events_id_idx on events (id);

            create table event_cursors (
                reader text not null primary key,
                {cursor_order}
                sequence bigint not null
            );

            create table jobs (
                id uuid not null primary key,
                tenant_id uuid not null,
                kind text not null,
                payload {json} not null,
                state text not null,
                attempts integer not null,
                max_attempts integer not null,
                run_at timestamp not null,
                leased_by text,
                leased_until timestamp,
                last_error text,
                request_id text not null,
                created_at timestamp not null
            );
            -- What can be claimed is due when its lease ends, or without a lease at its time.
            create index jobs_due_idx on jobs (coalesce(leased_until, run_at)) where state <> 'dead';
            create index jobs_state_idx on jobs (state, id);
            ",
        )
        .await?;
        if is_postgres(manager) {
            run(manager, "create index events_order_idx on events (transaction_id, sequence)").await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, "drop table jobs; drop table event_cursors; drop table events;").await
    }
}
