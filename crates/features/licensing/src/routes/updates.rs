//! What programs ask about updates. Credentials are ignored; requests are counted by address.

use actix_web::{
    HttpResponse, get,
    web::{Data, Path},
};
use portico_licensing::{
    envelope::Envelope,
    policy::Channel,
    update_manifest::{UpdateQuery, Updates},
};
use portico_web::{
    problem::{Problem, ProblemBody},
    query::Query,
    routing::{READ, Routes},
    write::WithJson,
};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::state::App;

/// Adds the route.
pub fn configure(config: &mut Routes<'_, '_>) {
    config.service(READ.for_anyone(), newest);
}

/// What a program says of itself.
#[derive(Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
struct Installed {
    /// The version that is installed; any where absent.
    #[param(example = "1.9.2", max_length = 64)]
    version: Option<String>,
    /// What it runs on: releases for it and those for all are looked at, and only the latter where absent.
    #[param(example = "windows-x64", max_length = 50)]
    platform: Option<String>,
    /// From where releases are taken: `beta` includes `stable`, which is the default.
    channel: Option<Channel>,
}

/// Ask for an update
///
/// The newest release later than the installed one, as a manifest that is signed with the key of license files (`GET /licenses/keys`): `sig`
/// is the signature of the text `update/` followed by `enc`. The file itself needs a license, see `GET /downloads/{downloadId}/url`.
#[utoipa::path(
    tag = "License checks",
    operation_id = "getUpdate",
    params(
        ("productType" = String, Path, description = "Id of the product.", example = "base_product"),
        Installed,
    ),
    responses(
        (status = 200, body = Envelope),
        (status = 204, description = "There is none: the program is up to date."),
        (status = 404, description = "There is no such product.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "This installation has no key to sign with (`license_files_unavailable`).", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
#[get("/updates/{productType}")]
async fn newest(
    app: Data<App>,
    path: Path<String>,
    query: Query<Installed>,
) -> Result<HttpResponse, Problem> {
    let Installed { version, platform, channel } = query.0;
    let query = UpdateQuery { product_type: path.into_inner(), version, platform, channel };
    let mut repositories = app.core.reader();
    let found = Updates::new(&mut *repositories, &app.core.env).newest(query, app.signer.as_deref()).await?;
    Ok(match found {
        Some(manifest) => HttpResponse::Ok().with_json(&manifest),
        None => HttpResponse::NoContent().finish(),
    })
}
