//! The wizard that creates a site.

use actix_web::{
    HttpRequest, HttpResponse, Responder, delete, get,
    http::{StatusCode, header},
    post, put,
    web::{Data, Path},
};
use portico_kernel::{FieldError, List, TemplateId, WizardId};
use portico_sites::{
    deployment::Deployment,
    ports::WizardFilter,
    section::{SamplePlace, StockPicture},
    wizard::{BusinessDetails, Design, Generation, Wizard, WizardStatus, WizardUpdate, Wizards},
};
use portico_web::{
    body::{Body, OptionalBody},
    caller::Caller,
    conditional,
    list::Listed,
    problem::{Problem, ProblemBody},
    query::{Paged, Paging},
    routing::{KEYED, MERGE, READ, Routes, WRITE},
    write::WithJson,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{flows::wizard as flow, state::App};

/// Adds the routes.
pub fn configure(config: &mut Routes<'_, '_>) {
    config
        .service(KEYED, start)
        .service(READ, list)
        .service(READ, read)
        .service(MERGE, update)
        .service(WRITE, remove)
        .service(KEYED, business_info)
        .service(KEYED, template_selection)
        .service(KEYED, design_preferences)
        .service(KEYED, generate_content)
        .service(READ, content_status)
        .service(KEYED, complete);
}

/// Query of the list of wizards.
#[derive(Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
struct ListWizards {
    /// Status of the wizard.
    status: Option<WizardStatus>,
}

/// Selects the template of the site.
#[derive(Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(example = json!({"templateId": "0199f3c2-6d4e-7c3a-9d7c-5a8e1f2b3c4d"}))]
struct TemplateSelection {
    /// A template of the catalogue.
    #[serde(alias = "template_id")]
    #[schema(required = true, value_type = TemplateId)]
    template_id: Option<TemplateId>,
}

/// Options of the completion.
#[derive(Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(example = json!({"deploy": true}))]
struct Completion {
    /// Whether the site is published right away; the caller's address must be verified. False where absent.
    deploy: Option<bool>,
    /// Confirms the texts that a language model wrote, so that they can be published right away. False where absent.
    #[serde(alias = "confirm_sample_content")]
    confirm_sample_content: Option<bool>,
}

/// A completed wizard.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct CompletedWizard {
    #[serde(flatten)]
    wizard: Wizard,
    /// URL of the site once it is deployed, without a trailing slash.
    #[schema(example = "http://panaderia-luz.localhost:7600")]
    url: Option<String>,
    /// The deployment requested with this call.
    deployment: Option<Deployment>,
    /// The sections with texts that a language model wrote and nobody has confirmed. Examples of the template are never in a
    /// site made here.
    sample_content: Vec<SamplePlace>,
    /// The fields that show pictures of our library, where the owner may put pictures of their own. They keep nothing from being
    /// deployed.
    stock_pictures: Vec<StockPicture>,
}

fn answer(wizard: &Wizard) -> HttpResponse {
    conditional::updated(wizard.version, wizard)
}

/// Start a wizard
///
/// Eight steps to a site: business info, goals, template, design, pages, content, SEO and contact details, launch. They can
/// be saved one by one, in any order. The request may already contain some of them. A tenant may have 20 wizards in
/// progress.
#[utoipa::path(
    tag = "Wizard",
    operation_id = "startWizard",
    request_body(content = Option<WizardUpdate>, example = json!({"businessInfo": {"name": "Panadería Luz", "industry": "bakery"}})),
    responses(
        (status = 201, body = Wizard, headers(("Location" = String), ("ETag" = String))),
        (status = 402, description = "The plan does not include this template.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "20 wizards are in progress, or the subdomain is taken.", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["sites:write"])),
)]
#[post("/wizard/start")]
async fn start(
    app: Data<App>,
    caller: Caller,
    body: OptionalBody<WizardUpdate>,
) -> Result<HttpResponse, Problem> {
    caller
        .write(&app.core, async |work| {
            let wizard = Wizards::new(&mut *work, &caller.0, &app.core.env).start(body.0).await?;
            Ok(conditional::created(&format!("/api/v1/wizard/{}", wizard.id), wizard.version, &wizard))
        })
        .await
}

/// List wizards
///
/// Most recently changed first.
#[utoipa::path(
    tag = "Wizard",
    operation_id = "listWizards",
    params(ListWizards, Paging),
    responses((status = 200, body = List<Wizard>)),
    security(("bearer" = ["sites:read"])),
)]
#[get("/wizard")]
async fn list(app: Data<App>, caller: Caller, query: Paged<ListWizards>) -> Result<impl Responder, Problem> {
    let Paged(ListWizards { status }, paging) = query;
    let page = paging.request()?;
    let mut repositories = app.core.reader();
    let mut wizards = Wizards::new(&mut *repositories, &caller.0, &app.core.env);
    Ok(Listed(wizards.list(WizardFilter { status }, page).await?))
}

/// Read a wizard
#[utoipa::path(
    tag = "Wizard",
    operation_id = "getWizard",
    params(("wizardId" = WizardId, Path)),
    responses((status = 200, body = Wizard, headers(("ETag" = String))), (status = 304, description = "Not changed.")),
    security(("bearer" = ["sites:read"])),
)]
#[get("/wizard/{wizardId}")]
async fn read(
    app: Data<App>,
    caller: Caller,
    path: Path<WizardId>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let mut repositories = app.core.reader();
    let wizard = Wizards::new(&mut *repositories, &caller.0, &app.core.env).get(*path).await?;
    conditional::resource(&request, wizard.version, &wizard)
}

/// Save steps of a wizard
///
/// Any of its parts at once. A part in the request is replaced as a whole, the others stay; if any is invalid, nothing is
/// saved.
#[utoipa::path(
    tag = "Wizard",
    operation_id = "updateWizard",
    params(("wizardId" = WizardId, Path), ("If-Match" = Option<String>, Header)),
    request_body(content = WizardUpdate, example = json!({
        "goals": {"goals": ["bookings"], "audience": "Families nearby", "tone": "friendly", "language": "es"},
        "pages": [{"key": "home"}, {"key": "about", "title": "Quiénes somos"}, {"title": "Pedidos", "purpose": "How to order"}],
        "content": {"mode": "own", "sections": [{"page": "home", "section": "hero", "content": {"heading": "Pan fresco"}}]},
        "seo": {"title": "Panadería Luz", "keywords": ["pan"], "email": "hola@luz.example", "subdomain": "panaderia-luz"}
    })),
    responses(
        (status = 200, body = Wizard, headers(("ETag" = String))),
        (status = 402, description = "The plan does not include this template.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "The wizard has made its site, the subdomain is taken, or texts are being generated for another template.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 412, description = "Changed since it was read.", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["sites:write"])),
)]
#[put("/wizard/{wizardId}")]
async fn update(
    app: Data<App>,
    caller: Caller,
    path: Path<WizardId>,
    request: HttpRequest,
    body: Body<WizardUpdate>,
) -> Result<HttpResponse, Problem> {
    let expected = conditional::expected_version(&request);
    caller
        .write(&app.core, async |work| {
            let input = (None, body.0);
            Ok(answer(&flow::update(work, &app.core.env, &caller.0, *path, input, expected).await?))
        })
        .await
}

/// Abandon a wizard
///
/// A site that it has created stays.
#[utoipa::path(
    tag = "Wizard",
    operation_id = "deleteWizard",
    params(("wizardId" = WizardId, Path), ("If-Match" = Option<String>, Header)),
    responses(
        (status = 204, description = "Deleted."),
        (status = 412, description = "Changed since it was read.", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["sites:write"])),
)]
#[delete("/wizard/{wizardId}")]
async fn remove(
    app: Data<App>,
    caller: Caller,
    path: Path<WizardId>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let expected = conditional::expected_version(&request);
    caller
        .write(&app.core, async |work| {
            Wizards::new(&mut *work, &caller.0, &app.core.env).delete(*path, expected).await?;
            Ok(HttpResponse::NoContent().finish())
        })
        .await
}

/// Save step 1 of a wizard
///
/// Information about the business.
#[utoipa::path(
    tag = "Wizard",
    operation_id = "saveWizardBusinessInfo",
    params(("wizardId" = WizardId, Path), ("If-Match" = Option<String>, Header)),
    request_body(content = BusinessDetails, example = json!({
        "name": "Panadería Luz", "industry": "bakery", "description": "Sourdough bread and cakes, baked through the night.",
        "location": "Antigua Guatemala", "services": ["Bread", "Cakes"]
    })),
    responses(
        (status = 200, body = Wizard, headers(("ETag" = String))),
        (status = 409, description = "The wizard has made its site.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 412, description = "Changed since it was read.", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["sites:write"])),
)]
#[post("/wizard/{wizardId}/business-info")]
async fn business_info(
    app: Data<App>,
    caller: Caller,
    path: Path<WizardId>,
    request: HttpRequest,
    body: Body<BusinessDetails>,
) -> Result<HttpResponse, Problem> {
    let expected = conditional::expected_version(&request);
    let input = WizardUpdate { business_info: Some(body.0), ..WizardUpdate::default() };
    let input = (Some("businessInfo"), input);
    caller
        .write(&app.core, async |work| {
            Ok(answer(&flow::update(work, &app.core.env, &caller.0, *path, input, expected).await?))
        })
        .await
}

/// Save step 3 of a wizard
///
/// Id of the template. Chosen pages that the new template does not have are left out; texts generated for another template
/// are discarded.
#[utoipa::path(
    tag = "Wizard",
    operation_id = "saveWizardTemplate",
    params(("wizardId" = WizardId, Path), ("If-Match" = Option<String>, Header)),
    request_body = TemplateSelection,
    responses(
        (status = 200, body = Wizard, headers(("ETag" = String))),
        (status = 402, description = "The plan does not include this template.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "The wizard has made its site, or texts are being generated for another template.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 412, description = "Changed since it was read.", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["sites:write"])),
)]
#[post("/wizard/{wizardId}/template-selection")]
async fn template_selection(
    app: Data<App>,
    caller: Caller,
    path: Path<WizardId>,
    request: HttpRequest,
    body: Body<TemplateSelection>,
) -> Result<HttpResponse, Problem> {
    let expected = conditional::expected_version(&request);
    let Some(template) = body.0.template_id else {
        let error = FieldError::new("templateId", "required", "This field is required.");
        return Err(Problem::invalid(vec![error]));
    };
    let input = (None, WizardUpdate { template_id: Some(template), ..WizardUpdate::default() });
    caller
        .write(&app.core, async |work| {
            Ok(answer(&flow::update(work, &app.core.env, &caller.0, *path, input, expected).await?))
        })
        .await
}

/// Save step 4 of a wizard
///
/// Style, colours, fonts and logo; absent ones are as in the template.
#[utoipa::path(
    tag = "Wizard",
    operation_id = "saveWizardDesign",
    params(("wizardId" = WizardId, Path), ("If-Match" = Option<String>, Header)),
    request_body(content = Design, example = json!({
        "style": "elegant", "colors": {"primary": "#7a1f3d", "background": "#fffdf9", "text": "#1f2933"}, "fonts": {"heading": "old-style"}
    })),
    responses(
        (status = 200, body = Wizard, headers(("ETag" = String))),
        (status = 409, description = "The wizard has made its site.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 412, description = "Changed since it was read.", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["sites:write"])),
)]
#[post("/wizard/{wizardId}/design-preferences")]
async fn design_preferences(
    app: Data<App>,
    caller: Caller,
    path: Path<WizardId>,
    request: HttpRequest,
    body: Body<Design>,
) -> Result<HttpResponse, Problem> {
    let expected = conditional::expected_version(&request);
    let input = WizardUpdate { design: Some(body.0), ..WizardUpdate::default() };
    let input = (Some("design"), input);
    caller
        .write(&app.core, async |work| {
            Ok(answer(&flow::update(work, &app.core.env, &caller.0, *path, input, expected).await?))
        })
        .await
}

/// Generate the texts of a wizard
///
/// In the background, page by page; a repeated request generates them again. Needs steps 1 and 3. Counts as one use against
/// the plan, which is given back if it produces nothing.
#[utoipa::path(
    tag = "Wizard",
    operation_id = "generateWizardContent",
    params(("wizardId" = WizardId, Path), ("If-Match" = Option<String>, Header)),
    responses(
        (status = 202, description = "Queued; `Location` tells how it goes on.", body = Generation, headers(("Location" = String))),
        (status = 403, description = "Not allowed; `email_unverified` while the address of the account, or of the user who made the API key, is not verified."),
        (status = 402, description = "The plan includes no more uses.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "Texts are being generated already, or the wizard has made its site.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 412, description = "Changed since it was read.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "Steps 1 and 3 are not complete.", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["sites:write", "ai:generate"])),
)]
#[post("/wizard/{wizardId}/generate-content")]
async fn generate_content(
    app: Data<App>,
    caller: Caller,
    path: Path<WizardId>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let expected = conditional::expected_version(&request);
    caller
        .write(&app.core, async |work| {
            let generation = flow::request_content(work, &app, &caller.0, *path, expected).await?;
            let location = format!("/api/v1/wizard/{}/content-status", generation.wizard_id);
            Ok(HttpResponse::Accepted().insert_header((header::LOCATION, location)).with_json(&generation))
        })
        .await
}

/// Read the progress of generated texts
///
/// With the texts generated so far.
#[utoipa::path(
    tag = "Wizard",
    operation_id = "getWizardContentStatus",
    params(("wizardId" = WizardId, Path)),
    responses((status = 200, body = Generation)),
    security(("bearer" = ["sites:read"])),
)]
#[get("/wizard/{wizardId}/content-status")]
async fn content_status(
    app: Data<App>,
    caller: Caller,
    path: Path<WizardId>,
) -> Result<HttpResponse, Problem> {
    let mut repositories = app.core.reader();
    let generation = Wizards::new(&mut *repositories, &caller.0, &app.core.env).content_status(*path).await?;
    Ok(HttpResponse::Ok().with_json(&generation))
}

/// Complete a wizard
///
/// Creates the site with its pages, sections, navigation, SEO metadata and look, all or nothing. A repeated request answers
/// the existing site. Where no pages were chosen, it has all of the template's. What nobody wrote is left out, or says no more than the answers to the first steps. The first site of a tenant sets the colours and fonts of the tenant's branding.
#[utoipa::path(
    tag = "Wizard",
    operation_id = "completeWizard",
    params(("wizardId" = WizardId, Path), ("If-Match" = Option<String>, Header)),
    request_body = Option<Completion>,
    responses(
        (status = 200, description = "The site was made before.", body = CompletedWizard, headers(("Location" = String), ("ETag" = String))),
        (status = 201, body = CompletedWizard, headers(("Location" = String), ("ETag" = String))),
        (status = 403, description = "Not allowed; `email_unverified` for `deploy` while the address of the account, or of the user who made the API key, is not verified."),
        (status = 402, description = "The plan includes no more sites, or not this template.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "Texts are being generated, the subdomain is taken, or generated texts are to be deployed that nobody confirmed (`sample_content`).", body = ProblemBody, content_type = "application/problem+json"),
        (status = 412, description = "Changed since it was read.", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["sites:write"])),
)]
#[post("/wizard/{wizardId}/complete")]
async fn complete(
    app: Data<App>,
    caller: Caller,
    path: Path<WizardId>,
    request: HttpRequest,
    body: OptionalBody<Completion>,
) -> Result<HttpResponse, Problem> {
    let expected = conditional::expected_version(&request);
    let publication = flow::Publication {
        deploy: body.0.deploy.unwrap_or_default(),
        confirm: body.0.confirm_sample_content.unwrap_or_default(),
    };
    let answer = |done: flow::Completed| {
        let status = if done.is_new { StatusCode::CREATED } else { StatusCode::OK };
        let mut response = HttpResponse::build(status);
        response.insert_header((header::ETAG, conditional::etag(done.wizard.version)));
        if let Some(site) = done.wizard.site_id {
            response.insert_header((header::LOCATION, format!("/api/v1/sites/{site}")));
        }
        let url = done.site.map(|site| app.hosting.addresses.site_address(&site));
        response.with_json(&CompletedWizard {
            wizard: done.wizard,
            url,
            deployment: done.deployment,
            sample_content: done.review.sample_content,
            stock_pictures: done.review.stock_pictures,
        })
    };
    flow::complete(&app, &caller, *path, publication, expected, answer).await
}
