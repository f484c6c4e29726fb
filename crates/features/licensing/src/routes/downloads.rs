//! Releases as customers download them.

use actix_web::{
    HttpRequest, HttpResponse, Responder, get,
    web::{Data, Path},
};
use portico_kernel::{LicenseId, List, Timestamp, UserId};
use portico_licensing::{
    LicensingError,
    download::{Download, DownloadRecord, Downloads},
    download_link::DownloadLink,
};
use portico_web::{
    admission::Class,
    caller::{Caller, Visitor},
    list::Listed,
    problem::{Problem, ProblemBody},
    query::{Paged, Paging, Query},
    routing::{READ, Routes, WithHead},
    write::WithJson,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{flows::downloads, state::App};

/// Path of the files, below `/api/v1`.
const FILE: &str = "/downloads/{downloadId}/files/{fileName}";

/// Adds the routes.
pub fn configure(config: &mut Routes<'_, '_>) {
    config
        .service(READ, list)
        .service(READ, read)
        // It notes who got a link.
        .service(READ.waiting_in(Class::Writes), link)
        .service(READ.for_anyone(), WithHead::new(file, FILE, send))
        .service(READ, of_license);
}

/// Query of the list of downloads.
#[derive(Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", default)]
#[into_params(parameter_in = Query)]
struct ListDownloads {
    /// Only those of this product.
    #[param(example = "base_product", max_length = 50)]
    product_type: Option<String>,
}

/// A link to a file.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(example = json!({
    "url": "https://portal.example.com/api/v1/downloads/software_v2/files/setup.exe?license=0199d2a4-5c1e-7a51-8f3b-0d6c2f9b4e11&expires=1800000000&signature=abc",
    "expiresAt": "2027-01-15T08:00:00Z"
}))]
struct DownloadUrl {
    /// Address of the file, for whoever has it. It supports byte ranges.
    url: String,
    /// Until when a download may begin or be resumed there, unless the license ends before.
    expires_at: Timestamp,
}

/// Query of a link.
#[derive(Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Link {
    /// The license.
    #[param(required = true)]
    license: Option<LicenseId>,
    /// The person who got the link.
    user: Option<UserId>,
    /// Until when, in seconds since 1970.
    #[param(required = true, example = 1_800_000_000)]
    expires: Option<u64>,
    /// Signature by this installation.
    #[param(required = true)]
    signature: Option<String>,
}

/// List downloads
///
/// Releases that are or were offered, the last first, with whether the active tenant can download each, and why not (`reason`).
#[utoipa::path(
    tag = "Downloads",
    operation_id = "listDownloads",
    params(ListDownloads, Paging),
    responses((status = 200, body = List<Download>)),
    security(("bearer" = ["licenses:read"])),
)]
#[get("/downloads")]
async fn list(
    app: Data<App>,
    caller: Caller,
    query: Paged<ListDownloads>,
) -> Result<impl Responder, Problem> {
    let Paged(ListDownloads { product_type }, paging) = query;
    let page = paging.request()?;
    let mut repositories = app.core.reader();
    let found = Downloads::new(&mut *repositories, &caller.0, &app.core.env).list(product_type, page).await?;
    Ok(Listed(found))
}

/// Read a download
#[utoipa::path(
    tag = "Downloads",
    operation_id = "getDownload",
    params(("downloadId" = String, Path, description = "Readable id of the release.", example = "software_v2")),
    responses((status = 200, body = Download)),
    security(("bearer" = ["licenses:read"])),
)]
#[get("/downloads/{downloadId}")]
async fn read(app: Data<App>, caller: Caller, path: Path<String>) -> Result<HttpResponse, Problem> {
    let mut repositories = app.core.reader();
    let found = Downloads::new(&mut *repositories, &caller.0, &app.core.env).get(&path).await?;
    Ok(HttpResponse::Ok().with_json(&found))
}

/// Get a link to download a release
///
/// Needs a license that may be used and covers the release. The link is good for 15 minutes (`downloads.link_seconds`), for whoever has it, and
/// ends with the license. Show it to nobody else: what is downloaded there is noted as the caller's.
#[utoipa::path(
    tag = "Downloads",
    operation_id = "getDownloadUrl",
    params(("downloadId" = String, Path, description = "Readable id of the release.", example = "software_v2")),
    responses(
        (status = 200, body = DownloadUrl),
        (status = 403, description = "No license covers it (`license_required`, with the `reason`), or the caller may not.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 410, description = "It is not offered any more (`release_withdrawn`).", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["licenses:read"])),
)]
#[get("/downloads/{downloadId}/url")]
async fn link(app: Data<App>, caller: Caller, path: Path<String>) -> Result<HttpResponse, Problem> {
    caller
        .write(&app.core, async |work| {
            let lifetime = app.downloads.link_lifetime;
            let made = Downloads::new(&mut *work, &caller.0, &app.core.env).link(&path, lifetime).await?;
            let answer = DownloadUrl { url: downloads::url(&app, &made), expires_at: made.expires };
            Ok(HttpResponse::Ok().with_json(&answer))
        })
        .await
}

/// Download a file by its link
///
/// `url` of a link leads here; no sign-in is needed. Byte ranges are supported (`Range`, `If-Range`), and HEAD. Where files are in a bucket, the
/// answer leads to an address there that is good for a minute: resume at the link. Each use is noted.
#[utoipa::path(
    tag = "Downloads",
    operation_id = "getDownloadFile",
    params(
        ("downloadId" = String, Path, description = "Readable id of the release.", example = "software_v2"),
        ("fileName" = String, Path, description = "Name of its file.", example = "setup.exe"),
        Link,
    ),
    responses(
        (status = 200, content((String = "application/octet-stream", example = json!("(the file)")))),
        (status = 206, description = "The part that was asked for.", content((String = "application/octet-stream", example = json!("(a part of the file)")))),
        (status = 302, description = "The file is at `Location`."),
        (status = 304, description = "Not changed."),
        (status = 403, description = "The link is not good, or not any more (`invalid_link`), or its license is not (`license_required`, with the `reason`).", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "There is no such release.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 410, description = "The release is not offered any more (`release_withdrawn`).", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
#[get("/downloads/{downloadId}/files/{fileName}")]
async fn file(
    app: Data<App>,
    visitor: Visitor,
    path: Path<(String, String)>,
    query: Query<Link>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    send(app, visitor, path, query, request).await
}

/// What answers GET and HEAD of a file.
async fn send(
    app: Data<App>,
    visitor: Visitor,
    path: Path<(String, String)>,
    query: Query<Link>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let (slug, file_name) = path.into_inner();
    let Link { license: Some(license), user, expires: Some(expires), signature: Some(signature) } = query.0
    else {
        return Err(LicensingError::InvalidLink.into());
    };
    let expires = i64::try_from(expires).ok().and_then(Timestamp::from_unix_seconds);
    let expires = expires.ok_or(LicensingError::InvalidLink)?;
    let asked = DownloadLink { slug, file_name, license, user, expires };
    downloads::send(&app, &visitor.0, &asked, &signature, &request).await
}

/// List the downloads by a license
///
/// Each use of a link, the last first: who got the link, from where it was used, and how many bytes were asked for.
#[utoipa::path(
    tag = "Downloads",
    operation_id = "listLicenseDownloads",
    params(("licenseId" = LicenseId, Path, description = "Id of the license."), Paging),
    responses((status = 200, body = List<DownloadRecord>)),
    security(("bearer" = ["licenses:read"])),
)]
#[get("/licenses/{licenseId}/downloads")]
async fn of_license(
    app: Data<App>,
    caller: Caller,
    path: Path<LicenseId>,
    query: Query<Paging>,
) -> Result<impl Responder, Problem> {
    let page = query.0.request()?;
    let mut repositories = app.core.reader();
    let found = Downloads::new(&mut *repositories, &caller.0, &app.core.env).of_license(*path, page).await?;
    Ok(Listed(found))
}
