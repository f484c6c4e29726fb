//! Users, sessions, the tokens of links in emails, and who belongs to which tenant.

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
            create table users (
                id uuid not null primary key,
                email text not null,
                email_verified boolean not null,
                password_hash text,
                full_name text not null,
                phone text,
                mobile text,
                company text,
                language text not null,
                address text,
                notes text,
                avatar_url text,
                role text not null,
                status text not null,
                last_login_at timestamp,
                created_at timestamp not null,
                updated_at timestamp not null,
                version bigint not null
            );
            create index users_email_idx on users (email);
            -- An address belongs to an account only once it is verified; until then several may name it.
            create unique index users_verified_email_key on users (email)
                where email_verified and status <> 'deleted';

            create table sessions (
                id uuid not null primary key,
                user_id uuid not null references users (id),
                generation integer not null,
                rotated_at timestamp not null,
                user_agent text,
                address text,
                created_at timestamp not null,
                last_used_at timestamp not null,
                expires_at timestamp not null,
                active_tenant_id uuid references tenants (id),
                ended_at timestamp
            );
            create index sessions_user_id_idx on sessions (user_id) where ended_at is null;

            -- Only the SHA-256 of the secret.
            create table one_time_tokens (
                hash bytea not null primary key,
                user_id uuid not null references users (id),
                purpose text not null,
                expires_at timestamp not null,
                created_at timestamp not null
            );
            create index one_time_tokens_user_id_idx on one_time_tokens (user_id, purpose);

            create table memberships (
                tenant_id uuid not null references tenants (id),
                user_id uuid not null references users (id),
                role text not null,
                joined_at timestamp not null,
                primary key (tenant_id, user_id)
            );
            create index memberships_user_id_idx on memberships (user_id, joined_at);
            ",
        )
        .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(
            manager,
            "drop table memberships; drop table one_time_tokens; drop table sessions; drop table users;",
        )
        .await
    }
}
