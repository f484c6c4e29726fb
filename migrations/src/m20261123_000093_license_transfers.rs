//! Licenses that are given to other tenants.

use sea_orm_migration::prelude::*;

use crate::dialect::run;

/// See the module.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // Open while it has a digest, accepted once it has an heir. The license that follows is in another tenant: it is named and not
        // referred to.
        run(
            manager,
            "
            create table license_transfers (
                tenant_id uuid not null references tenants (id),
                license_id uuid not null,
                digest bytea,
                email text,
                expires_at timestamp not null,
                heir_tenant_id uuid references tenants (id),
                heir_license_id uuid,
                created_at timestamp not null,
                primary key (tenant_id, license_id),
                foreign key (tenant_id, license_id) references licenses (tenant_id, id)
            );
            create index license_transfers_expires_at_idx on license_transfers (expires_at) where digest is not null;
            ",
        )
        .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, "drop table license_transfers;").await
    }
}
