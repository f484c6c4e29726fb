//! Finding users for those who look after them, what somebody did, and the sessions in which somebody acts as another.

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
            create index users_created_at_idx on users (created_at, id);
            create index users_email_id_idx on users (email, id);
            create index users_status_idx on users (status, created_at, id);
            -- The few who are not customers: lists by role, and finding out whether somebody is the last of them.
            create index users_role_idx on users (role, id) where role <> 'customer';
            create index sessions_impersonator_id_idx on sessions (impersonator_id)
                where impersonator_id is not null;

            -- What a person did, and what was done in somebody else's name.
            create index events_actor_id_idx on events (actor_id, id) where actor_id is not null;
            create index events_impersonator_id_idx on events (impersonator_id, id)
                where impersonator_id is not null;
            ",
        )
        .await?;
        // Whoever never signed in comes first, as on SQLite without saying so.
        let nulls = if is_postgres(manager) { "nulls first" } else { "" };
        run(manager, &format!("create index users_last_login_at_idx on users (last_login_at {nulls}, id)"))
            .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(
            manager,
            "
            drop index users_last_login_at_idx;
            drop index events_impersonator_id_idx;
            drop index events_actor_id_idx;
            drop index sessions_impersonator_id_idx;
            drop index users_role_idx;
            drop index users_status_idx;
            drop index users_email_id_idx;
            drop index users_created_at_idx;
            ",
        )
        .await
    }
}
