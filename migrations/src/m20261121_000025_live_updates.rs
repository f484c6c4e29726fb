//! Following the event log of one tenant.

use sea_orm_migration::prelude::*;

use crate::dialect::{is_postgres, run};

/// See the module.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // The order in which readers see events, see `dialect`, within a tenant.
        let order = if is_postgres(manager) { "transaction_id, sequence" } else { "sequence" };
        run(manager, &format!("create index events_tenant_order_idx on events (tenant_id, {order})")).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, "drop index events_tenant_order_idx").await
    }
}
