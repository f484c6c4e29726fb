//! Releases as staff make, publish and withdraw them.

use actix_web::{
    HttpMessage, HttpRequest, HttpResponse, Responder, get,
    http::header,
    post, put,
    web::{Data, Path, Payload},
};
use portico_kernel::{List, Permission, ReleaseId};
use portico_licensing::{
    download::DownloadRecord,
    ports::ReleaseFilter,
    release::{AnnouncedFile, NewRelease, Release, ReleaseStatus, ReleaseUpdate, Withdrawal},
    release_administration::Releases,
};
use portico_web::{
    body::{Body, content_length},
    caller::Caller,
    list::Listed,
    problem::{Problem, ProblemBody},
    query::{Paged, Paging, Query},
    routing::{KEYED, MERGE, READ, Routes, WRITE},
    write::WithJson,
};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::{flows::release_files, state::App};

/// Adds the routes.
pub fn configure(config: &mut Routes<'_, '_>) {
    config
        .service(READ, list)
        .service(KEYED, create)
        .service(READ, read)
        .service(MERGE, update)
        .service(WRITE.unqueued(), upload)
        .service(KEYED, publish)
        .service(KEYED, withdraw)
        .service(READ, downloads);
}

/// Query of the list of releases.
#[derive(Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", default)]
#[into_params(parameter_in = Query)]
struct ListReleases {
    /// Only those of this product.
    #[param(example = "base_product", max_length = 50)]
    product_type: Option<String>,
    /// Only those with this status.
    status: Option<ReleaseStatus>,
}

/// What is said of a file that is uploaded.
#[derive(Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", default)]
#[into_params(parameter_in = Query)]
struct UploadedFile {
    /// Under which name it is to be saved: 1 to 200 letters (A to Z), digits, `.`, `_` and `-`, with no dot first.
    #[param(required = true, example = "setup-2.0.0.exe", min_length = 1, max_length = 200)]
    file_name: Option<String>,
    /// SHA-256 of the file, 64 hexadecimal digits.
    #[param(
        required = true,
        min_length = 64,
        max_length = 64,
        example = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
    )]
    sha256: Option<String>,
}

/// List releases
///
/// For staff: those of all products, drafts and withdrawn ones included, the one made last first.
#[utoipa::path(
    tag = "Downloads",
    operation_id = "listReleases",
    params(ListReleases, Paging),
    responses((status = 200, body = List<Release>)),
    security(("bearer" = ["platform:releases"])),
)]
#[get("/admin/releases")]
async fn list(app: Data<App>, caller: Caller, query: Paged<ListReleases>) -> Result<impl Responder, Problem> {
    let Paged(ListReleases { product_type, status }, paging) = query;
    let page = paging.request()?;
    let mut repositories = app.core.reader();
    let found = Releases::new(&mut *repositories, &caller.0, &app.core.env)
        .list(ReleaseFilter { product_type, status }, page)
        .await?;
    Ok(Listed(found))
}

/// Create a release
///
/// For staff: a draft, which no customer sees before it has a file and is published.
#[utoipa::path(
    tag = "Downloads",
    operation_id = "createRelease",
    request_body = NewRelease,
    responses(
        (status = 201, body = Release, headers(("Location" = String))),
        (status = 409, description = "Another release has the slug (`slug_taken`).", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["platform:releases"])),
)]
#[post("/admin/releases")]
async fn create(app: Data<App>, caller: Caller, body: Body<NewRelease>) -> Result<HttpResponse, Problem> {
    caller
        .write(&app.core, async |work| {
            let release = Releases::new(&mut *work, &caller.0, &app.core.env).create(&body.0).await?;
            let location = format!("/api/v1/admin/releases/{}", release.id);
            Ok(HttpResponse::Created().insert_header((header::LOCATION, location)).with_json(&release))
        })
        .await
}

/// Read a release
///
/// For staff.
#[utoipa::path(
    tag = "Downloads",
    operation_id = "getRelease",
    params(("releaseId" = ReleaseId, Path, description = "Id of the release.")),
    responses((status = 200, body = Release)),
    security(("bearer" = ["platform:releases"])),
)]
#[get("/admin/releases/{releaseId}")]
async fn read(app: Data<App>, caller: Caller, path: Path<ReleaseId>) -> Result<HttpResponse, Problem> {
    let mut repositories = app.core.reader();
    let release = Releases::new(&mut *repositories, &caller.0, &app.core.env).get(*path).await?;
    Ok(HttpResponse::Ok().with_json(&release))
}

/// Update a release
///
/// For staff: its name and notes, whatever its status. All else is what customers have got.
#[utoipa::path(
    tag = "Downloads",
    operation_id = "updateRelease",
    params(("releaseId" = ReleaseId, Path, description = "Id of the release.")),
    request_body = ReleaseUpdate,
    responses((status = 200, body = Release)),
    security(("bearer" = ["platform:releases"])),
)]
#[put("/admin/releases/{releaseId}")]
async fn update(
    app: Data<App>,
    caller: Caller,
    path: Path<ReleaseId>,
    body: Body<ReleaseUpdate>,
) -> Result<HttpResponse, Problem> {
    caller
        .write(&app.core, async |work| {
            let release = Releases::new(&mut *work, &caller.0, &app.core.env).update(*path, &body.0).await?;
            Ok(HttpResponse::Ok().with_json(&release))
        })
        .await
}

/// Upload the file of a release
///
/// For staff: the file is the body itself, up to 5 GiB (`downloads.max_file_bytes`). It is stored while it comes, and counts once it is whole
/// and has the SHA-256 that was announced; of any other nothing is kept. Only a draft gets a file; another one replaces it.
#[utoipa::path(
    tag = "Downloads",
    operation_id = "updateReleaseFile",
    params(("releaseId" = ReleaseId, Path, description = "Id of the release."), UploadedFile),
    request_body(content((String = "application/octet-stream", example = json!("(the file)")))),
    responses(
        (status = 200, body = Release),
        (status = 409, description = "It is no draft (`release_status`, with the `releaseStatus`).", body = ProblemBody, content_type = "application/problem+json"),
        (status = 413, description = "The file is too large.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "The file is empty, has another SHA-256 (`checksum_mismatch`), or cannot be saved under its name.", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["platform:releases"])),
)]
#[put("/admin/releases/{releaseId}/file")]
async fn upload(
    app: Data<App>,
    caller: Caller,
    path: Path<ReleaseId>,
    query: Query<UploadedFile>,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, Problem> {
    // Before the body is read.
    caller.0.require_platform(Permission::PlatformReleases)?;
    let announced = AnnouncedFile {
        name: query.0.file_name.unwrap_or_default(),
        content_type: request.content_type().to_owned(),
        sha256: query.0.sha256.unwrap_or_default(),
    };
    release_files::upload(&app, &caller, *path, &announced, content_length(&request), payload).await
}

/// Publish a release
///
/// For staff: customers see it from now on, and programs are told of it. One that is published stays as it is.
#[utoipa::path(
    tag = "Downloads",
    operation_id = "publishRelease",
    params(("releaseId" = ReleaseId, Path, description = "Id of the release.")),
    responses(
        (status = 200, body = Release),
        (status = 409, description = "It has no file (`release_without_file`), one that a scanner has not passed (`release_file_scan`, with the `scan`), or was withdrawn (`release_status`).", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["platform:releases"])),
)]
#[post("/admin/releases/{releaseId}/publish")]
async fn publish(app: Data<App>, caller: Caller, path: Path<ReleaseId>) -> Result<HttpResponse, Problem> {
    caller
        .write(&app.core, async |work| {
            let release = Releases::new(&mut *work, &caller.0, &app.core.env)
                .publish(*path, app.downloads.publish_unscannable)
                .await?;
            Ok(HttpResponse::Ok().with_json(&release))
        })
        .await
}

/// Withdraw a release
///
/// For staff: it cannot be downloaded any more, by links that were given out neither, and programs are not told of it. Customers still see
/// that there was one. A draft is discarded. This cannot be undone.
#[utoipa::path(
    tag = "Downloads",
    operation_id = "withdrawRelease",
    params(("releaseId" = ReleaseId, Path, description = "Id of the release.")),
    request_body = Withdrawal,
    responses((status = 200, body = Release)),
    security(("bearer" = ["platform:releases"])),
)]
#[post("/admin/releases/{releaseId}/withdraw")]
async fn withdraw(
    app: Data<App>,
    caller: Caller,
    path: Path<ReleaseId>,
    body: Body<Withdrawal>,
) -> Result<HttpResponse, Problem> {
    caller
        .write(&app.core, async |work| {
            let release =
                Releases::new(&mut *work, &caller.0, &app.core.env).withdraw(*path, &body.0).await?;
            Ok(HttpResponse::Ok().with_json(&release))
        })
        .await
}

/// List the downloads of a release
///
/// For staff: each use of a link by any customer, the last first.
#[utoipa::path(
    tag = "Downloads",
    operation_id = "listReleaseDownloads",
    params(("releaseId" = ReleaseId, Path, description = "Id of the release."), Paging),
    responses((status = 200, body = List<DownloadRecord>)),
    security(("bearer" = ["platform:releases"])),
)]
#[get("/admin/releases/{releaseId}/downloads")]
async fn downloads(
    app: Data<App>,
    caller: Caller,
    path: Path<ReleaseId>,
    query: Query<Paging>,
) -> Result<impl Responder, Problem> {
    let page = query.0.request()?;
    let mut repositories = app.core.reader();
    let found = Releases::new(&mut *repositories, &caller.0, &app.core.env).downloads(*path, page).await?;
    Ok(Listed(found))
}
