//! Pages.

use actix_web::{
    HttpRequest, HttpResponse, Responder, delete, get, post, put,
    web::{Data, Path},
};
use portico_kernel::{List, PageId, Permission, SiteId, TenantId};
use portico_sites::{
    page::{NewPage, Page, PageStatus, PageUpdate, Pages},
    ports::{PageFilter, Sort, SortKey},
};
use portico_web::{
    body::Body,
    caller::Caller,
    conditional,
    list::Listed,
    problem::{Problem, ProblemBody},
    query::{Paged, Paging, Query, sort},
    response_cache::About,
    routing::{KEYED, MERGE, READ, Routes, WRITE},
};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::state::App;

/// Adds the routes.
pub fn configure(config: &mut Routes<'_, '_>) {
    config
        .service(READ, list)
        .service(KEYED, create)
        .service(READ, by_slug)
        .service(KEYED, duplicate)
        .service(READ, read)
        .service(MERGE, update)
        .service(WRITE, remove);
}

/// Selects a site.
#[derive(Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub struct SiteChoice {
    /// Id of the site; the tenant's primary (oldest) one where absent.
    pub site_id: Option<SiteId>,
}

/// Query of the list of pages.
#[derive(Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
struct ListPages {
    /// Id of the site; the tenant's primary (oldest) one where absent.
    site_id: Option<SiteId>,
    /// A part of the title or the slug.
    #[param(example = "about")]
    q: Option<String>,
    /// Status of the page.
    status: Option<PageStatus>,
    /// `createdAt`, `updatedAt` or `title`; with a `-` before it in descending order. `-createdAt` where absent.
    #[param(example = "title")]
    sort: Option<String>,
}

/// List pages
#[utoipa::path(
    tag = "Pages",
    operation_id = "listPages",
    params(("tenantId" = TenantId, Path), ListPages, Paging),
    responses(
        (status = 200, body = List<Page>, headers(("ETag" = String))),
        (status = 304, description = "Not changed."),
        (status = 409, description = "The tenant has no site yet.", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["pages:read"])),
)]
#[get("/tenants/{tenantId}/pages")]
async fn list(
    app: Data<App>,
    caller: Caller,
    query: Paged<ListPages>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let Paged(ListPages { site_id, q, status, sort: by }, paging) = query;
    let page = paging.request()?;
    let keys =
        [("createdAt", SortKey::CreatedAt), ("updatedAt", SortKey::UpdatedAt), ("title", SortKey::Name)];
    let order = sort(by.as_deref(), &keys)?.map(|(key, descending)| Sort { key, descending });
    let filter = PageFilter { q, status, sort: order.unwrap_or_default() };
    // Searches are rarely repeated, so they are not cached.
    let is_search = filter.q.is_some();
    let find = async || {
        let mut repositories = app.core.reader();
        Ok(Pages::new(&mut *repositories, &caller.0, &app.core.env).list(site_id, filter, page).await?)
    };
    if is_search {
        return find().await.map(|pages: List<Page>| Listed(pages).respond_to(&request));
    }
    app.api.responses.respond_list(&request, &caller.0, (About::PageList, Permission::PagesRead), find).await
}

/// Create a page
#[utoipa::path(
    tag = "Pages",
    operation_id = "createPage",
    params(("tenantId" = TenantId, Path), SiteChoice),
    request_body = NewPage,
    responses(
        (status = 201, body = Page, headers(("Location" = String), ("ETag" = String))),
        (status = 409, description = "The slug is taken, or the tenant has no site yet.", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["pages:write"])),
)]
#[post("/tenants/{tenantId}/pages")]
async fn create(
    app: Data<App>,
    caller: Caller,
    query: Query<SiteChoice>,
    body: Body<NewPage>,
) -> Result<HttpResponse, Problem> {
    caller
        .write(&app.core, async |work| {
            let page =
                Pages::new(&mut *work, &caller.0, &app.core.env).create(query.0.site_id, body.0).await?;
            Ok(conditional::created(&location(&page), page.version, &page))
        })
        .await
}

/// Read a page by its slug
#[utoipa::path(
    tag = "Pages",
    operation_id = "getPageBySlug",
    params(("tenantId" = TenantId, Path), ("slug" = String, Path), SiteChoice),
    responses((status = 200, body = Page, headers(("ETag" = String))), (status = 304, description = "Not changed.")),
    security(("bearer" = ["pages:read"])),
)]
#[get("/tenants/{tenantId}/pages/slug/{slug}")]
async fn by_slug(
    app: Data<App>,
    caller: Caller,
    path: Path<(String, String)>,
    query: Query<SiteChoice>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let find = async || {
        let mut repositories = app.core.reader();
        let mut pages = Pages::new(&mut *repositories, &caller.0, &app.core.env);
        let page = pages.by_slug(query.0.site_id, &path.1).await?;
        let version = page.version;
        Ok((page, Some(version)))
    };
    app.api.responses.respond(&request, &caller.0, (About::Page, Permission::PagesRead), find).await
}

/// Duplicate a page
///
/// A draft with the same sections; its slug ends in `-copy`.
#[utoipa::path(
    tag = "Pages",
    operation_id = "duplicatePage",
    params(("tenantId" = TenantId, Path), ("pageId" = PageId, Path)),
    responses(
        (status = 201, body = Page, headers(("Location" = String), ("ETag" = String))),
        (status = 409, description = "The slug was taken at the same moment.", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["pages:write"])),
)]
#[post("/tenants/{tenantId}/pages/{pageId}/duplicate")]
async fn duplicate(
    app: Data<App>,
    caller: Caller,
    path: Path<(TenantId, PageId)>,
) -> Result<HttpResponse, Problem> {
    caller
        .write(&app.core, async |work| {
            let page = Pages::new(&mut *work, &caller.0, &app.core.env).duplicate(path.1).await?;
            Ok(conditional::created(&location(&page), page.version, &page))
        })
        .await
}

/// Read a page
#[utoipa::path(
    tag = "Pages",
    operation_id = "getPage",
    params(("tenantId" = TenantId, Path), ("pageId" = PageId, Path)),
    responses((status = 200, body = Page, headers(("ETag" = String))), (status = 304, description = "Not changed.")),
    security(("bearer" = ["pages:read"])),
)]
#[get("/tenants/{tenantId}/pages/{pageId}")]
async fn read(
    app: Data<App>,
    caller: Caller,
    path: Path<(TenantId, PageId)>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let find = async || {
        let mut repositories = app.core.reader();
        let page = Pages::new(&mut *repositories, &caller.0, &app.core.env).get(path.1).await?;
        let version = page.version;
        Ok((page, Some(version)))
    };
    app.api.responses.respond(&request, &caller.0, (About::Page, Permission::PagesRead), find).await
}

/// Update a page
///
/// A page with the status `published` becomes part of the next deployment.
#[utoipa::path(
    tag = "Pages",
    operation_id = "updatePage",
    params(("tenantId" = TenantId, Path), ("pageId" = PageId, Path), ("If-Match" = Option<String>, Header)),
    request_body = PageUpdate,
    responses(
        (status = 200, body = Page, headers(("ETag" = String))),
        (status = 403, description = "Not allowed; `email_unverified` for `publishAt` while the address of the account, or of the user who made the API key, is not verified."),
        (status = 409, description = "The slug is taken, or another request changed the page at the same moment.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 412, description = "Changed since it was read.", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["pages:write"])),
)]
#[put("/tenants/{tenantId}/pages/{pageId}")]
async fn update(
    app: Data<App>,
    caller: Caller,
    path: Path<(TenantId, PageId)>,
    request: HttpRequest,
    body: Body<PageUpdate>,
) -> Result<HttpResponse, Problem> {
    let expected = conditional::expected_version(&request);
    caller
        .write(&app.core, async |work| {
            let page =
                Pages::new(&mut *work, &caller.0, &app.core.env).update(path.1, body.0, expected).await?;
            Ok(conditional::updated(page.version, &page))
        })
        .await
}

/// Delete a page
///
/// With its sections and the navigation items that link to it.
#[utoipa::path(
    tag = "Pages",
    operation_id = "deletePage",
    params(("tenantId" = TenantId, Path), ("pageId" = PageId, Path), ("If-Match" = Option<String>, Header)),
    responses(
        (status = 204, description = "Deleted."),
        (status = 412, description = "Changed since it was read.", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["pages:write"])),
)]
#[delete("/tenants/{tenantId}/pages/{pageId}")]
async fn remove(
    app: Data<App>,
    caller: Caller,
    path: Path<(TenantId, PageId)>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let expected = conditional::expected_version(&request);
    caller
        .write(&app.core, async |work| {
            Pages::new(&mut *work, &caller.0, &app.core.env).delete(path.1, expected).await?;
            Ok(HttpResponse::NoContent().finish())
        })
        .await
}

fn location(page: &Page) -> String {
    format!("/api/v1/tenants/{}/pages/{}", page.tenant, page.id)
}
