//! Failed guesses at credentials, and the devices that somebody signed in with.

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
            -- The key is a keyed digest: the table tells neither addresses of people nor of machines.
            create table sign_in_failures (
                key bytea not null,
                since timestamp not null,
                failures integer not null,
                last_at timestamp not null,
                expires_at timestamp not null,
                primary key (key, since)
            );
            create index sign_in_failures_expires_at_idx on sign_in_failures (expires_at);

            create table known_devices (
                user_id uuid not null references users (id),
                device uuid not null,
                network text not null,
                agent text not null,
                returned boolean not null,
                first_seen timestamp not null,
                last_seen timestamp not null,
                primary key (user_id, device, network)
            );
            create index known_devices_last_seen_idx on known_devices (last_seen);
            ",
        )
        .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, "drop table known_devices; drop table sign_in_failures;").await
    }
}
