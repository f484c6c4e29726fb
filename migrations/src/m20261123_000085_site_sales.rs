//! Sales of sites.

use sea_orm_migration::prelude::*;

use crate::dialect::run;

/// See the module.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // The site is another tenant's once it is handed over, and can be deleted: what was sold stays in the books, so it is named and not
        // referred to.
        run(
            manager,
            "
            create table site_sales (
                tenant_id uuid not null references tenants (id),
                id uuid not null,
                site_id uuid not null,
                site_name text not null,
                slug text not null,
                buyer_email text not null,
                buyer_name text not null,
                buyer_user_id uuid references users (id),
                buyer_tenant_id uuid references tenants (id),
                amount bigint not null,
                currency text not null,
                status text not null,
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
                paid_at timestamp,
                primary key (tenant_id, id)
            );
            -- One buyer at a time.
            create unique index site_sales_active_key on site_sales (tenant_id, site_id)
                where status in ('pending', 'paid', 'waiting');
            create index site_sales_slug_idx on site_sales (slug) where status in ('paid', 'waiting', 'completed');
            create index site_sales_check_at_idx on site_sales (check_at) where check_at is not null;
            create index site_sales_buyer_idx on site_sales (buyer_user_id) where buyer_user_id is not null;
            ",
        )
        .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, "drop table site_sales;").await
    }
}
