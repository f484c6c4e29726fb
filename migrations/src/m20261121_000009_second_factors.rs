//! Authenticator apps, recovery codes, passkeys, and sign-ins that wait for their second factor.

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
            -- The secret is encrypted with a key of the installation. `last_used_step` makes a code work once.
            create table authenticator_apps (
                user_id uuid not null primary key references users (id),
                sealed bytea not null,
                last_used_step bigint not null,
                confirmed_at timestamp,
                created_at timestamp not null
            );

            -- Only a keyed hash.
            create table recovery_codes (
                user_id uuid not null references users (id),
                digest bytea not null,
                created_at timestamp not null,
                primary key (user_id, digest)
            );

            -- `data` is what checks answers of the passkey: public key, counter. No secret.
            create table passkeys (
                id uuid not null primary key,
                user_id uuid not null references users (id),
                name text not null,
                credential_id bytea not null,
                data text not null,
                created_at timestamp not null,
                last_used_at timestamp,
                constraint passkeys_credential_id_key unique (credential_id)
            );
            create index passkeys_user_id_idx on passkeys (user_id, created_at);

            create table passkey_challenges (
                hash bytea not null primary key,
                purpose text not null,
                state text not null,
                expires_at timestamp not null
            );
            create index passkey_challenges_expires_at_idx on passkey_challenges (expires_at);

            -- The token of such a sign-in is a MAC over the id, so nothing here can be used as one.
            create table pending_sign_ins (
                id uuid not null primary key,
                user_id uuid not null references users (id),
                tries integer not null,
                created_at timestamp not null,
                expires_at timestamp not null
            );
            create index pending_sign_ins_user_id_idx on pending_sign_ins (user_id, created_at);
            create index pending_sign_ins_expires_at_idx on pending_sign_ins (expires_at);
            ",
        )
        .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(
            manager,
            "drop table pending_sign_ins; drop table passkey_challenges; drop table passkeys; \
             drop table recovery_codes; drop table authenticator_apps;",
        )
        .await
    }
}
