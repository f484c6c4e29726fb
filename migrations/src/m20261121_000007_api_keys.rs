//! API keys, and how they are used.

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
            create table api_keys (
                tenant_id uuid not null references tenants (id),
                id uuid not null,
                name text not null,
                prefix text not null,
                -- Only the SHA-256 of the secret.
                hash bytea not null,
                previous_hash bytea,
                previous_expires_at timestamp,
                permissions {json} not null,
                mode text not null,
                active boolean not null,
                allowed_addresses {json} not null,
                rate_limit integer,
                expires_at timestamp,
                last_used_at timestamp,
                refusals_noticed_at timestamp,
                created_at timestamp not null,
                updated_at timestamp not null,
                revoked_at timestamp,
                version bigint not null,
                primary key (tenant_id, id),
                constraint api_keys_prefix_key unique (prefix)
            );
            create index api_keys_created_at_idx on api_keys (tenant_id, created_at, id) where revoked_at is null;

            -- A day is a text such as 2026-11-21: both databases sort it.
            create table api_key_usage (
                tenant_id uuid not null,
                key_id uuid not null,
                day text not null,
                method text not null,
                path text not null,
                status integer not null,
                requests bigint not null,
                primary key (tenant_id, key_id, day, method, path, status),
                foreign key (tenant_id, key_id) references api_keys (tenant_id, id) on delete cascade
            );
            create index api_key_usage_day_idx on api_key_usage (day);

            create table api_key_addresses (
                tenant_id uuid not null,
                key_id uuid not null,
                address text not null,
                first_seen_at timestamp not null,
                last_seen_at timestamp not null,
                primary key (tenant_id, key_id, address),
                foreign key (tenant_id, key_id) references api_keys (tenant_id, id) on delete cascade
            );
            create index api_key_addresses_last_seen_at_idx on api_key_addresses (last_seen_at);

            -- Minutes since 1970, kept for as long as they can belong to a burst.
            create table api_key_refusals (
                tenant_id uuid not null,
                key_id uuid not null,
                minute bigint not null,
                refusals bigint not null,
                primary key (tenant_id, key_id, minute),
                foreign key (tenant_id, key_id) references api_keys (tenant_id, id) on delete cascade
            );
            create index api_key_refusals_minute_idx on api_key_refusals (minute);
            ",
        )
        .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(
            manager,
            "
            drop table api_key_refusals;
            drop table api_key_addresses;
            drop table api_key_usage;
            drop table api_keys;
            ",
        )
        .await
    }
}
