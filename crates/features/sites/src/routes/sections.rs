//! Sections of a page.

use actix_web::{
    HttpRequest, HttpResponse, delete, get, post, put,
    web::{Data, Path},
};
use portico_kernel::{List, PageId, PageRequest, SectionId, TenantId};
use portico_sites::section::{BulkChange, NewSection, Section, SectionOrder, SectionUpdate, Sections};
use portico_web::{
    body::Body,
    caller::Caller,
    conditional,
    problem::{Problem, ProblemBody},
    routing::{KEYED, MERGE, READ, Routes, WRITE},
    write::WithJson,
};

use crate::state::App;

/// Adds the routes.
pub fn configure(config: &mut Routes<'_, '_>) {
    config
        .service(READ, list)
        .service(KEYED, create)
        .service(WRITE, reorder)
        .service(KEYED, bulk)
        .service(READ, read)
        .service(MERGE, update)
        .service(WRITE, remove);
}

/// List sections
///
/// All of the page, by position; there are at most 100.
#[utoipa::path(
    tag = "Sections",
    operation_id = "listSections",
    params(("tenantId" = TenantId, Path), ("pageId" = PageId, Path)),
    responses((status = 200, body = List<Section>)),
    security(("bearer" = ["pages:read"])),
)]
#[get("/tenants/{tenantId}/pages/{pageId}/sections")]
async fn list(
    app: Data<App>,
    caller: Caller,
    path: Path<(TenantId, PageId)>,
) -> Result<HttpResponse, Problem> {
    let mut repositories = app.core.reader();
    let sections = Sections::new(&mut *repositories, &caller.0, &app.core.env).list(path.1).await?;
    Ok(HttpResponse::Ok().with_json(&whole(sections)))
}

/// Create a section
#[utoipa::path(
    tag = "Sections",
    operation_id = "createSection",
    params(("tenantId" = TenantId, Path), ("pageId" = PageId, Path)),
    request_body = NewSection,
    responses((status = 201, body = Section, headers(("Location" = String), ("ETag" = String)))),
    security(("bearer" = ["pages:write"])),
)]
#[post("/tenants/{tenantId}/pages/{pageId}/sections")]
async fn create(
    app: Data<App>,
    caller: Caller,
    path: Path<(TenantId, PageId)>,
    body: Body<NewSection>,
) -> Result<HttpResponse, Problem> {
    caller
        .write(&app.core, async |work| {
            let section = Sections::new(&mut *work, &caller.0, &app.core.env).create(path.1, body.0).await?;
            let location = format!(
                "/api/v1/tenants/{}/pages/{}/sections/{}",
                section.tenant, section.page_id, section.id
            );
            Ok(conditional::created(&location, section.version, &section))
        })
        .await
}

/// Reorder sections
///
/// Names every section of the page once, in the new order.
#[utoipa::path(
    tag = "Sections",
    operation_id = "reorderSections",
    params(("tenantId" = TenantId, Path), ("pageId" = PageId, Path)),
    request_body = SectionOrder,
    responses((status = 200, body = List<Section>)),
    security(("bearer" = ["pages:write"])),
)]
#[put("/tenants/{tenantId}/pages/{pageId}/sections/reorder")]
async fn reorder(
    app: Data<App>,
    caller: Caller,
    path: Path<(TenantId, PageId)>,
    body: Body<SectionOrder>,
) -> Result<HttpResponse, Problem> {
    caller
        .write(&app.core, async |work| {
            let sections =
                Sections::new(&mut *work, &caller.0, &app.core.env).reorder(path.1, body.0).await?;
            Ok(HttpResponse::Ok().with_json(&whole(sections)))
        })
        .await
}

/// Change several sections at once
///
/// All changes or, if any is invalid, none. Answers all sections of the page.
#[utoipa::path(
    tag = "Sections",
    operation_id = "bulkChangeSections",
    params(("tenantId" = TenantId, Path), ("pageId" = PageId, Path)),
    request_body = BulkChange,
    responses((status = 200, body = List<Section>)),
    security(("bearer" = ["pages:write"])),
)]
#[post("/tenants/{tenantId}/pages/{pageId}/sections/bulk")]
async fn bulk(
    app: Data<App>,
    caller: Caller,
    path: Path<(TenantId, PageId)>,
    body: Body<BulkChange>,
) -> Result<HttpResponse, Problem> {
    caller
        .write(&app.core, async |work| {
            let sections = Sections::new(&mut *work, &caller.0, &app.core.env).bulk(path.1, body.0).await?;
            Ok(HttpResponse::Ok().with_json(&whole(sections)))
        })
        .await
}

/// Read a section
#[utoipa::path(
    tag = "Sections",
    operation_id = "getSection",
    params(("tenantId" = TenantId, Path), ("pageId" = PageId, Path), ("sectionId" = SectionId, Path)),
    responses((status = 200, body = Section, headers(("ETag" = String)))),
    security(("bearer" = ["pages:read"])),
)]
#[get("/tenants/{tenantId}/pages/{pageId}/sections/{sectionId}")]
async fn read(
    app: Data<App>,
    caller: Caller,
    path: Path<(TenantId, PageId, SectionId)>,
) -> Result<HttpResponse, Problem> {
    let mut repositories = app.core.reader();
    let section = Sections::new(&mut *repositories, &caller.0, &app.core.env).get(path.1, path.2).await?;
    // Never 304: when its neighbours move, the position of a section changes, and its version does not.
    Ok(conditional::updated(section.version, &section))
}

/// Update a section
#[utoipa::path(
    tag = "Sections",
    operation_id = "updateSection",
    params(
        ("tenantId" = TenantId, Path), ("pageId" = PageId, Path), ("sectionId" = SectionId, Path),
        ("If-Match" = Option<String>, Header),
    ),
    request_body = SectionUpdate,
    responses(
        (status = 200, body = Section, headers(("ETag" = String))),
        (status = 409, description = "Another request changed it at the same moment.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 412, description = "Changed since it was read.", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["pages:write"])),
)]
#[put("/tenants/{tenantId}/pages/{pageId}/sections/{sectionId}")]
async fn update(
    app: Data<App>,
    caller: Caller,
    path: Path<(TenantId, PageId, SectionId)>,
    request: HttpRequest,
    body: Body<SectionUpdate>,
) -> Result<HttpResponse, Problem> {
    let expected = conditional::expected_version(&request);
    caller
        .write(&app.core, async |work| {
            let section = Sections::new(&mut *work, &caller.0, &app.core.env)
                .update(path.1, path.2, body.0, expected)
                .await?;
            Ok(conditional::updated(section.version, &section))
        })
        .await
}

/// Delete a section
#[utoipa::path(
    tag = "Sections",
    operation_id = "deleteSection",
    params(
        ("tenantId" = TenantId, Path), ("pageId" = PageId, Path), ("sectionId" = SectionId, Path),
        ("If-Match" = Option<String>, Header),
    ),
    responses(
        (status = 204, description = "Deleted."),
        (status = 412, description = "Changed since it was read.", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["pages:write"])),
)]
#[delete("/tenants/{tenantId}/pages/{pageId}/sections/{sectionId}")]
async fn remove(
    app: Data<App>,
    caller: Caller,
    path: Path<(TenantId, PageId, SectionId)>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let expected = conditional::expected_version(&request);
    caller
        .write(&app.core, async |work| {
            Sections::new(&mut *work, &caller.0, &app.core.env).delete(path.1, path.2, expected).await?;
            Ok(HttpResponse::NoContent().finish())
        })
        .await
}

/// A list that always fits on one page.
fn whole(sections: Vec<Section>) -> List<Section> {
    let total = sections.len() as u64;
    List::new(sections, PageRequest { page: 1, limit: PageRequest::MAX_LIMIT }, total)
}
