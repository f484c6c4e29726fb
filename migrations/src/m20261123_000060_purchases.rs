//! Products that are paid once, purchases with their payments, events of payment providers, and the ledger.

use sea_orm_migration::prelude::*;

use crate::dialect::run;

/// See the module.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // Items are read and written with their purchase only, and never change: a document. Ids of purchases follow the time of creation,
        // so the key is the index of the list. Of checkouts those are few that are to be asked about; the rest is not in the index.
        // An event of a provider belongs to no tenant until it is worked off.
        run(
            manager,
            "
            create table products (
                id text not null primary key,
                name text not null,
                description text not null,
                amount bigint not null,
                currency text not null,
                is_active boolean not null,
                created_at timestamp not null
            );

            create table purchases (
                tenant_id uuid not null references tenants (id),
                id uuid not null,
                user_id uuid not null references users (id),
                amount bigint not null,
                currency text not null,
                status text not null,
                items {json} not null,
                refunded_amount bigint not null,
                created_at timestamp not null,
                completed_at timestamp,
                primary key (tenant_id, id)
            );
            create index purchases_user_idx on purchases (user_id);

            create table checkouts (
                tenant_id uuid not null references tenants (id),
                id uuid not null,
                purchase_id uuid not null,
                provider text not null,
                live boolean not null,
                stage text not null,
                session_id text,
                url text,
                payment_id text,
                success_url text not null,
                cancel_url text not null,
                created_at timestamp not null,
                expires_at timestamp not null,
                check_at timestamp,
                primary key (tenant_id, id),
                foreign key (tenant_id, purchase_id) references purchases (tenant_id, id)
            );
            create unique index checkouts_session_key on checkouts (tenant_id, provider, session_id);
            create index checkouts_purchase_idx on checkouts (tenant_id, purchase_id);
            create index checkouts_check_at_idx on checkouts (check_at) where check_at is not null;

            create table inbound_events (
                provider text not null,
                id text not null,
                kind text not null,
                checkout text,
                status text not null,
                received_at timestamp not null,
                primary key (provider, id)
            );
            create index inbound_events_received_at_idx on inbound_events (received_at);

            create table ledger_entries (
                tenant_id uuid not null references tenants (id),
                source_kind text not null,
                source_id text not null,
                position integer not null,
                account text not null,
                amount bigint not null,
                currency text not null,
                booked_at timestamp not null,
                primary key (tenant_id, source_kind, source_id, position)
            );
            ",
        )
        .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(
            manager,
            "
            drop table ledger_entries;
            drop table inbound_events;
            drop table checkouts;
            drop table purchases;
            drop table products;
            ",
        )
        .await
    }
}
