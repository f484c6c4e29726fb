//! Licenses of products, their policies, and the machines on which they are used.

use sea_orm_migration::prelude::*;

use crate::dialect::run;

/// See the module.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // Whoever holds a key names no tenant: `license_keys` says whose license it is, and everything else is found there. Ids of licenses
        // follow the time of issue, so the key is the index of the list. A unit of a purchase has one license; those that staff issue have
        // no unit. Of all licenses only those are in the index of ends that can still end.
        run(
            manager,
            "
            create table license_policies (
                product_type text not null primary key,
                product_name text not null,
                seats integer,
                term_days integer,
                support_days integer,
                terms {json} not null,
                created_at timestamp not null
            );

            create table licenses (
                tenant_id uuid not null references tenants (id),
                id uuid not null,
                key_digest bytea not null,
                sealed_key bytea not null,
                product_type text not null,
                product_name text not null,
                purchase_id uuid,
                item integer,
                unit integer,
                status text not null,
                suspended_by text,
                expires_at timestamp,
                supported_until timestamp,
                activation_limit integer,
                terms {json} not null,
                released_month text,
                released integer not null,
                created_at timestamp not null,
                primary key (tenant_id, id),
                foreign key (tenant_id, purchase_id) references purchases (tenant_id, id)
            );
            create unique index licenses_unit_key on licenses (tenant_id, purchase_id, item, unit);
            create index licenses_expires_at_idx on licenses (expires_at) where status = 'active';
            create index licenses_created_at_idx on licenses (created_at, id);
            create index licenses_key_digest_idx on licenses (key_digest);

            create table license_keys (
                digest bytea not null primary key,
                tenant_id uuid not null references tenants (id),
                license_id uuid not null
            );
            create unique index license_keys_license_key on license_keys (license_id);

            create table license_activations (
                tenant_id uuid not null references tenants (id),
                id uuid not null,
                license_id uuid not null,
                fingerprint text not null,
                name text,
                platform text,
                ip text,
                activated_at timestamp not null,
                last_seen_at timestamp not null,
                offline_until timestamp,
                primary key (tenant_id, id),
                foreign key (tenant_id, license_id) references licenses (tenant_id, id)
            );
            create unique index license_activations_fingerprint_key
                on license_activations (tenant_id, license_id, fingerprint);
            ",
        )
        .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(
            manager,
            "
            drop table license_activations;
            drop table license_keys;
            drop table licenses;
            drop table license_policies;
            ",
        )
        .await
    }
}
