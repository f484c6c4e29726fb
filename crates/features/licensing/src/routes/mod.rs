//! Routes, one file per aggregate. A handler parses, calls one use case, and answers.

pub mod checks;
pub mod license_administration;
pub mod license_import;
pub mod licenses;

use portico_web::routing::Routes;

/// Everything under `/api/v1`.
pub fn api(config: &mut Routes<'_, '_>) {
    config
        .configure(checks::configure)
        .configure(licenses::configure)
        .configure(license_administration::configure)
        .configure(license_import::configure);
}
