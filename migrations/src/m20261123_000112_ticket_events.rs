//! Following what happens to the support tickets of all tenants, and forgetting mails that came too late for one.

use sea_orm_migration::prelude::*;

use crate::dialect::{is_postgres, run};

/// See the module.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // The order in which readers see events, see `dialect`. Only events about tickets are written to it.
        let order = if is_postgres(manager) { "transaction_id, sequence" } else { "sequence" };
        run(
            manager,
            &format!(
                "create index events_tickets_idx on events ({order}) where resource_type = 'support_ticket';
                create index support_refused_mails_refused_at_idx on support_refused_mails (refused_at);"
            ),
        )
        .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(
            manager,
            "drop index support_refused_mails_refused_at_idx;
            drop index events_tickets_idx;",
        )
        .await
    }
}
