//! Versions of pages.

use actix_web::{
    HttpRequest, HttpResponse, Responder, get, post,
    web::{Data, Path},
};
use portico_kernel::{CursorPage, PageId, PageVersionId, TenantId};
use portico_sites::{
    page::Page,
    page_version::{Comparison, FullPageVersion, PageVersion, PageVersions},
};
use portico_web::{
    caller::Caller,
    conditional,
    list::Listed,
    problem::{Problem, ProblemBody},
    query::{Query, cursor_request},
    routing::{KEYED, READ, Routes},
    write::WithJson,
};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::state::App;

/// Adds the routes.
pub fn configure(config: &mut Routes<'_, '_>) {
    // Before `read`, which would take `compare` for the id of a version.
    config.service(READ, list).service(READ, compare).service(READ, read).service(KEYED, restore);
}

/// Query of the list of versions.
#[derive(Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
struct ListVersions {
    /// The `nextCursor` of the previous page.
    #[param(format = "uuid")]
    cursor: Option<String>,
    /// Items on a page, 20 where absent.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u64>,
}

/// The versions to compare.
#[derive(Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
struct CompareVersions {
    /// Id of the earlier version; the one just before the later one where absent.
    from: Option<PageVersionId>,
    /// Id of the later version; the current page where absent.
    to: Option<PageVersionId>,
}

/// List the versions of a page
///
/// Newest first; the first one is the current page. Each transaction that changes the page, its sections or its SEO
/// metadata creates one. About the last hundred are kept.
#[utoipa::path(
    tag = "Pages",
    operation_id = "listPageVersions",
    params(("tenantId" = TenantId, Path), ("pageId" = PageId, Path), ListVersions),
    responses((status = 200, body = CursorPage<PageVersion>)),
    security(("bearer" = ["pages:read"])),
)]
#[get("/tenants/{tenantId}/pages/{pageId}/versions")]
async fn list(
    app: Data<App>,
    caller: Caller,
    path: Path<(TenantId, PageId)>,
    query: Query<ListVersions>,
) -> Result<impl Responder, Problem> {
    let request = cursor_request(query.0.cursor, query.0.limit)?;
    let mut repositories = app.core.reader();
    let versions =
        PageVersions::new(&mut *repositories, &caller.0, &app.core.env).list(path.1, request).await?;
    Ok(Listed(versions))
}

/// Compare two versions of a page
///
/// Lists the differences field by field.
#[utoipa::path(
    tag = "Pages",
    operation_id = "comparePageVersions",
    params(("tenantId" = TenantId, Path), ("pageId" = PageId, Path), CompareVersions),
    responses((status = 200, body = Comparison)),
    security(("bearer" = ["pages:read"])),
)]
#[get("/tenants/{tenantId}/pages/{pageId}/versions/compare")]
async fn compare(
    app: Data<App>,
    caller: Caller,
    path: Path<(TenantId, PageId)>,
    query: Query<CompareVersions>,
) -> Result<HttpResponse, Problem> {
    let mut repositories = app.core.reader();
    let mut versions = PageVersions::new(&mut *repositories, &caller.0, &app.core.env);
    Ok(HttpResponse::Ok().with_json(&versions.compare(path.1, query.0.from, query.0.to).await?))
}

/// Read a version of a page
///
/// The page, its sections and its SEO metadata in that version.
#[utoipa::path(
    tag = "Pages",
    operation_id = "getPageVersion",
    params(("tenantId" = TenantId, Path), ("pageId" = PageId, Path), ("versionId" = PageVersionId, Path)),
    responses((status = 200, body = FullPageVersion)),
    security(("bearer" = ["pages:read"])),
)]
#[get("/tenants/{tenantId}/pages/{pageId}/versions/{versionId}")]
async fn read(
    app: Data<App>,
    caller: Caller,
    path: Path<(TenantId, PageId, PageVersionId)>,
) -> Result<HttpResponse, Problem> {
    let mut repositories = app.core.reader();
    let version = PageVersions::new(&mut *repositories, &caller.0, &app.core.env).get(path.1, path.2).await?;
    Ok(HttpResponse::Ok().with_json(&version))
}

/// Restore a version of a page
///
/// Title, slug, language, sections and SEO metadata are restored, as a new version. Status, home mark and time of
/// publication stay: restoring never publishes.
#[utoipa::path(
    tag = "Pages",
    operation_id = "restorePageVersion",
    params(("tenantId" = TenantId, Path), ("pageId" = PageId, Path), ("versionId" = PageVersionId, Path), ("If-Match" = Option<String>, Header)),
    responses(
        (status = 200, body = Page, headers(("ETag" = String))),
        (status = 409, description = "Another page has the slug by now, or another request changed the page at the same moment.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 412, description = "Changed since it was read.", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["pages:write"])),
)]
#[post("/tenants/{tenantId}/pages/{pageId}/versions/{versionId}/restore")]
async fn restore(
    app: Data<App>,
    caller: Caller,
    path: Path<(TenantId, PageId, PageVersionId)>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let expected = conditional::expected_version(&request);
    caller
        .write(&app.core, async |work| {
            let mut versions = PageVersions::new(&mut *work, &caller.0, &app.core.env);
            let page = versions.restore(path.1, path.2, expected).await?;
            Ok(conditional::updated(page.version, &page))
        })
        .await
}
