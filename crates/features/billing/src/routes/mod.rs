//! Routes, one file per aggregate. A handler parses, calls one use case (or flow), and answers.

pub mod checkout;
pub mod coupons;
pub mod customer_overview;
pub mod customer_purchases;
pub mod finance;
pub mod grants;
pub mod invoices;
pub mod limits;
pub mod payment_methods;
pub mod payment_webhooks;
pub mod plan_administration;
pub mod plan_changes;
pub mod plans;
pub mod product_administration;
pub mod products;
pub mod purchases;
pub mod site_refunds;
pub mod site_sale_register;
pub mod site_sales;
pub mod subscription;
mod tables;
pub mod usage;

use portico_web::routing::Routes;

/// Everything under `/api/v1`.
pub fn api(config: &mut Routes<'_, '_>) {
    config
        .configure(plans::configure)
        .configure(plan_administration::configure)
        .configure(grants::configure)
        .configure(limits::configure)
        .configure(usage::configure)
        .configure(products::configure)
        .configure(product_administration::configure)
        .configure(plan_changes::configure)
        .configure(subscription::configure)
        .configure(payment_methods::configure)
        .configure(invoices::configure)
        .configure(checkout::configure)
        .configure(coupons::configure)
        .configure(purchases::configure)
        .configure(site_sales::configure)
        .configure(site_refunds::configure)
        .configure(site_sale_register::configure)
        .configure(customer_overview::configure)
        .configure(customer_purchases::configure)
        .configure(finance::configure)
        .configure(payment_webhooks::configure);
}
