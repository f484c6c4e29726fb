//! Sites.

use actix_web::{
    HttpRequest, HttpResponse, Responder, delete, get, post, put,
    web::{Data, Path},
};
use portico_kernel::{List, SiteId};
use portico_sites::{
    domain::Domains,
    ports::{SiteFilter, Sort, SortKey},
    site::{NewSite, Site, SiteStatus, SiteUpdate, Sites},
};
use portico_web::{
    body::Body,
    caller::Caller,
    conditional,
    list::Listed,
    problem::{Problem, ProblemBody},
    query::{Paged, Paging, sort},
    routing::{KEYED, MERGE, READ, Routes, WRITE},
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::state::App;

/// Adds the routes.
pub fn configure(config: &mut Routes<'_, '_>) {
    config
        .service(READ, list)
        .service(KEYED, create)
        .service(READ, read)
        .service(MERGE, update)
        .service(WRITE, remove);
}

/// A site and its URL.
#[derive(Serialize, ToSchema)]
pub struct SiteView {
    #[serde(flatten)]
    site: Site,
    /// URL of the site once it is deployed, without a trailing slash.
    #[schema(example = "http://luz.localhost:7600")]
    url: String,
}

impl SiteView {
    /// The site as clients see it.
    pub fn new(app: &App, site: Site) -> Self {
        Self { url: app.hosting.addresses.site_address(&site), site }
    }
}

/// Query of the list of sites.
#[derive(Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
struct ListSites {
    /// A part of the name or the subdomain.
    #[param(example = "luz")]
    q: Option<String>,
    /// Status of the site.
    status: Option<SiteStatus>,
    /// `createdAt`, `updatedAt` or `name`; with a `-` before it in descending order. `-createdAt` where absent.
    #[param(example = "-createdAt")]
    sort: Option<String>,
}

/// List sites
#[utoipa::path(
    tag = "Sites",
    operation_id = "listSites",
    params(ListSites, Paging),
    responses((status = 200, body = List<SiteView>)),
    security(("bearer" = ["sites:read"])),
)]
#[get("/sites")]
async fn list(app: Data<App>, caller: Caller, query: Paged<ListSites>) -> Result<impl Responder, Problem> {
    let Paged(ListSites { q, status, sort: by }, paging) = query;
    let page = paging.request()?;
    let keys =
        [("createdAt", SortKey::CreatedAt), ("updatedAt", SortKey::UpdatedAt), ("name", SortKey::Name)];
    let order = sort(by.as_deref(), &keys)?.map(|(key, descending)| Sort { key, descending });
    let filter = SiteFilter { q, status, sort: order.unwrap_or_default() };
    let mut repositories = app.core.reader();
    let sites = Sites::new(&mut *repositories, &caller.0, &app.core.env).list(filter, page).await?;
    let items: Vec<SiteView> = sites.items.into_iter().map(|site| SiteView::new(&app, site)).collect();
    Ok(Listed(List::new(items, page, sites.total)))
}

/// Create a site
///
/// Counts against the plan of the tenant.
#[utoipa::path(
    tag = "Sites",
    operation_id = "createSite",
    request_body = NewSite,
    responses(
        (status = 201, body = SiteView, headers(("Location" = String), ("ETag" = String))),
        (status = 402, description = "The plan includes no more sites.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "The subdomain is taken.", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["sites:write"])),
)]
#[post("/sites")]
async fn create(app: Data<App>, caller: Caller, body: Body<NewSite>) -> Result<HttpResponse, Problem> {
    caller
        .write(&app.core, async |work| {
            let site = Sites::new(&mut *work, &caller.0, &app.core.env).create(body.0).await?;
            let version = site.version;
            Ok(conditional::created(
                &format!("/api/v1/sites/{}", site.id),
                version,
                &SiteView::new(&app, site),
            ))
        })
        .await
}

/// Read a site
#[utoipa::path(
    tag = "Sites",
    operation_id = "getSite",
    params(("siteId" = SiteId, Path)),
    responses((status = 200, body = SiteView, headers(("ETag" = String))), (status = 304, description = "Not changed.")),
    security(("bearer" = ["sites:read"])),
)]
#[get("/sites/{siteId}")]
async fn read(
    app: Data<App>,
    caller: Caller,
    path: Path<SiteId>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let mut repositories = app.core.reader();
    let site = Sites::new(&mut *repositories, &caller.0, &app.core.env).get(*path).await?;
    conditional::resource(&request, site.version, &SiteView::new(&app, site))
}

/// Update a site
#[utoipa::path(
    tag = "Sites",
    operation_id = "updateSite",
    params(("siteId" = SiteId, Path), ("If-Match" = Option<String>, Header)),
    request_body = SiteUpdate,
    responses(
        (status = 200, body = SiteView, headers(("ETag" = String))),
        (status = 409, description = "The subdomain is taken, or another request changed the site at the same moment.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 412, description = "Changed since it was read.", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["sites:write"])),
)]
#[put("/sites/{siteId}")]
async fn update(
    app: Data<App>,
    caller: Caller,
    path: Path<SiteId>,
    request: HttpRequest,
    body: Body<SiteUpdate>,
) -> Result<HttpResponse, Problem> {
    let expected = conditional::expected_version(&request);
    caller
        .write(&app.core, async |work| {
            let site =
                Sites::new(&mut *work, &caller.0, &app.core.env).update(*path, body.0, expected).await?;
            let version = site.version;
            Ok(conditional::updated(version, &SiteView::new(&app, site)))
        })
        .await
}

/// Delete a site
///
/// With its pages and deployments.
#[utoipa::path(
    tag = "Sites",
    operation_id = "deleteSite",
    params(("siteId" = SiteId, Path), ("If-Match" = Option<String>, Header)),
    responses(
        (status = 204, description = "Deleted."),
        (status = 412, description = "Changed since it was read.", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["sites:delete"])),
)]
#[delete("/sites/{siteId}")]
async fn remove(
    app: Data<App>,
    caller: Caller,
    path: Path<SiteId>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let expected = conditional::expected_version(&request);
    caller
        .write(&app.core, async |work| {
            // Before the site, whose deletion would remove them without returning their count to the plan.
            Domains::new(&mut *work, &caller.0, &app.core.env).remove_all(*path).await?;
            Sites::new(&mut *work, &caller.0, &app.core.env).delete(*path, expected).await?;
            Ok(HttpResponse::NoContent().finish())
        })
        .await
}
