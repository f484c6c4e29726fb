//! Refunds and disputes of purchases.

use sea_orm_migration::prelude::*;

use crate::dialect::run;

/// See the module.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // A refund has no id of the provider until that has made it. What is to be asked about is found by the checkout of the purchase.
        run(
            manager,
            "
            create table refunds (
                tenant_id uuid not null references tenants (id),
                id uuid not null,
                purchase_id uuid not null,
                provider text not null,
                payment_id text not null,
                provider_id text,
                amount bigint not null,
                currency text not null,
                status text not null,
                reason text,
                created_at timestamp not null,
                updated_at timestamp not null,
                primary key (tenant_id, id),
                foreign key (tenant_id, purchase_id) references purchases (tenant_id, id)
            );
            create unique index refunds_provider_key on refunds (tenant_id, provider, provider_id);
            create index refunds_purchase_idx on refunds (tenant_id, purchase_id);

            create table disputes (
                tenant_id uuid not null references tenants (id),
                id uuid not null,
                purchase_id uuid not null,
                provider text not null,
                provider_id text not null,
                amount bigint not null,
                currency text not null,
                status text not null,
                answer_by timestamp,
                created_at timestamp not null,
                updated_at timestamp not null,
                primary key (tenant_id, id),
                foreign key (tenant_id, purchase_id) references purchases (tenant_id, id)
            );
            create unique index disputes_provider_key on disputes (tenant_id, provider, provider_id);
            create index disputes_purchase_idx on disputes (tenant_id, purchase_id);

            alter table inbound_events add column payment text;
            ",
        )
        .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(
            manager,
            "
            alter table inbound_events drop column payment;
            drop table disputes;
            drop table refunds;
            ",
        )
        .await
    }
}
