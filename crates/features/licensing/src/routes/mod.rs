//! Routes, one file per aggregate. A handler parses, calls one use case, and answers.

pub mod checks;
pub mod compat;
pub mod downloads;
pub mod license_administration;
pub mod license_import;
pub mod licenses;
pub mod release_administration;
pub mod release_uploads;
pub mod transfers;
pub mod updates;

use actix_web::web::ServiceConfig;
use portico_web::routing::Routes;

/// Everything under `/api/v1`.
pub fn api(config: &mut Routes<'_, '_>) {
    config
        .configure(checks::configure)
        .configure(licenses::configure)
        .configure(transfers::configure)
        .configure(license_administration::configure)
        .configure(license_import::configure)
        .configure(downloads::configure)
        .configure(release_administration::configure)
        .configure(release_uploads::configure)
        .configure(updates::configure);
}

/// What speaks as other products do, outside of the API document.
pub fn outside(config: &mut ServiceConfig) {
    compat::configure(config);
}
