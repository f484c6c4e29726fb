//! Files of releases that staff upload in parts.

use actix_web::{
    HttpRequest, HttpResponse, delete, get,
    http::header,
    post, put,
    web::{Data, Path, Payload},
};
use portico_kernel::{Permission, ReleaseFileId, ReleaseId};
use portico_licensing::{
    release::Release,
    release_upload::{NewUpload, ReleaseUpload, ReleaseUploads},
};
use portico_web::{
    body::{Body, content_length},
    caller::Caller,
    problem::{Problem, ProblemBody},
    query::Query,
    routing::{KEYED, READ, Routes, WRITE},
    write::WithJson,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{
    flows::release_uploads::{self, SentPart},
    state::App,
};

/// Adds the routes.
pub fn configure(config: &mut Routes<'_, '_>) {
    config
        .service(KEYED, begin)
        .service(READ, read)
        .service(WRITE.unqueued(), store_part)
        .service(WRITE.unqueued(), complete)
        .service(WRITE, abort);
}

/// An upload, and what has come of it.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct UploadState {
    #[serde(flatten)]
    upload: ReleaseUpload,
    /// How many parts the file has.
    #[schema(example = 5)]
    part_count: u64,
    /// The numbers of the parts that are stored, in order.
    #[schema(example = json!([1, 2, 5]))]
    parts: Vec<u64>,
}

impl UploadState {
    fn new(upload: ReleaseUpload, parts: impl IntoIterator<Item = u64>) -> Self {
        Self { part_count: upload.part_count(), parts: parts.into_iter().collect(), upload }
    }
}

/// What is said of a part that is sent.
#[derive(Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
struct UploadedPart {
    /// SHA-256 of the part, 64 hexadecimal digits, to find out at once that it was damaged on its way.
    #[param(
        min_length = 64,
        max_length = 64,
        example = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
    )]
    sha256: Option<String>,
}

/// Begin an upload in parts
///
/// For staff: announces the file of a draft. It is sent in parts of `partSize` bytes, the last one with the rest, in any order, and can be
/// gone on with for a day after it was broken off.
#[utoipa::path(
    tag = "Downloads",
    operation_id = "createReleaseUpload",
    params(("releaseId" = ReleaseId, Path, description = "Id of the release.")),
    request_body = NewUpload,
    responses(
        (status = 201, body = UploadState, headers(("Location" = String))),
        (status = 409, description = "It is no draft (`release_status`, with the `releaseStatus`).", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["platform:releases"])),
)]
#[post("/admin/releases/{releaseId}/uploads")]
async fn begin(
    app: Data<App>,
    caller: Caller,
    path: Path<ReleaseId>,
    body: Body<NewUpload>,
) -> Result<HttpResponse, Problem> {
    caller
        .write(&app.core, async |work| {
            let mut uploads = ReleaseUploads::new(&mut *work, &caller.0, &app.core.env);
            let upload = uploads.begin(*path, &body.0, app.downloads.max_file_bytes).await?;
            let location = format!("/api/v1/admin/releases/{}/uploads/{}", upload.release_id, upload.id);
            Ok(HttpResponse::Created()
                .insert_header((header::LOCATION, location))
                .with_json(&UploadState::new(upload, [])))
        })
        .await
}

/// Read an upload
///
/// For staff: which parts are stored, to send the others.
#[utoipa::path(
    tag = "Downloads",
    operation_id = "getReleaseUpload",
    params(
        ("releaseId" = ReleaseId, Path, description = "Id of the release."),
        ("uploadId" = ReleaseFileId, Path, description = "Id of the upload."),
    ),
    responses(
        (status = 200, body = UploadState),
        (status = 409, description = "The release is no draft any more (`release_status`).", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["platform:releases"])),
)]
#[get("/admin/releases/{releaseId}/uploads/{uploadId}")]
async fn read(
    app: Data<App>,
    caller: Caller,
    path: Path<(ReleaseId, ReleaseFileId)>,
) -> Result<HttpResponse, Problem> {
    let (release, id) = path.into_inner();
    let (upload, parts) = release_uploads::state(&app, &caller, release, id).await?;
    Ok(HttpResponse::Ok().with_json(&UploadState::new(upload, parts)))
}

/// Upload a part
///
/// For staff: the part is the body itself. It counts once it is whole; one that comes again replaces what was stored of it.
#[utoipa::path(
    tag = "Downloads",
    operation_id = "updateReleaseUploadPart",
    params(
        ("releaseId" = ReleaseId, Path, description = "Id of the release."),
        ("uploadId" = ReleaseFileId, Path, description = "Id of the upload."),
        ("part" = u64, Path, description = "Number of the part, from 1."),
        UploadedPart,
    ),
    request_body(content((String = "application/octet-stream", example = json!("(the part)")))),
    responses(
        (status = 204, description = "It is stored."),
        (status = 409, description = "The release is no draft any more (`release_status`).", body = ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "The file has no such part, or the part has another length, or another SHA-256 (`checksum_mismatch`).", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["platform:releases"])),
)]
#[put("/admin/releases/{releaseId}/uploads/{uploadId}/parts/{part}")]
async fn store_part(
    app: Data<App>,
    caller: Caller,
    path: Path<(ReleaseId, ReleaseFileId, u64)>,
    query: Query<UploadedPart>,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, Problem> {
    // Before the body is read.
    caller.0.require_platform(Permission::PlatformReleases)?;
    let (release, id, number) = path.into_inner();
    let part = SentPart { number, sha256: query.0.sha256, length: content_length(&request) };
    release_uploads::store_part(&app, &caller, (release, id), part, payload).await
}

/// Complete an upload
///
/// For staff: puts the file together and checks size and SHA-256, which takes seconds for each gigabyte. The release has the file then, and
/// the upload is over. Repeating it changes nothing.
#[utoipa::path(
    tag = "Downloads",
    operation_id = "completeReleaseUpload",
    params(
        ("releaseId" = ReleaseId, Path, description = "Id of the release."),
        ("uploadId" = ReleaseFileId, Path, description = "Id of the upload."),
    ),
    responses(
        (status = 200, body = Release),
        (status = 409, description = "Parts are missing (`upload_incomplete`, with up to a hundred of them in `missing`), or the release is no draft any more (`release_status`).", body = ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "The whole has another SHA-256 (`checksum_mismatch`).", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["platform:releases"])),
)]
#[post("/admin/releases/{releaseId}/uploads/{uploadId}/complete")]
async fn complete(
    app: Data<App>,
    caller: Caller,
    path: Path<(ReleaseId, ReleaseFileId)>,
) -> Result<HttpResponse, Problem> {
    let (release, id) = path.into_inner();
    release_uploads::complete(&app, &caller, release, id).await
}

/// Abort an upload
///
/// For staff: what came of it is deleted.
#[utoipa::path(
    tag = "Downloads",
    operation_id = "deleteReleaseUpload",
    params(
        ("releaseId" = ReleaseId, Path, description = "Id of the release."),
        ("uploadId" = ReleaseFileId, Path, description = "Id of the upload."),
    ),
    responses((status = 204, description = "It is over.")),
    security(("bearer" = ["platform:releases"])),
)]
#[delete("/admin/releases/{releaseId}/uploads/{uploadId}")]
async fn abort(
    app: Data<App>,
    caller: Caller,
    path: Path<(ReleaseId, ReleaseFileId)>,
) -> Result<HttpResponse, Problem> {
    caller
        .write(&app.core, async |work| {
            let (release, id) = *path;
            ReleaseUploads::new(&mut *work, &caller.0, &app.core.env).abort(release, id).await?;
            Ok(HttpResponse::NoContent().finish())
        })
        .await
}
