//! Leases of floating seats.

use sea_orm_migration::prelude::*;

use crate::dialect::run;

/// See the module.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // Machines that were stored before hold their seats until they are freed. The first index counts the seats of a license, the others
        // have nothing but what a schedule looks for: leases that run, and machines that are known for a week more.
        run(
            manager,
            "
            alter table license_activations add column lease_ends_at timestamp;
            alter table license_activations add column lapsed boolean not null default false;
            create index license_activations_held_idx on license_activations (tenant_id, license_id, lease_ends_at);
            create index license_activations_lease_ends_at_idx on license_activations (lease_ends_at)
                where lease_ends_at is not null and not lapsed;
            create index license_activations_lapsed_idx on license_activations (lease_ends_at) where lapsed;
            ",
        )
        .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(
            manager,
            "
            drop index license_activations_lapsed_idx;
            drop index license_activations_lease_ends_at_idx;
            drop index license_activations_held_idx;
            alter table license_activations drop column lapsed;
            alter table license_activations drop column lease_ends_at;
            ",
        )
        .await
    }
}
