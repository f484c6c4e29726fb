//! Routes, one file per aggregate. A handler parses, calls one use case (or flow), and answers.

pub mod api_keys;
pub mod auth;
pub mod avatar;
pub mod email_change;
pub mod oidc;
pub mod passkeys;
pub mod profile;
pub mod second_factors;
pub mod sessions;
pub mod users;

use portico_web::routing::Routes;

/// Everything under `/api/v1`.
pub fn api(config: &mut Routes<'_, '_>) {
    config
        .configure(auth::configure)
        .configure(oidc::configure)
        .configure(second_factors::configure)
        .configure(passkeys::configure)
        .configure(email_change::configure)
        .configure(sessions::configure)
        .configure(profile::configure)
        .configure(avatar::configure)
        .configure(users::configure)
        .configure(api_keys::configure);
}
