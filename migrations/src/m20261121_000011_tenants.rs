//! Invitations, settings and dealers of tenants, what becomes of a tenant, and which one a user acted in last.

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
            alter table tenants add column delete_at timestamp;
            alter table tenants add column suspension_reason text;
            alter table users add column last_tenant_id uuid references tenants (id);
            create index memberships_tenant_id_joined_at_idx on memberships (tenant_id, joined_at, user_id);

            -- Of the secret only the SHA-256, and that only once the mail is on its way.
            create table invitations (
                tenant_id uuid not null references tenants (id),
                id uuid not null,
                email text not null,
                role text not null,
                language text not null,
                status text not null,
                token_hash bytea,
                invited_by uuid not null references users (id),
                sends integer not null,
                requested_at timestamp not null,
                expires_at timestamp not null,
                created_at timestamp not null,
                updated_at timestamp not null,
                primary key (tenant_id, id)
            );
            create unique index invitations_open_key on invitations (tenant_id, email) where status = 'pending';
            create unique index invitations_token_hash_key on invitations (token_hash);
            create index invitations_email_idx on invitations (email) where status = 'pending';
            create index invitations_created_at_idx on invitations (tenant_id, created_at, id);
            create index invitations_invited_by_idx on invitations (invited_by, requested_at);

            create table tenant_settings (
                tenant_id uuid not null primary key references tenants (id),
                language text not null,
                time_zone text not null,
                support_email text,
                audit_retention_days integer,
                updated_at timestamp not null,
                version bigint not null
            );

            create table dealers (
                tenant_id uuid not null primary key references tenants (id),
                name text not null,
                email text,
                phone text,
                updated_at timestamp not null,
                version bigint not null
            );
            ",
        )
        .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(
            manager,
            "
            drop table dealers;
            drop table tenant_settings;
            drop table invitations;
            drop index memberships_tenant_id_joined_at_idx;
            alter table users drop column last_tenant_id;
            alter table tenants drop column suspension_reason;
            -- What was about to be deleted is in use again.
            update tenants set status = 'active' where status = 'deleting';
            alter table tenants drop column delete_at;
            ",
        )
        .await
    }
}
