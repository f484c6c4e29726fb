//! Prices of products have versions, and a product has one in each currency in which it is sold.

use sea_orm_migration::prelude::*;

use crate::dialect::run;

/// See the module.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // A price that is not replaced is in force: one for each currency. The currency of a product is that of its first price.
        run(
            manager,
            "
            create table product_prices (
                product_id text not null references products (id),
                currency text not null,
                version integer not null,
                amount bigint not null,
                created_at timestamp not null,
                replaced_at timestamp,
                primary key (product_id, currency, version)
            );
            create unique index product_prices_current_key on product_prices (product_id, currency) where replaced_at is null;
            insert into product_prices (product_id, currency, version, amount, created_at)
                select id, currency, 1, amount, created_at from products;
            alter table products drop column amount;
            ",
        )
        .await
    }

    /// Products then have the price of their own currency only.
    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(
            manager,
            "
            alter table products add column amount bigint not null default 0;
            update products set amount = coalesce((select amount from product_prices
                where product_id = products.id and product_prices.currency = products.currency and replaced_at is null), 0);
            drop table product_prices;
            ",
        )
        .await
    }
}
