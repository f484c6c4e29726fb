//! Deployments of a site.

use actix_web::{
    HttpResponse, Responder, get,
    http::header,
    post,
    web::{Data, Path},
};
use portico_kernel::{DeploymentId, List, Scope, SiteId};
use portico_sites::{
    deployment::{Deployment, Deployments},
    section::{ContentReview, SamplePlace, StockPicture},
    site::{Site, Sites},
};
use portico_web::{
    body::OptionalBody,
    caller::Caller,
    conditional,
    list::Listed,
    problem::{Problem, ProblemBody},
    query::{Paging, Query},
    routing::{KEYED, READ, Routes},
    write::WithJson,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::sites::SiteView;
use crate::state::App;

/// Adds the routes.
pub fn configure(config: &mut Routes<'_, '_>) {
    config
        .service(KEYED, deploy)
        .service(READ, status)
        .service(READ, list)
        .service(READ, read)
        .service(KEYED, rollback);
}

/// A deployment and the URL of its site.
#[derive(Serialize, ToSchema)]
struct DeploymentView {
    #[serde(flatten)]
    deployment: Deployment,
    /// URL of the site, without a trailing slash.
    #[schema(example = "http://luz.localhost:7600")]
    url: String,
}

impl DeploymentView {
    fn new(app: &App, site: &Site, deployment: Deployment) -> Self {
        Self { deployment, url: app.hosting.addresses.site_address(site) }
    }
}

/// The status of a site: its latest deployment, and what keeps the next one from being made.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
enum StatusView {
    Deployed(DeployedStatus),
    NotDeployed(NotDeployedStatus),
}

/// The status of a site that was deployed, or is about to be for the first time.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct DeployedStatus {
    #[serde(flatten)]
    deployment: DeploymentView,
    /// The sections of published pages with content that nobody wrote or confirmed. While there are any, a deployment is refused
    /// unless it confirms them.
    sample_content: Vec<SamplePlace>,
    /// The fields of published pages that show pictures of our library, where the owner may put pictures of their own. They keep
    /// nothing from being deployed.
    stock_pictures: Vec<StockPicture>,
}

/// The status of a site that was never deployed.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct NotDeployedStatus {
    status: NotDeployed,
    /// Always 0.
    progress: u8,
    /// URL that the site will have, without a trailing slash.
    #[schema(example = "http://luz.localhost:7600")]
    url: String,
    /// As in the status of a deployed site.
    sample_content: Vec<SamplePlace>,
    /// As in the status of a deployed site.
    stock_pictures: Vec<StockPicture>,
}

/// The status of a site without deployments.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum NotDeployed {
    /// No deployment was requested so far.
    NotDeployed,
}

/// Options of a deployment.
#[derive(Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(example = json!({"confirmSampleContent": true}))]
struct DeploymentRequest {
    /// Confirms all sample and generated content that the site shows, from now on; also requires `pages:write`. False where absent.
    #[serde(alias = "confirm_sample_content")]
    confirm_sample_content: Option<bool>,
}

/// Deploy a site
///
/// Renders the published pages and switches the site over to them, in the background. The caller's address must be
/// verified. Content that nobody wrote or confirmed, such as the examples of a template, is not published: `sample_content`
/// lists its places.
#[utoipa::path(
    tag = "Deployments",
    operation_id = "deploySite",
    params(("siteId" = SiteId, Path)),
    request_body = Option<DeploymentRequest>,
    responses(
        (status = 202, description = "Queued; `Location` tells how it goes on.", body = DeploymentView, headers(("Location" = String))),
        (status = 403, description = "Not allowed; `email_unverified` while the address of the account, or of the user who made the API key, is not verified."),
        (status = 409, description = "A deployment is under way, there is no published page, the site is suspended, or sections show content that nobody wrote or confirmed (`sample_content`; `sampleContent` has their places).", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["sites:deploy"])),
)]
#[post("/sites/{siteId}/deploy")]
async fn deploy(
    app: Data<App>,
    caller: Caller,
    path: Path<SiteId>,
    body: OptionalBody<DeploymentRequest>,
) -> Result<HttpResponse, Problem> {
    let confirm = body.0.confirm_sample_content.unwrap_or_default();
    caller
        .write(&app.core, async |work| {
            let deployment =
                Deployments::new(&mut *work, &caller.0, &app.core.env).request(*path, confirm).await?;
            let site = Sites::new(&mut *work, &caller.0, &app.core.env).get(*path).await?;
            Ok(HttpResponse::Accepted()
                .insert_header((
                    header::LOCATION,
                    format!("/api/v1/sites/{}/deployments/{}", site.id, deployment.id),
                ))
                .with_json(&DeploymentView::new(&app, &site, deployment)))
        })
        .await
}

/// Read the status of a site
///
/// Its latest deployment: progress and result, or `not_deployed`; the sample content that keeps the next one from being made;
/// and the places of pictures of our library.
#[utoipa::path(
    tag = "Deployments",
    operation_id = "getSiteStatus",
    params(("siteId" = SiteId, Path)),
    responses((status = 200, body = StatusView)),
    security(("bearer" = ["sites:read"])),
)]
#[get("/sites/{siteId}/status")]
async fn status(app: Data<App>, caller: Caller, path: Path<SiteId>) -> Result<HttpResponse, Problem> {
    let site = site(&app, &caller.0, *path).await?;
    let mut repositories = app.core.reader();
    let mut deployments = Deployments::new(&mut *repositories, &caller.0, &app.core.env);
    let latest = deployments.latest(*path).await?;
    let ContentReview { sample_content, stock_pictures } = deployments.review(*path).await?;
    let status = match latest {
        Some(deployment) => {
            let deployment = DeploymentView::new(&app, &site, deployment);
            StatusView::Deployed(DeployedStatus { deployment, sample_content, stock_pictures })
        }
        None => StatusView::NotDeployed(NotDeployedStatus {
            status: NotDeployed::NotDeployed,
            progress: 0,
            url: app.hosting.addresses.site_address(&site),
            sample_content,
            stock_pictures,
        }),
    };
    Ok(HttpResponse::Ok().with_json(&status))
}

/// List deployments
///
/// Newest first.
#[utoipa::path(
    tag = "Deployments",
    operation_id = "listDeployments",
    params(("siteId" = SiteId, Path), Paging),
    responses((status = 200, body = List<DeploymentView>)),
    security(("bearer" = ["sites:read"])),
)]
#[get("/sites/{siteId}/deployments")]
async fn list(
    app: Data<App>,
    caller: Caller,
    path: Path<SiteId>,
    query: Query<Paging>,
) -> Result<impl Responder, Problem> {
    let request = query.0.request()?;
    let site = site(&app, &caller.0, *path).await?;
    let mut repositories = app.core.reader();
    let deployments =
        Deployments::new(&mut *repositories, &caller.0, &app.core.env).list(*path, request).await?;
    let view = |deployment| DeploymentView::new(&app, &site, deployment);
    let items: Vec<DeploymentView> = deployments.items.into_iter().map(view).collect();
    Ok(Listed(List::new(items, request, deployments.total)))
}

/// Read a deployment
#[utoipa::path(
    tag = "Deployments",
    operation_id = "getDeployment",
    params(("siteId" = SiteId, Path), ("deploymentId" = DeploymentId, Path)),
    responses((status = 200, body = DeploymentView)),
    security(("bearer" = ["sites:read"])),
)]
#[get("/sites/{siteId}/deployments/{deploymentId}")]
async fn read(
    app: Data<App>,
    caller: Caller,
    path: Path<(SiteId, DeploymentId)>,
) -> Result<HttpResponse, Problem> {
    let site = site(&app, &caller.0, path.0).await?;
    let mut repositories = app.core.reader();
    let deployment =
        Deployments::new(&mut *repositories, &caller.0, &app.core.env).get(path.0, path.1).await?;
    Ok(HttpResponse::Ok().with_json(&DeploymentView::new(&app, &site, deployment)))
}

/// Roll back to a deployment
///
/// Switches the site over to a deployment that was live before. The caller's address must be verified.
#[utoipa::path(
    tag = "Deployments",
    operation_id = "rollbackDeployment",
    params(("siteId" = SiteId, Path), ("deploymentId" = DeploymentId, Path)),
    responses(
        (status = 200, body = SiteView, headers(("ETag" = String))),
        (status = 403, description = "Not allowed; `email_unverified` while the address of the account, or of the user who made the API key, is not verified."),
        (status = 409, description = "The deployment was never live, the site is suspended, or another request changed it at the same moment.", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["sites:deploy"])),
)]
#[post("/sites/{siteId}/deployments/{deploymentId}/rollback")]
async fn rollback(
    app: Data<App>,
    caller: Caller,
    path: Path<(SiteId, DeploymentId)>,
) -> Result<HttpResponse, Problem> {
    caller
        .write(&app.core, async |work| {
            let site =
                Deployments::new(&mut *work, &caller.0, &app.core.env).rollback(path.0, path.1).await?;
            let version = site.version;
            Ok(conditional::updated(version, &SiteView::new(&app, site)))
        })
        .await
}

async fn site(app: &App, scope: &Scope, id: SiteId) -> Result<Site, Problem> {
    Ok(Sites::new(&mut *app.core.reader(), scope, &app.core.env).get(id).await?)
}
