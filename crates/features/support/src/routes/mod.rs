//! Routes, one file per aggregate. A handler parses, calls one use case (or flow), and answers.

pub mod canned_replies;
pub mod desk;
pub mod inbound_mail;
pub mod tickets;

use portico_web::routing::Routes;

/// Everything under `/api/v1`.
pub fn api(config: &mut Routes<'_, '_>) {
    config
        .configure(tickets::configure)
        .configure(desk::configure)
        .configure(canned_replies::configure)
        .configure(inbound_mail::configure);
}
