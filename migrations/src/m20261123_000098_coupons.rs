//! Coupons, and the purchases that use them.

use sea_orm_migration::prelude::*;

use crate::dialect::run;

/// See the module.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // A purchase uses one coupon. How many do is counted in the coupon, which is locked by whoever changes that.
        run(
            manager,
            "
            create table coupons (
                id uuid not null primary key,
                code text not null,
                percent bigint,
                amount bigint,
                currency text,
                product_types {json} not null,
                max_redemptions bigint,
                max_redemptions_per_tenant bigint,
                valid_from timestamp,
                valid_until timestamp,
                redemptions bigint not null,
                archived_at timestamp,
                created_at timestamp not null,
                updated_at timestamp not null
            );
            create unique index coupons_code_key on coupons (code);

            create table coupon_redemptions (
                tenant_id uuid not null references tenants (id),
                purchase_id uuid not null,
                coupon_id uuid not null references coupons (id),
                redeemed_at timestamp not null,
                primary key (tenant_id, purchase_id),
                foreign key (tenant_id, purchase_id) references purchases (tenant_id, id)
            );
            create index coupon_redemptions_coupon_idx on coupon_redemptions (tenant_id, coupon_id);

            alter table purchases add column coupon text;
            ",
        )
        .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(
            manager,
            "
            alter table purchases drop column coupon;
            drop table coupon_redemptions;
            drop table coupons;
            ",
        )
        .await
    }
}
