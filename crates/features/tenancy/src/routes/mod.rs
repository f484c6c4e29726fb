//! Routes, one file per aggregate. A handler parses, calls one use case (or flow), and answers.

pub mod audit;
pub mod customer_notes;
pub mod customers;
pub mod deliveries;
pub mod growth;
pub mod invitations;
pub mod live;
pub mod members;
pub mod tenant_settings;
pub mod tenants;
pub mod webhooks;

use portico_web::routing::Routes;

/// Everything under `/api/v1`.
pub fn api(config: &mut Routes<'_, '_>) {
    config
        .configure(tenants::configure)
        .configure(customers::configure)
        .configure(customer_notes::configure)
        .configure(tenant_settings::configure)
        .configure(members::configure)
        .configure(invitations::configure)
        .configure(webhooks::configure)
        .configure(deliveries::configure)
        .configure(audit::configure)
        .configure(growth::configure)
        .configure(live::configure);
}
