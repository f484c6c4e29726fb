//! Application of templates by customers, and comparison with the result.

use actix_web::{
    HttpRequest, HttpResponse, get,
    http::header,
    post,
    web::{Data, Path},
};
use portico_kernel::{PageId, SiteId, TemplateId, TenantId};
use portico_sites::{
    page::Page,
    section::{SamplePlace, StockPicture},
    template::{PageReset, PageTemplate, TemplateApplication, Templates},
};
use portico_web::{
    body::{Body, OptionalBody},
    caller::Caller,
    conditional,
    problem::{Problem, ProblemBody},
    routing::{KEYED, READ, Routes},
    write::WithJson,
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{flows::templates, routes::sites::SiteView, state::App};

/// Adds the routes.
pub fn configure(config: &mut Routes<'_, '_>) {
    config.service(KEYED, apply).service(READ, page_state).service(KEYED, reset);
}

/// The result of applying a template.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct AppliedTemplate {
    /// Id of the template.
    template_id: TemplateId,
    /// Id of the site.
    site_id: SiteId,
    /// The site, if it is new.
    site: Option<SiteView>,
    /// The pages that were created, or the one whose sections were replaced.
    pages: Vec<Page>,
    /// Number of sections on these pages.
    sections: usize,
    /// Number of sections that were replaced.
    replaced_sections: usize,
    /// The sections that show the template's example. Each is to be edited, confirmed or deleted before it is published.
    sample_content: Vec<SamplePlace>,
    /// The fields that show pictures of our library, where the owner may put pictures of their own.
    stock_pictures: Vec<StockPicture>,
}

/// Apply a template
///
/// To a page: all of its sections are replaced, SEO metadata and title stay. To a site: the pages of the template are added
/// to its own. Or to a new site, which counts against the plan. The content is an example: a deployment refuses it until it
/// is edited or confirmed, section by section or with the deployment. Each section records what it was made from, see `GET
/// /tenants/{tenantId}/pages/{pageId}/template`. A site also requires `navigation:write`, a new one also `sites:write`.
#[utoipa::path(
    tag = "Templates",
    operation_id = "applyTemplate",
    params(("templateId" = String, Path, description = "Id or slug.")),
    request_body(content = TemplateApplication, example = json!({"siteName": "Panadería Luz"})),
    responses(
        (status = 200, description = "The sections of the page were replaced.", body = AppliedTemplate),
        (status = 201, description = "Pages were made.", body = AppliedTemplate, headers(("Location" = String))),
        (status = 402, description = "The plan has no premium templates (`plan_required`), or includes no more sites (`quota_exceeded`); `plan` names the one that would do.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "The subdomain is taken, or another request changed the page at the same moment.", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["pages:write"])),
)]
#[post("/templates/{templateId}/apply")]
async fn apply(
    app: Data<App>,
    caller: Caller,
    path: Path<String>,
    body: Body<TemplateApplication>,
) -> Result<HttpResponse, Problem> {
    let to_page = body.0.page_id.is_some();
    caller
        .write(&app.core, async |work| {
            let (template, applied) = templates::apply(work, &app.core.env, &caller.0, &path, body.0).await?;
            let location = match (&applied.new_site, applied.pages.first()) {
                (Some(site), _) => format!("/api/v1/sites/{}", site.id),
                (None, Some(page)) => format!("/api/v1/tenants/{}/pages/{}", page.tenant, page.id),
                (None, None) => format!("/api/v1/sites/{}", applied.site_id),
            };
            let view = AppliedTemplate {
                template_id: template,
                site_id: applied.site_id,
                site: applied.new_site.map(|site| SiteView::new(&app, site)),
                pages: applied.pages,
                sections: applied.sections,
                replaced_sections: applied.replaced_sections,
                sample_content: applied.review.sample_content,
                stock_pictures: applied.review.stock_pictures,
            };
            if to_page {
                return Ok(HttpResponse::Ok().with_json(&view));
            }
            Ok(HttpResponse::Created().insert_header((header::LOCATION, location)).with_json(&view))
        })
        .await
}

/// Compare a page with its template
///
/// For each section, the fields customised since the page was made from a template, and which sections were added or
/// removed.
#[utoipa::path(
    tag = "Templates",
    operation_id = "getPageTemplate",
    params(("tenantId" = TenantId, Path), ("pageId" = PageId, Path)),
    responses((status = 200, body = PageTemplate)),
    security(("bearer" = ["pages:read"])),
)]
#[get("/tenants/{tenantId}/pages/{pageId}/template")]
async fn page_state(
    app: Data<App>,
    caller: Caller,
    path: Path<(TenantId, PageId)>,
) -> Result<HttpResponse, Problem> {
    let mut repositories = app.core.reader();
    let state = Templates::new(&mut *repositories, &caller.0, &app.core.env).state(path.1).await?;
    Ok(HttpResponse::Ok().with_json(&state))
}

/// Reset a page to its template
///
/// Resets the whole page, a section, or one field of a section to the template as it was when the page was made from it.
/// The whole page loses the sections that were added. A section that was removed is restored, with a new id. `If-Match` is
/// about the section if one is named, otherwise about the page.
#[utoipa::path(
    tag = "Templates",
    operation_id = "resetPage",
    params(("tenantId" = TenantId, Path), ("pageId" = PageId, Path), ("If-Match" = Option<String>, Header)),
    request_body(content = Option<PageReset>, example = json!({"sectionId": "0199f3c2-6d4e-7c3a-9d7c-5a8e1f2b3c4d", "field": "heading"})),
    responses(
        (status = 200, body = PageTemplate),
        (status = 409, description = "It was not made from a template, or another request changed it at the same moment.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 412, description = "Changed since it was read.", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["pages:write"])),
)]
#[post("/tenants/{tenantId}/pages/{pageId}/reset")]
async fn reset(
    app: Data<App>,
    caller: Caller,
    path: Path<(TenantId, PageId)>,
    request: HttpRequest,
    body: OptionalBody<PageReset>,
) -> Result<HttpResponse, Problem> {
    let expected = conditional::expected_version(&request);
    caller
        .write(&app.core, async |work| {
            let state =
                Templates::new(&mut *work, &caller.0, &app.core.env).reset(path.1, body.0, expected).await?;
            Ok(HttpResponse::Ok().with_json(&state))
        })
        .await
}
