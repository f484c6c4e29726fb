//! Tenants at their payment providers, calls to those, and invoices.

use sea_orm_migration::prelude::*;

use crate::dialect::run;

/// See the module.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // A subscription is stored as the provider answers it, as a whole: a document. Few accounts are asked about at a time, and of a
        // tenant one call is under way: the indexes hold no others.
        run(
            manager,
            "
            alter table inbound_events add column customer text;

            create table billing_accounts (
                tenant_id uuid not null primary key references tenants (id),
                provider text not null,
                live boolean not null,
                customer_id text,
                keyed_at timestamp not null,
                subscription {json},
                revision bigint not null,
                had_trial boolean not null,
                past_due_since timestamp,
                reminders integer not null,
                cancel_reason text,
                check_at timestamp,
                created_at timestamp not null,
                updated_at timestamp not null
            );
            create unique index billing_accounts_customer_key on billing_accounts (provider, customer_id);
            create index billing_accounts_check_at_idx on billing_accounts (check_at) where check_at is not null;

            create table plan_calls (
                tenant_id uuid not null references tenants (id),
                id uuid not null,
                kind text not null,
                stage text not null,
                price text not null,
                description text not null,
                amount bigint not null,
                currency text not null,
                customer_id text not null,
                subscription_id text,
                trial_days integer not null,
                prorated_at timestamp not null,
                success_url text,
                cancel_url text,
                session_id text,
                url text,
                created_at timestamp not null,
                expires_at timestamp not null,
                check_at timestamp,
                primary key (tenant_id, id)
            );
            create unique index plan_calls_under_way_key on plan_calls (tenant_id) where stage <> 'ended';
            create index plan_calls_check_at_idx on plan_calls (check_at) where check_at is not null;

            create table invoices (
                tenant_id uuid not null references tenants (id),
                id uuid not null,
                provider text not null,
                provider_id text not null,
                number text,
                status text not null,
                kind text not null,
                amount_due bigint not null,
                amount_paid bigint not null,
                amount_refunded bigint not null,
                tax bigint not null,
                currency text not null,
                lines {json} not null,
                period_start timestamp,
                period_end timestamp,
                due_at timestamp,
                paid_at timestamp,
                pdf_url text,
                hosted_url text,
                receipt_url text,
                created_at timestamp not null,
                primary key (tenant_id, id)
            );
            create unique index invoices_provider_id_key on invoices (tenant_id, provider, provider_id);
            create index invoices_created_at_idx on invoices (tenant_id, created_at);
            ",
        )
        .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(
            manager,
            "
            drop table invoices;
            drop table plan_calls;
            drop table billing_accounts;
            alter table inbound_events drop column customer;
            ",
        )
        .await
    }
}
