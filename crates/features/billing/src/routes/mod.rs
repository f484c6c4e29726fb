//! Routes, one file per aggregate. A handler parses, calls one use case (or flow), and answers.

pub mod grants;
pub mod limits;
pub mod plan_administration;
pub mod plans;

use portico_web::routing::Routes;

/// Everything under `/api/v1`.
pub fn api(config: &mut Routes<'_, '_>) {
    config
        .configure(plans::configure)
        .configure(plan_administration::configure)
        .configure(grants::configure)
        .configure(limits::configure);
}
