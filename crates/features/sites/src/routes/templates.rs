//! Website templates: the public catalogue, its administration by staff, and their application by customers.

mod application;
mod preview;

use actix_web::{
    HttpRequest, HttpResponse, Responder, delete, get,
    http::header::{self, HeaderValue},
    post, put,
    web::{Data, Path},
};
use portico_kernel::{List, PageRequest};
use portico_sites::{
    industry::Industry,
    ports::{TemplateFilter, TemplateSort, TemplateSortKey},
    template::{
        CategoryCount, IndustryCount, NewTemplate, Template, TemplateSummary, TemplateUpdate, Templates,
    },
};
use portico_web::{
    body::Body,
    caller::{Caller, Visitor},
    conditional,
    list::Listed,
    problem::{Problem, ProblemBody},
    query::{Paged, Paging, Query, sort},
    routing::{KEYED, MERGE, READ, Routes, WRITE},
    write::WithJson,
};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::state::App;

/// Adds the routes.
pub fn configure(config: &mut Routes<'_, '_>) {
    config
        .service(READ.for_anyone(), list)
        .service(KEYED, create)
        .service(READ.for_anyone(), categories)
        .service(READ.for_anyone(), list_featured)
        .service(READ.for_anyone(), list_popular)
        .service(READ.for_anyone(), of_industry)
        .service(READ.for_anyone(), industries)
        .service(READ.for_anyone(), read)
        .service(MERGE, update)
        .service(WRITE, remove)
        .configure(preview::configure)
        .configure(application::configure);
}

/// Query of the list of templates.
#[derive(Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
struct ListTemplates {
    /// A part of the name, the slug or the description.
    #[param(example = "bread")]
    q: Option<String>,
    /// Category: one of `GET /templates/categories`.
    category: Option<String>,
    /// Industry: one of `GET /industries`.
    #[param(example = "bakery")]
    industry: Option<String>,
    /// Language of the texts.
    #[param(example = "en")]
    language: Option<String>,
    /// Whether they are featured.
    featured: Option<bool>,
    /// Whether only plans with premium templates may use them.
    premium: Option<bool>,
    /// `name`, `popularity` or `createdAt`; with a `-` before it in descending order. `name` where absent.
    #[param(example = "-popularity")]
    sort: Option<String>,
}

/// List templates
///
/// The public catalogue; no sign-in is needed. Without the content of sections.
#[utoipa::path(
    tag = "Templates",
    operation_id = "listTemplates",
    params(ListTemplates, Paging),
    responses((status = 200, body = List<TemplateSummary>)),
)]
#[get("/templates")]
async fn list(
    app: Data<App>,
    visitor: Visitor,
    query: Paged<ListTemplates>,
) -> Result<impl Responder, Problem> {
    let Paged(ListTemplates { q, category, industry, language, featured, premium, sort: by }, paging) = query;
    let page = paging.request()?;
    let keys = [
        ("name", TemplateSortKey::Name),
        ("popularity", TemplateSortKey::Popularity),
        ("createdAt", TemplateSortKey::CreatedAt),
    ];
    let order = sort(by.as_deref(), &keys)?.map(|(key, descending)| TemplateSort { key, descending });
    let sort = order.unwrap_or_default();
    let filter = TemplateFilter { q, category, industry, language, featured, premium, sort };
    listed(&app, &visitor, filter, page).await
}

/// List featured templates
///
/// Templates marked as featured, the most popular first.
#[utoipa::path(
    tag = "Templates",
    operation_id = "listFeaturedTemplates",
    params(Paging),
    responses((status = 200, body = List<TemplateSummary>)),
)]
#[get("/templates/featured")]
async fn list_featured(
    app: Data<App>,
    visitor: Visitor,
    query: Query<Paging>,
) -> Result<impl Responder, Problem> {
    let page = query.0.request()?;
    let filter = TemplateFilter { featured: Some(true), sort: most_popular(), ..TemplateFilter::default() };
    listed(&app, &visitor, filter, page).await
}

/// List popular templates
///
/// By how often they were used, the most popular first.
#[utoipa::path(
    tag = "Templates",
    operation_id = "listPopularTemplates",
    params(Paging),
    responses((status = 200, body = List<TemplateSummary>)),
)]
#[get("/templates/popular")]
async fn list_popular(
    app: Data<App>,
    visitor: Visitor,
    query: Query<Paging>,
) -> Result<impl Responder, Problem> {
    let page = query.0.request()?;
    let filter = TemplateFilter { sort: most_popular(), ..TemplateFilter::default() };
    listed(&app, &visitor, filter, page).await
}

/// List the templates for an industry
///
/// The most popular first. 404 for an industry that is not in `GET /industries`.
#[utoipa::path(
    tag = "Templates",
    operation_id = "listTemplatesOfIndustry",
    params(("industry" = String, Path, example = "bakery"), Paging),
    responses((status = 200, body = List<TemplateSummary>)),
)]
#[get("/templates/industry/{industry}")]
async fn of_industry(
    app: Data<App>,
    visitor: Visitor,
    path: Path<String>,
    query: Query<Paging>,
) -> Result<impl Responder, Problem> {
    let page = query.0.request()?;
    let industry = path.into_inner();
    if Industry::find(&industry).is_none() {
        return Err(Problem::not_found());
    }
    let filter =
        TemplateFilter { industry: Some(industry), sort: most_popular(), ..TemplateFilter::default() };
    listed(&app, &visitor, filter, page).await
}

fn most_popular() -> TemplateSort {
    TemplateSort { key: TemplateSortKey::Popularity, descending: true }
}

async fn listed(
    app: &App,
    visitor: &Visitor,
    filter: TemplateFilter,
    page: PageRequest,
) -> Result<Listed<List<TemplateSummary>>, Problem> {
    let mut repositories = app.core.reader();
    let templates = Templates::new(&mut *repositories, &visitor.0, &app.core.env).list(filter, page).await?;
    Ok(Listed(templates))
}

/// A list with all items.
fn whole<T>(items: Vec<T>) -> List<T> {
    let total = items.len() as u64;
    List::new(items, PageRequest { page: 1, limit: PageRequest::MAX_LIMIT }, total)
}

/// List categories of templates
///
/// Those in use, with the number of templates in each.
#[utoipa::path(
    tag = "Templates",
    operation_id = "listTemplateCategories",
    responses((status = 200, body = List<CategoryCount>)),
)]
#[get("/templates/categories")]
async fn categories(app: Data<App>, visitor: Visitor) -> Result<HttpResponse, Problem> {
    let mut repositories = app.core.reader();
    let categories = Templates::new(&mut *repositories, &visitor.0, &app.core.env).categories().await?;
    Ok(HttpResponse::Ok().with_json(&whole(categories)))
}

/// List industries
///
/// The list of industries for templates, the wizard and structured data, with the number of templates for each.
#[utoipa::path(
    tag = "Templates",
    operation_id = "listIndustries",
    responses((status = 200, body = List<IndustryCount>)),
)]
#[get("/industries")]
async fn industries(app: Data<App>, visitor: Visitor) -> Result<HttpResponse, Problem> {
    let mut repositories = app.core.reader();
    let industries = Templates::new(&mut *repositories, &visitor.0, &app.core.env).industries().await?;
    Ok(HttpResponse::Ok().with_json(&whole(industries)))
}

/// Read a template
///
/// By its id or its slug, with the content of its sections.
#[utoipa::path(
    tag = "Templates",
    operation_id = "getTemplate",
    params(("templateId" = String, Path, description = "Id or slug.", example = "millstone-bakery")),
    responses((status = 200, body = Template, headers(("ETag" = String))), (status = 304, description = "Not changed.")),
)]
#[get("/templates/{templateId}")]
async fn read(
    app: Data<App>,
    visitor: Visitor,
    path: Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let mut repositories = app.core.reader();
    let template = Templates::new(&mut *repositories, &visitor.0, &app.core.env).get(&path).await?;
    let tag = tag_of(&template);
    if conditional::not_modified(&request, &tag) {
        return Ok(HttpResponse::NotModified().insert_header((header::ETAG, tag)).finish());
    }
    Ok(HttpResponse::Ok()
        .insert_header((header::ETAG, tag))
        .insert_header((header::CACHE_CONTROL, HeaderValue::from_static("public, no-cache")))
        .with_json(&template))
}

/// The entity tag of a template. Uses do not change its version, so the number of uses is part of the tag.
fn tag_of(template: &Template) -> String {
    format!("\"v{}-{}\"", template.version, template.popularity)
}

/// The version that the client wants to change, from `If-Match`: uses counted since do not matter.
fn expected_version(request: &HttpRequest) -> Option<i64> {
    let value = request.headers().get(header::IF_MATCH)?.to_str().unwrap_or_default().trim();
    let version = value
        .strip_prefix("\"v")
        .and_then(|rest| rest.strip_suffix('"')?.split_once('-'))
        .and_then(|(version, _)| version.parse().ok());
    match version {
        None if value == "*" => None,
        // An unknown tag matches no version.
        version => Some(version.unwrap_or(-1)),
    }
}

/// Create a template
///
/// For staff. Every section is validated like one of a page; errors name its path, for instance
/// `pages[0].sections[2].content.heading`.
#[utoipa::path(
    tag = "Templates",
    operation_id = "createTemplate",
    request_body(content = NewTemplate, example = json!({
        "name": "Corner Bakery", "category": "food-and-drink", "industry": "bakery",
        "description": "For bakeries that sell out by noon.", "look": {"style": "playful"},
        "pages": [{"key": "home", "title": "Welcome", "sections": [
            {"key": "hero", "type": "hero", "content": {"heading": "Bread, warm from the oven"}},
        ]}],
    })),
    responses(
        (status = 201, body = Template, headers(("Location" = String), ("ETag" = String))),
        (status = 409, description = "Another template has the slug.", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["platform:templates"])),
)]
#[post("/templates")]
async fn create(app: Data<App>, caller: Caller, body: Body<NewTemplate>) -> Result<HttpResponse, Problem> {
    caller
        .write(&app.core, async |work| {
            let template = Templates::new(&mut *work, &caller.0, &app.core.env).create(body.0).await?;
            Ok(HttpResponse::Created()
                .insert_header((header::LOCATION, format!("/api/v1/templates/{}", template.id)))
                .insert_header((header::ETAG, tag_of(&template)))
                .with_json(&template))
        })
        .await
}

/// Update a template
///
/// For staff. Sites and pages made from it stay as they are. A changed template of the library is no longer updated from
/// the library.
#[utoipa::path(
    tag = "Templates",
    operation_id = "updateTemplate",
    params(
        ("templateId" = String, Path, description = "Id or slug."),
        ("If-Match" = Option<String>, Header),
    ),
    request_body(content = TemplateUpdate, example = json!({"name": "Corner Bakery", "isFeatured": true})),
    responses(
        (status = 200, body = Template, headers(("ETag" = String))),
        (status = 409, description = "Another template has the slug, or another request changed it at the same moment.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 412, description = "Changed since it was read.", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["platform:templates"])),
)]
#[put("/templates/{templateId}")]
async fn update(
    app: Data<App>,
    caller: Caller,
    path: Path<String>,
    request: HttpRequest,
    body: Body<TemplateUpdate>,
) -> Result<HttpResponse, Problem> {
    let expected = expected_version(&request);
    caller
        .write(&app.core, async |work| {
            let template =
                Templates::new(&mut *work, &caller.0, &app.core.env).update(&path, body.0, expected).await?;
            Ok(HttpResponse::Ok().insert_header((header::ETAG, tag_of(&template))).with_json(&template))
        })
        .await
}

/// Delete a template
///
/// For staff. Sites and pages that were made from it stay, and can still be reset to what it was.
#[utoipa::path(
    tag = "Templates",
    operation_id = "deleteTemplate",
    params(
        ("templateId" = String, Path, description = "Id or slug."),
        ("If-Match" = Option<String>, Header),
    ),
    responses(
        (status = 204, description = "Deleted."),
        (status = 409, description = "Another request changed it at the same moment.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 412, description = "Changed since it was read.", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["platform:templates"])),
)]
#[delete("/templates/{templateId}")]
async fn remove(
    app: Data<App>,
    caller: Caller,
    path: Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let expected = expected_version(&request);
    caller
        .write(&app.core, async |work| {
            Templates::new(&mut *work, &caller.0, &app.core.env).delete(&path, expected).await?;
            Ok(HttpResponse::NoContent().finish())
        })
        .await
}
