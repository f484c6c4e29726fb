//! Uploaded files of tenants.

use actix_web::{
    HttpRequest, HttpResponse, Responder, delete, get, post, put,
    web::{Data, Path, Payload},
};
use portico_kernel::{AssetId, List, PageRequest, Permission, TenantId, Timestamp};
use portico_sites::asset::{Asset, AssetFilter, AssetKind, AssetUpdate, Assets};
use portico_web::{
    admission::Class,
    body::Body,
    caller::Caller,
    conditional,
    list::Listed,
    problem::{Problem, ProblemBody},
    query::{Paged, Paging, Query},
    routing::{KEYED, MERGE, READ, Routes, WRITE},
    write::WithJson,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{flows::assets, spool, state::App};

/// Adds the routes.
pub fn configure(config: &mut Routes<'_, '_>) {
    config
        .service(KEYED.unqueued().taking_files(), upload)
        .service(READ, list)
        .service(KEYED, restore)
        .service(READ, read)
        .service(MERGE, update)
        .service(WRITE, remove);
}

/// A file as clients see it.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = AssetView)]
struct AssetView {
    #[serde(flatten)]
    asset: Asset,
    /// URL of the file, accessible without sign-in until `urlExpiresAt`. A PDF is offered as a download and not displayed.
    url: String,
    /// When `url` and those of the thumbnails expire. Read the file again for new ones.
    url_expires_at: Timestamp,
    /// Smaller copies of an image, narrowest first: 320, 640, 1280 and 1920 pixels wide where the image is wider, and as
    /// wide as the image where it is not. They are WebP.
    thumbnails: Vec<Thumbnail>,
}

/// A smaller copy of an image.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Thumbnail {
    /// Width in pixels.
    width: u32,
    /// Height in pixels.
    height: u32,
    /// Bytes.
    size: u64,
    /// URL of the copy, like the `url` of the file.
    url: String,
}

impl AssetView {
    fn new(app: &App, asset: Asset) -> Self {
        let thumbnail = |variant: &portico_sites::asset::Variant| Thumbnail {
            width: variant.width,
            height: variant.height,
            size: variant.size,
            url: assets::link(app, &asset, Some(variant.width)),
        };
        Self {
            url: assets::link(app, &asset, None),
            url_expires_at: assets::link_expiry(app),
            thumbnails: asset.variants.iter().map(thumbnail).collect(),
            asset,
        }
    }
}

/// A form with files.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the form; the parts are read as a stream")]
struct AssetUpload {
    /// 1 to 20 files, 50 MB together: PNG, JPEG, WebP and GIF of at most 5 MB and 25 megapixels each, PDF of at most 20 MB.
    /// The format is detected from the content, not from the name.
    #[schema(value_type = Vec<String>, format = Binary, content_media_type = "application/octet-stream")]
    files: Vec<Vec<u8>>,
}

/// Upload files
///
/// All of them or, if any is invalid, none: errors name `files[0]`, `files[1]` … Images are turned upright and re-encoded,
/// without metadata such as the place where a photo was taken; of an animation, the first frame is kept. SVG is refused
/// (`svg_refused`), because it can contain scripts. `size` is the stored size, which counts against the plan; thumbnails do
/// not.
#[utoipa::path(
    tag = "Assets",
    operation_id = "uploadAssets",
    params(("tenantId" = TenantId, Path)),
    request_body(content((AssetUpload = "multipart/form-data", example = json!({"files": ["(a file)", "(another file)"]})))),
    responses(
        (status = 201, body = List<AssetView>),
        (status = 402, description = "The plan does not include so much storage.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 413, description = "A file, or all of them together, are too large.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 415, description = "Not a form.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "Files of other formats, damaged, empty, with too many pixels, or too many of them.", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["assets:write"])),
)]
#[post("/tenants/{tenantId}/assets/upload")]
async fn upload(
    app: Data<App>,
    caller: Caller,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, Problem> {
    // Before the body is read.
    caller.0.require(Permission::AssetsWrite)?;
    let files = spool::files_of(&request, payload, &app.settings.data_dir).await?;
    let _place = app.api.admission.enter(Class::Uploads, 0).await?;
    let answer = |made: Vec<Asset>| {
        let total = made.len() as u64;
        let items = made.into_iter().map(|asset| AssetView::new(&app, asset)).collect();
        let request = PageRequest { page: 1, limit: PageRequest::MAX_LIMIT };
        HttpResponse::Created().with_json(&List::new(items, request, total))
    };
    assets::upload(&app, &caller, files, answer).await
}

/// Query of the list of files.
#[derive(Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct ListAssets {
    /// A part of the name or the description.
    #[param(example = "logo")]
    q: Option<String>,
    /// Kind of file.
    #[serde(rename = "type")]
    #[param(inline)]
    kind: Option<AssetKind>,
}

/// List files
///
/// Newest first, without those that are deleted.
#[utoipa::path(
    tag = "Assets",
    operation_id = "listAssets",
    params(("tenantId" = TenantId, Path), ListAssets, Paging),
    responses((status = 200, body = List<AssetView>)),
    security(("bearer" = ["assets:read"])),
)]
#[get("/tenants/{tenantId}/assets")]
async fn list(app: Data<App>, caller: Caller, query: Paged<ListAssets>) -> Result<impl Responder, Problem> {
    let Paged(ListAssets { q, kind }, paging) = query;
    let page = paging.request()?;
    let mut repositories = app.core.reader();
    let found =
        Assets::new(&mut *repositories, &caller.0, &app.core.env).list(AssetFilter { q, kind }, page).await?;
    let items = found.items.into_iter().map(|asset| AssetView::new(&app, asset)).collect();
    Ok(Listed(List::new(items, page, found.total)))
}

/// Read a file
///
/// Its metadata, with URLs that are valid for a limited time.
#[utoipa::path(
    tag = "Assets",
    operation_id = "getAsset",
    params(("tenantId" = TenantId, Path), ("assetId" = AssetId, Path)),
    responses((status = 200, body = AssetView, headers(("ETag" = String)))),
    security(("bearer" = ["assets:read"])),
)]
#[get("/tenants/{tenantId}/assets/{assetId}")]
async fn read(
    app: Data<App>,
    caller: Caller,
    path: Path<(TenantId, AssetId)>,
) -> Result<HttpResponse, Problem> {
    let mut repositories = app.core.reader();
    let asset = Assets::new(&mut *repositories, &caller.0, &app.core.env).get(path.1).await?;
    // Never 304: the URLs in it expire, whatever the version is.
    Ok(conditional::updated(asset.version, &AssetView::new(&app, asset)))
}

/// Update a file
///
/// Its name and description. The file itself never changes.
#[utoipa::path(
    tag = "Assets",
    operation_id = "updateAsset",
    params(("tenantId" = TenantId, Path), ("assetId" = AssetId, Path), ("If-Match" = Option<String>, Header)),
    request_body(content = AssetUpdate, example = json!({"filename": "shop.jpg", "altText": "The shop from the street"})),
    responses(
        (status = 200, body = AssetView, headers(("ETag" = String))),
        (status = 409, description = "Another request changed it at the same moment.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 412, description = "Changed since it was read.", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["assets:write"])),
)]
#[put("/tenants/{tenantId}/assets/{assetId}")]
async fn update(
    app: Data<App>,
    caller: Caller,
    path: Path<(TenantId, AssetId)>,
    request: HttpRequest,
    body: Body<AssetUpdate>,
) -> Result<HttpResponse, Problem> {
    let expected = conditional::expected_version(&request);
    caller
        .write(&app.core, async |work| {
            let asset =
                Assets::new(&mut *work, &caller.0, &app.core.env).update(path.1, body.0, expected).await?;
            Ok(conditional::updated(asset.version, &AssetView::new(&app, asset)))
        })
        .await
}

/// Options of a deletion.
#[derive(Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct DeleteAsset {
    /// Deletes it although pages or the branding show it. They show nothing in its place from their next deployment on.
    force: Option<bool>,
}

/// Delete a file
///
/// At once it is no longer listed, its URLs stop working, and the plan has its storage back. For some days it can be
/// restored; then its bytes are deleted. Published sites keep their own copies until their next deployment.
#[utoipa::path(
    tag = "Assets",
    operation_id = "deleteAsset",
    params(
        ("tenantId" = TenantId, Path), ("assetId" = AssetId, Path), DeleteAsset,
        ("If-Match" = Option<String>, Header),
    ),
    responses(
        (status = 204, description = "Deleted."),
        (status = 409, description = "Pages or the branding show it (`asset_in_use`, with `pages` and `branding`), or another request changed it at the same moment.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 412, description = "Changed since it was read.", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["assets:write"])),
)]
#[delete("/tenants/{tenantId}/assets/{assetId}")]
async fn remove(
    app: Data<App>,
    caller: Caller,
    path: Path<(TenantId, AssetId)>,
    query: Query<DeleteAsset>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let expected = conditional::expected_version(&request);
    assets::delete(&app, &caller.0, path.1, expected, query.0.force.unwrap_or(false)).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Restore a deleted file
///
/// Within some days of its deletion (`assets.deletion_grace`). Counts against the plan again.
#[utoipa::path(
    tag = "Assets",
    operation_id = "restoreAsset",
    params(("tenantId" = TenantId, Path), ("assetId" = AssetId, Path)),
    responses(
        (status = 200, body = AssetView, headers(("ETag" = String))),
        (status = 402, description = "The plan does not include so much storage.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "It is not deleted, or another request changed it at the same moment.", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["assets:write"])),
)]
#[post("/tenants/{tenantId}/assets/{assetId}/restore")]
async fn restore(
    app: Data<App>,
    caller: Caller,
    path: Path<(TenantId, AssetId)>,
) -> Result<HttpResponse, Problem> {
    caller
        .write(&app.core, async |work| {
            let asset = Assets::new(&mut *work, &caller.0, &app.core.env).restore(path.1).await?;
            Ok(conditional::updated(asset.version, &AssetView::new(&app, asset)))
        })
        .await
}
