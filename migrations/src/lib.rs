//! The schema, for Postgres 15 and SQLite alike.
//!
//! Each file is one domain. Tables are written as SQL that both databases understand; the few words that differ are
//! placeholders, see [`dialect`]. Rules that hold everywhere:
//!
//! - Tenant-owned tables are keyed `(tenant_id, id)`, and a foreign key between two of them carries `tenant_id`, so a
//!   reference into another tenant cannot be stored.
//! - Times are naive UTC in microseconds.
//! - States are words, checked by the domain crates.

use sea_orm_migration::prelude::*;

mod dialect;
mod m20261121_000001_tenancy;
mod m20261121_000002_identity;
mod m20261121_000003_billing;
mod m20261121_000004_sites;
mod m20261121_000005_outbox;
mod m20261121_000006_impersonation;
mod m20261121_000007_api_keys;
mod m20261121_000008_external_identities;
mod m20261121_000009_second_factors;
mod m20261121_000010_users;
mod m20261121_000011_tenants;
mod m20261121_000012_audit;
mod m20261121_000013_email_changes;
mod m20261121_000014_guards;
mod m20261121_000015_sweeps;
mod m20261121_000016_presentation;
mod m20261121_000017_templates;
mod m20261121_000018_wizards;
mod m20261121_000019_generation;
mod m20261121_000020_assets;
mod m20261121_000021_publishing;
mod m20261121_000022_domains;
mod m20261121_000023_visitors;
mod m20261121_000024_webhooks;
mod m20261121_000025_live_updates;
mod m20261121_000026_idempotency;
mod m20261121_000028_schedules;
mod m20261121_000029_traces;
mod m20261121_000032_stored_texts;
mod m20261121_000034_mail_budgets;
mod m20261121_000036_key_makers;
mod m20261121_000040_audit_classes;
mod m20261121_000041_provenance;
mod m20261121_000043_audit_requests;
mod m20261121_000044_agreed_limits;
mod m20261122_000046_provider_profiles;
mod m20261122_000047_customer_notes;
mod m20261122_000048_event_indexes;
mod m20261122_000049_plans;
mod m20261123_000050_counting;
mod m20261123_000051_plan_versions;
mod m20261123_000055_billing_periods;
mod m20261123_000060_purchases;
mod m20261123_000061_refunds;
mod m20261123_000065_subscriptions;
mod m20261123_000070_licenses;
mod m20261123_000080_support;
mod m20261123_000085_site_sales;
mod m20261123_000090_releases;
mod m20261123_000092_product_prices;
mod m20261123_000093_license_transfers;
mod m20261123_000094_refused_mails;
mod m20261123_000095_reports;
mod m20261123_000096_growth;
mod m20261123_000097_receipts;
mod m20261123_000098_coupons;
mod m20261123_000099_over_limit;
mod m20261123_000100_paid_endings;
mod m20261123_000101_site_refunds;
mod m20261123_000102_money_modes;
mod m20261123_000103_refunds_under_way;
mod m20261123_000104_plan_coupons;
mod m20261123_000108_release_files;
mod m20261123_000110_seat_leases;
mod m20261123_000111_license_heirs;
mod m20261123_000112_ticket_events;
mod m20261123_000113_returned_sites;
mod m20261123_000114_sale_lists;
mod m20261123_000116_tenant_lists;
mod m20261123_000118_attachment_scans;
mod m20261123_000121_deferred_jobs;
mod m20261123_000122_counting_triggers;

/// Runs the migrations in order.
pub struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m20261121_000001_tenancy::Migration),
            Box::new(m20261121_000002_identity::Migration),
            Box::new(m20261121_000003_billing::Migration),
            Box::new(m20261121_000004_sites::Migration),
            Box::new(m20261121_000005_outbox::Migration),
            Box::new(m20261121_000006_impersonation::Migration),
            Box::new(m20261121_000007_api_keys::Migration),
            Box::new(m20261121_000008_external_identities::Migration),
            Box::new(m20261121_000009_second_factors::Migration),
            Box::new(m20261121_000010_users::Migration),
            Box::new(m20261121_000011_tenants::Migration),
            Box::new(m20261121_000012_audit::Migration),
            Box::new(m20261121_000013_email_changes::Migration),
            Box::new(m20261121_000014_guards::Migration),
            Box::new(m20261121_000015_sweeps::Migration),
            Box::new(m20261121_000016_presentation::Migration),
            Box::new(m20261121_000017_templates::Migration),
            Box::new(m20261121_000018_wizards::Migration),
            Box::new(m20261121_000019_generation::Migration),
            Box::new(m20261121_000020_assets::Migration),
            Box::new(m20261121_000021_publishing::Migration),
            Box::new(m20261121_000022_domains::Migration),
            Box::new(m20261121_000023_visitors::Migration),
            Box::new(m20261121_000024_webhooks::Migration),
            Box::new(m20261121_000025_live_updates::Migration),
            Box::new(m20261121_000026_idempotency::Migration),
            Box::new(m20261121_000028_schedules::Migration),
            Box::new(m20261121_000029_traces::Migration),
            Box::new(m20261121_000032_stored_texts::Migration),
            Box::new(m20261121_000034_mail_budgets::Migration),
            Box::new(m20261121_000036_key_makers::Migration),
            Box::new(m20261121_000040_audit_classes::Migration),
            Box::new(m20261121_000041_provenance::Migration),
            Box::new(m20261121_000043_audit_requests::Migration),
            Box::new(m20261121_000044_agreed_limits::Migration),
            Box::new(m20261122_000046_provider_profiles::Migration),
            Box::new(m20261122_000047_customer_notes::Migration),
            Box::new(m20261122_000048_event_indexes::Migration),
            Box::new(m20261122_000049_plans::Migration),
            Box::new(m20261123_000050_counting::Migration),
            Box::new(m20261123_000051_plan_versions::Migration),
            Box::new(m20261123_000055_billing_periods::Migration),
            Box::new(m20261123_000060_purchases::Migration),
            Box::new(m20261123_000061_refunds::Migration),
            Box::new(m20261123_000065_subscriptions::Migration),
            Box::new(m20261123_000070_licenses::Migration),
            Box::new(m20261123_000080_support::Migration),
            Box::new(m20261123_000085_site_sales::Migration),
            Box::new(m20261123_000090_releases::Migration),
            Box::new(m20261123_000092_product_prices::Migration),
            Box::new(m20261123_000093_license_transfers::Migration),
            Box::new(m20261123_000094_refused_mails::Migration),
            Box::new(m20261123_000095_reports::Migration),
            Box::new(m20261123_000096_growth::Migration),
            Box::new(m20261123_000097_receipts::Migration),
            Box::new(m20261123_000098_coupons::Migration),
            Box::new(m20261123_000099_over_limit::Migration),
            Box::new(m20261123_000100_paid_endings::Migration),
            Box::new(m20261123_000101_site_refunds::Migration),
            Box::new(m20261123_000102_money_modes::Migration),
            Box::new(m20261123_000103_refunds_under_way::Migration),
            Box::new(m20261123_000104_plan_coupons::Migration),
            Box::new(m20261123_000108_release_files::Migration),
            Box::new(m20261123_000110_seat_leases::Migration),
            Box::new(m20261123_000111_license_heirs::Migration),
            Box::new(m20261123_000112_ticket_events::Migration),
            Box::new(m20261123_000113_returned_sites::Migration),
            Box::new(m20261123_000114_sale_lists::Migration),
            Box::new(m20261123_000116_tenant_lists::Migration),
            Box::new(m20261123_000118_attachment_scans::Migration),
            Box::new(m20261123_000121_deferred_jobs::Migration),
            Box::new(m20261123_000122_counting_triggers::Migration),
        ]
    }
}
