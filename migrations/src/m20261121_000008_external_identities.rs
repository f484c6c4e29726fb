//! Accounts at OpenID providers that are linked to users, and sign-ins there that have begun.

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
            create table external_identities (
                id uuid not null primary key,
                user_id uuid not null references users (id),
                provider text not null,
                issuer text not null,
                subject text not null,
                email text,
                linked_at timestamp not null,
                last_used_at timestamp,
                unique (issuer, subject)
            );
            create index external_identities_user_id_idx on external_identities (user_id, linked_at);

            -- Only the SHA-256 of state and of the secret in the cookie of the browser.
            create table oidc_attempts (
                state bytea not null primary key,
                provider text not null,
                browser bytea not null,
                user_id uuid references users (id),
                created_at timestamp not null,
                expires_at timestamp not null
            );
            create index oidc_attempts_expires_at_idx on oidc_attempts (expires_at);
            ",
        )
        .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, "drop table oidc_attempts; drop table external_identities;").await
    }
}
