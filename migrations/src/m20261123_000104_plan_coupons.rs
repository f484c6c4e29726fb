//! Coupons for plans: what they are for, how long they last, which calls to the provider use them, and what they take off recurring revenue.

use sea_orm_migration::prelude::*;

use crate::dialect::run;

/// See the module.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // A use of a coupon outlives the call that made it: calls that have ended are removed after some time.
        run(
            manager,
            "
            alter table coupons add column for_purchases boolean not null default true;
            alter table coupons add column plans {json} not null default '[]';
            alter table coupons add column duration text;
            alter table coupons add column duration_in_months bigint;

            create table plan_coupon_redemptions (
                tenant_id uuid not null references tenants (id),
                call_id uuid not null,
                coupon_id uuid not null references coupons (id),
                redeemed_at timestamp not null,
                primary key (tenant_id, call_id)
            );
            create index plan_coupon_redemptions_coupon_idx on plan_coupon_redemptions (tenant_id, coupon_id);

            alter table plan_calls add column discount {json};

            alter table recurring_changes add column from_discount text;
            alter table recurring_changes add column to_discount text;
            drop index recurring_changes_report_idx;
            create index recurring_changes_report_idx on recurring_changes
                (live, changed_at, from_price, to_price, from_discount, to_discount);
            ",
        )
        .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // A coupon that was for plans only is for nothing then.
        run(
            manager,
            "
            update coupons set archived_at = updated_at where not for_purchases and archived_at is null;
            drop index recurring_changes_report_idx;
            alter table recurring_changes drop column to_discount;
            alter table recurring_changes drop column from_discount;
            create index recurring_changes_report_idx on recurring_changes (live, changed_at, from_price, to_price);
            alter table plan_calls drop column discount;
            drop table plan_coupon_redemptions;
            alter table coupons drop column duration_in_months;
            alter table coupons drop column duration;
            alter table coupons drop column plans;
            alter table coupons drop column for_purchases;
            ",
        )
        .await
    }
}
