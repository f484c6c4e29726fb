//! Navigation of a site.

use actix_web::{
    HttpRequest, HttpResponse, delete, get, post, put,
    web::{Data, Path},
};
use portico_kernel::{List, NavItemId, PageRequest, Permission, TenantId};
use portico_sites::navigation::{NavItem, NavItemUpdate, Navigation, NavigationOrder, NewNavItem};
use portico_web::{
    body::Body,
    caller::Caller,
    conditional,
    problem::{Problem, ProblemBody},
    query::Query,
    response_cache::About,
    routing::{KEYED, MERGE, READ, Routes, WRITE},
    write::WithJson,
};

use super::pages::SiteChoice;
use crate::state::App;

/// Adds the routes.
pub fn configure(config: &mut Routes<'_, '_>) {
    config
        .service(READ, list)
        .service(KEYED, create)
        .service(WRITE, reorder)
        .service(READ, read)
        .service(MERGE, update)
        .service(WRITE, remove);
}

/// List the navigation
///
/// All items of the site, by parent and position; there are at most 100.
#[utoipa::path(
    tag = "Navigation",
    operation_id = "listNavigation",
    params(("tenantId" = TenantId, Path), SiteChoice),
    responses(
        (status = 200, body = List<NavItem>, headers(("ETag" = String))),
        (status = 304, description = "Not changed."),
        (status = 409, description = "The tenant has no site yet.", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["navigation:read"])),
)]
#[get("/tenants/{tenantId}/navigation")]
async fn list(
    app: Data<App>,
    caller: Caller,
    query: Query<SiteChoice>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let find = async || {
        let mut repositories = app.core.reader();
        let items =
            Navigation::new(&mut *repositories, &caller.0, &app.core.env).list(query.0.site_id).await?;
        Ok((whole(items), None))
    };
    app.api
        .responses
        .respond(&request, &caller.0, (About::Navigation, Permission::NavigationRead), find)
        .await
}

/// Create a navigation item
///
/// It links to a page or to a URL, or (with neither) only groups the items under it.
#[utoipa::path(
    tag = "Navigation",
    operation_id = "createNavigationItem",
    params(("tenantId" = TenantId, Path), SiteChoice),
    request_body = NewNavItem,
    responses(
        (status = 201, body = NavItem, headers(("Location" = String), ("ETag" = String))),
        (status = 409, description = "The tenant has no site yet.", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["navigation:write"])),
)]
#[post("/tenants/{tenantId}/navigation")]
async fn create(
    app: Data<App>,
    caller: Caller,
    query: Query<SiteChoice>,
    body: Body<NewNavItem>,
) -> Result<HttpResponse, Problem> {
    caller
        .write(&app.core, async |work| {
            let item =
                Navigation::new(&mut *work, &caller.0, &app.core.env).create(query.0.site_id, body.0).await?;
            let location = format!("/api/v1/tenants/{}/navigation/{}", item.tenant, item.id);
            Ok(conditional::created(&location, item.version, &item))
        })
        .await
}

/// Reorder the navigation
///
/// Names every item of the site once, with the item it is under and its position there.
#[utoipa::path(
    tag = "Navigation",
    operation_id = "reorderNavigation",
    params(("tenantId" = TenantId, Path), SiteChoice),
    request_body = NavigationOrder,
    responses(
        (status = 200, body = List<NavItem>),
        (status = 409, description = "The tenant has no site yet.", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["navigation:write"])),
)]
#[put("/tenants/{tenantId}/navigation/reorder")]
async fn reorder(
    app: Data<App>,
    caller: Caller,
    query: Query<SiteChoice>,
    body: Body<NavigationOrder>,
) -> Result<HttpResponse, Problem> {
    caller
        .write(&app.core, async |work| {
            let items = Navigation::new(&mut *work, &caller.0, &app.core.env)
                .reorder(query.0.site_id, body.0)
                .await?;
            Ok(HttpResponse::Ok().with_json(&whole(items)))
        })
        .await
}

/// Read a navigation item
#[utoipa::path(
    tag = "Navigation",
    operation_id = "getNavigationItem",
    params(("tenantId" = TenantId, Path), ("navItemId" = NavItemId, Path)),
    responses((status = 200, body = NavItem, headers(("ETag" = String))), (status = 304, description = "Not changed.")),
    security(("bearer" = ["navigation:read"])),
)]
#[get("/tenants/{tenantId}/navigation/{navItemId}")]
async fn read(
    app: Data<App>,
    caller: Caller,
    path: Path<(TenantId, NavItemId)>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let mut repositories = app.core.reader();
    let item = Navigation::new(&mut *repositories, &caller.0, &app.core.env).get(path.1).await?;
    conditional::resource(&request, item.version, &item)
}

/// Update a navigation item
///
/// `null` clears `pageId`, `url` and `parentId`; setting one of `pageId` and `url` clears the other.
#[utoipa::path(
    tag = "Navigation",
    operation_id = "updateNavigationItem",
    params(("tenantId" = TenantId, Path), ("navItemId" = NavItemId, Path), ("If-Match" = Option<String>, Header)),
    request_body = NavItemUpdate,
    responses(
        (status = 200, body = NavItem, headers(("ETag" = String))),
        (status = 409, description = "Another request changed it at the same moment.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 412, description = "Changed since it was read.", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["navigation:write"])),
)]
#[put("/tenants/{tenantId}/navigation/{navItemId}")]
async fn update(
    app: Data<App>,
    caller: Caller,
    path: Path<(TenantId, NavItemId)>,
    request: HttpRequest,
    body: Body<NavItemUpdate>,
) -> Result<HttpResponse, Problem> {
    let expected = conditional::expected_version(&request);
    caller
        .write(&app.core, async |work| {
            let item = Navigation::new(&mut *work, &caller.0, &app.core.env)
                .update(path.1, body.0, expected)
                .await?;
            Ok(conditional::updated(item.version, &item))
        })
        .await
}

/// Delete a navigation item
///
/// With everything under it.
#[utoipa::path(
    tag = "Navigation",
    operation_id = "deleteNavigationItem",
    params(("tenantId" = TenantId, Path), ("navItemId" = NavItemId, Path), ("If-Match" = Option<String>, Header)),
    responses(
        (status = 204, description = "Deleted."),
        (status = 412, description = "Changed since it was read.", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["navigation:write"])),
)]
#[delete("/tenants/{tenantId}/navigation/{navItemId}")]
async fn remove(
    app: Data<App>,
    caller: Caller,
    path: Path<(TenantId, NavItemId)>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let expected = conditional::expected_version(&request);
    caller
        .write(&app.core, async |work| {
            Navigation::new(&mut *work, &caller.0, &app.core.env).delete(path.1, expected).await?;
            Ok(HttpResponse::NoContent().finish())
        })
        .await
}

/// A list that always fits on one page.
fn whole(items: Vec<NavItem>) -> List<NavItem> {
    let total = items.len() as u64;
    List::new(items, PageRequest { page: 1, limit: PageRequest::MAX_LIMIT }, total)
}
