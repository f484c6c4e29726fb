//! What a front end has to know before anybody is signed in.

use actix_web::{
    HttpResponse, get,
    http::header::{self, CacheControl, CacheDirective},
    web::Data,
};
use portico_feature_identity::routes::oidc::{Provider, configured};
use portico_identity::{password::PasswordRule, user::LANGUAGES};
use portico_web::{
    routing::{READ, Routes},
    write::WithJson,
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::state::App;

/// How long it may be cached, in seconds. It changes with a restart only.
const FRESH: u32 = 300;

/// Adds the route.
pub fn configure(config: &mut Routes<'_, '_>) {
    config.service(READ.for_anyone(), read);
}

/// What the server offers to everyone.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(example = json!({
    "passwords": {"minLength": 8, "maxLength": 128, "uppercase": true, "lowercase": true, "digit": true, "special": true},
    "languages": ["en", "es"],
    "providers": [{"name": "google", "displayName": "Google"}],
    "features": {"contentGeneration": true}
}))]
struct PublicConfig {
    /// Requirements on passwords. Those that are easy to guess are refused in addition.
    passwords: Passwords,
    /// Languages of messages and of the portal, BCP 47.
    languages: [&'static str; LANGUAGES.len()],
    /// OpenID Connect providers to sign in with, ordered by name.
    providers: Vec<Provider>,
    /// What this installation offers.
    features: Features,
}

/// Requirements on passwords.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Passwords {
    /// Fewest characters.
    min_length: usize,
    /// Most characters.
    max_length: usize,
    /// Whether an upper-case letter is needed.
    uppercase: bool,
    /// Whether a lower-case letter is needed.
    lowercase: bool,
    /// Whether a digit is needed.
    digit: bool,
    /// Whether a character is needed that is neither letter nor digit.
    special: bool,
}

/// What an installation offers.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Features {
    /// Texts written by a generator.
    content_generation: bool,
}

impl From<&PasswordRule> for Passwords {
    fn from(rule: &PasswordRule) -> Self {
        let &PasswordRule { min_length, max_length, uppercase, lowercase, digit, special, .. } = rule;
        Self { min_length, max_length, uppercase, lowercase, digit, special }
    }
}

/// Read the public configuration
///
/// For sign-in and registration forms.
#[utoipa::path(
    tag = "Operations",
    operation_id = "getConfig",
    responses((status = 200, body = PublicConfig)),
)]
#[get("/config")]
async fn read(app: Data<App>) -> HttpResponse {
    let config = PublicConfig {
        passwords: Passwords::from(&app.identity.password_rule),
        languages: LANGUAGES,
        providers: configured(&app.identity),
        features: Features { content_generation: app.sites.generator.is_some() },
    };
    let caching = CacheControl(vec![CacheDirective::Public, CacheDirective::MaxAge(FRESH)]);
    HttpResponse::Ok().insert_header((header::CACHE_CONTROL, caching)).with_json(&config)
}
