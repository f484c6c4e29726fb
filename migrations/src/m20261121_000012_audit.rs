//! The seals of the audit trail, and what its lists are filtered by.

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
            -- When personal data was erased from an event. It is the only change that an event ever sees.
            alter table events add column redacted_at timestamp;

            -- No foreign key: a seal outlives its event.
            create table audit_seals (
                tenant_id uuid not null,
                number bigint not null,
                event_id uuid not null,
                frame bytea not null,
                content bytea not null,
                -- What opens `content`: the salt, or after an erasure the parts; neither once the event has expired.
                salt bytea,
                parts {json},
                hash bytea not null,
                primary key (tenant_id, number),
                constraint audit_seals_event_key unique (tenant_id, event_id)
            );

            -- Where each chain ends, and up to where its events were deleted because their time was up.
            create table audit_chains (
                tenant_id uuid not null primary key,
                length bigint not null,
                hash bytea not null,
                sealed_until timestamp not null,
                checkpoint bigint not null,
                checkpoint_at timestamp
            );

            -- Ids come from few entries each, whichever tenant asks; words come from many, hence with the tenant in front.
            drop index events_resource_idx;
            create index events_resource_id_idx on events (resource_id, id);
            create index events_request_id_idx on events (request_id, id);
            create index events_tenant_kind_idx on events (tenant_id, kind, id);
            create index events_tenant_resource_type_idx on events (tenant_id, resource_type, id);
            create index events_tenant_actor_kind_idx on events (tenant_id, actor_kind, id);
            create index events_kind_idx on events (kind, id);
            create index events_resource_type_idx on events (resource_type, id);
            create index events_actor_kind_idx on events (actor_kind, id);
            ",
        )
        .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(
            manager,
            "
            drop index events_actor_kind_idx;
            drop index events_resource_type_idx;
            drop index events_kind_idx;
            drop index events_tenant_actor_kind_idx;
            drop index events_tenant_resource_type_idx;
            drop index events_tenant_kind_idx;
            drop index events_request_id_idx;
            drop index events_resource_id_idx;
            create index events_resource_idx on events (tenant_id, resource_type, resource_id, id);
            drop table audit_chains;
            drop table audit_seals;
            alter table events drop column redacted_at;
            delete from event_cursors where reader = 'audit_seal';
            ",
        )
        .await
    }
}
