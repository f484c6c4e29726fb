//! The API document, built from the routes. Not in the program, which has `docs/openapi.json` compiled in (ADR 96).

use actix_web::App;
use portico_web::{openapi, routing::Routes};
use utoipa::openapi::OpenApi;
use utoipa_actix_web::{AppExt, scope::scope};

use crate::{
    routes,
    server::{PREFIX, operations},
};

/// What the routes themselves say: the API document before [`openapi::published`].
pub fn collected() -> OpenApi {
    let (_, document) = App::new()
        .into_utoipa_app()
        .openapi(openapi::base())
        .configure(|config| routes::operations(&mut Routes::Documented(config)))
        .service(scope(PREFIX).configure(|config| routes::api(&mut Routes::Documented(config))))
        .split_for_parts();
    openapi::complete(document, &operations())
}

/// The API document as clients get it, laid out as `docs/openapi.json`.
///
/// # Errors
/// When it cannot be written as JSON.
pub fn published() -> Result<String, serde_json::Error> {
    Ok(openapi::compact(&openapi::published(collected(), &operations()).to_pretty_json()?))
}
