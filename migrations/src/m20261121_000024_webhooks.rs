//! Webhooks, and every attempt to deliver to them.

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
            create table webhooks (
                tenant_id uuid not null references tenants (id) on delete cascade,
                id uuid not null,
                url text not null,
                description text,
                -- Names of events, or one star for all of them.
                events {json} not null,
                status text not null,
                rate_per_second integer,
                sealed_secret bytea not null,
                -- The secret before, which signs too until its time is over.
                sealed_previous_secret bytea,
                previous_secret_until timestamp,
                secret_rotated_at timestamp,
                -- Attempts that failed since the last one that did not, and since when.
                failures integer not null,
                failing_since timestamp,
                disabled_at timestamp,
                disabled_reason text,
                created_at timestamp not null,
                updated_at timestamp not null,
                version bigint not null,
                primary key (tenant_id, id)
            );

            -- Attempts: one row for each, made when the attempt is planned. What an attempt sends is made from the event log,
            -- except for tests, which are in no log.
            create table webhook_deliveries (
                tenant_id uuid not null,
                id uuid not null,
                webhook_id uuid not null,
                event_id uuid not null,
                event_type text not null,
                sequence bigint,
                attempt integer not null,
                -- event, test, resend
                cause text not null,
                payload {json},
                status text not null,
                due_at timestamp not null,
                response_status integer,
                response_body text,
                duration_ms bigint,
                error text,
                created_at timestamp not null,
                finished_at timestamp,
                primary key (tenant_id, id),
                foreign key (tenant_id, webhook_id) references webhooks (tenant_id, id) on delete cascade
            );
            create index webhook_deliveries_due_idx on webhook_deliveries (tenant_id, webhook_id, due_at, id)
                where status = 'pending';
            create index webhook_deliveries_webhook_id_idx on webhook_deliveries (tenant_id, webhook_id, id);
            -- Failures are few, and looked for.
            create index webhook_deliveries_failed_idx on webhook_deliveries (tenant_id, webhook_id, id) where status = 'failed';
            create index webhook_deliveries_event_id_idx on webhook_deliveries (tenant_id, event_id, id);
            create index webhook_deliveries_created_at_idx on webhook_deliveries (created_at);

            -- When a webhook is to be looked after next: its first pending delivery is due, or the lease of the worker that
            -- looks after it ends. Null when nothing is pending. A worker takes a webhook, not a delivery, so one that never
            -- answers holds nobody up, and its rate and its number of calls at once are kept by one process.
            create table webhook_queues (
                tenant_id uuid not null,
                webhook_id uuid not null,
                ready_at timestamp,
                -- The receiver wants to be left alone until then.
                held_until timestamp,
                -- Counts what was planned, so that who gives the webhook back notices what came meanwhile.
                generation bigint not null,
                leased_by text,
                primary key (tenant_id, webhook_id),
                foreign key (tenant_id, webhook_id) references webhooks (tenant_id, id) on delete cascade
            );
            create index webhook_queues_ready_at_idx on webhook_queues (ready_at) where ready_at is not null;

            -- The place of the last message of each tenant that has webhooks.
            create table webhook_sequences (
                tenant_id uuid not null primary key references tenants (id) on delete cascade,
                last bigint not null
            );
            ",
        )
        .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, "drop table webhook_sequences; drop table webhook_queues; drop table webhook_deliveries; drop table webhooks;")
            .await
    }
}
