//! SEO metadata (for search engines and social networks) of pages.

use actix_web::{
    HttpRequest, HttpResponse, delete, get, put,
    web::{Data, Path},
};
use portico_kernel::{PageId, TenantId};
use portico_sites::seo::{Seo, SeoUpdate, Seos};
use portico_web::{
    body::Body,
    caller::Caller,
    conditional,
    problem::{Problem, ProblemBody},
    routing::{MERGE, READ, Routes, WRITE},
};

use crate::state::App;

/// Adds the routes.
pub fn configure(config: &mut Routes<'_, '_>) {
    config.service(READ, read).service(MERGE, update).service(WRITE, remove);
}

/// Read the SEO metadata of a page
///
/// Null where nothing is set: then it is derived from the page.
#[utoipa::path(
    tag = "SEO",
    operation_id = "getSeo",
    params(("tenantId" = TenantId, Path), ("pageId" = PageId, Path)),
    responses((status = 200, body = Seo, headers(("ETag" = String))), (status = 304, description = "Not changed.")),
    security(("bearer" = ["pages:read"])),
)]
#[get("/tenants/{tenantId}/pages/{pageId}/seo")]
async fn read(
    app: Data<App>,
    caller: Caller,
    path: Path<(TenantId, PageId)>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let (_, page) = path.into_inner();
    let mut repositories = app.core.reader();
    let seo = Seos::new(&mut *repositories, &caller.0, &app.core.env).get(page).await?;
    conditional::resource(&request, seo.version, &seo)
}

/// Update the SEO metadata of a page
///
/// Published pages have it from their next deployment on.
#[utoipa::path(
    tag = "SEO",
    operation_id = "updateSeo",
    params(("tenantId" = TenantId, Path), ("pageId" = PageId, Path), ("If-Match" = Option<String>, Header)),
    request_body(content = SeoUpdate, example = json!({
        "title": "Sourdough bread in Antigua · Millstone Bakery",
        "description": "Bread from our wood-fired oven, every morning from seven.",
        "keywords": ["bakery", "sourdough", "Antigua"],
        "openGraph": {"title": "Fresh bread from seven"},
        "structuredData": {"@type": "Bakery", "servesCuisine": "Bread"},
    })),
    responses(
        (status = 200, body = Seo, headers(("ETag" = String))),
        (status = 409, description = "Another request changed it at the same moment.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 412, description = "Changed since it was read.", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["pages:write"])),
)]
#[put("/tenants/{tenantId}/pages/{pageId}/seo")]
async fn update(
    app: Data<App>,
    caller: Caller,
    path: Path<(TenantId, PageId)>,
    request: HttpRequest,
    body: Body<SeoUpdate>,
) -> Result<HttpResponse, Problem> {
    let (_, page) = path.into_inner();
    let expected = conditional::expected_version(&request);
    caller
        .write(&app.core, async |work| {
            let seo = Seos::new(&mut *work, &caller.0, &app.core.env).update(page, body.0, expected).await?;
            Ok(conditional::updated(seo.version, &seo))
        })
        .await
}

/// Delete the SEO metadata of a page
///
/// It is derived from the page from then on.
#[utoipa::path(
    tag = "SEO",
    operation_id = "deleteSeo",
    params(("tenantId" = TenantId, Path), ("pageId" = PageId, Path), ("If-Match" = Option<String>, Header)),
    responses(
        (status = 204, description = "Nothing is set any more."),
        (status = 409, description = "Another request changed it at the same moment.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 412, description = "Changed since it was read.", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["pages:write"])),
)]
#[delete("/tenants/{tenantId}/pages/{pageId}/seo")]
async fn remove(
    app: Data<App>,
    caller: Caller,
    path: Path<(TenantId, PageId)>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let (_, page) = path.into_inner();
    let expected = conditional::expected_version(&request);
    caller
        .write(&app.core, async |work| {
            Seos::new(&mut *work, &caller.0, &app.core.env).delete(page, expected).await?;
            Ok(HttpResponse::NoContent().finish())
        })
        .await
}
