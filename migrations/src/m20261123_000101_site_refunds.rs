//! Refunds of sales of sites, what invoices for plans were paid by, and calls for plans that have ended.

use sea_orm_migration::prelude::*;

use crate::dialect::run;

/// See the module.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // As `refunds`, of another table. Payments of an invoice are read and written with it only: a document.
        run(
            manager,
            "
            create table site_refunds (
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
                foreign key (tenant_id, purchase_id) references site_sales (tenant_id, id)
            );
            create unique index site_refunds_provider_key on site_refunds (tenant_id, provider, provider_id);
            create index site_refunds_purchase_idx on site_refunds (tenant_id, purchase_id);

            -- Staff name a sale by its id alone.
            create index site_sales_id_idx on site_sales (id);

            create index plan_calls_created_at_idx on plan_calls (created_at) where stage = 'ended';

            alter table inbound_events add column refund text;
            alter table invoices add column payments {json};
            alter table invoices add column amount_disputed bigint not null default 0;
            ",
        )
        .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(
            manager,
            "
            alter table invoices drop column amount_disputed;
            alter table invoices drop column payments;
            alter table inbound_events drop column refund;
            drop index plan_calls_created_at_idx;
            drop index site_sales_id_idx;
            drop table site_refunds;
            ",
        )
        .await
    }
}
