//! Sites for sale.

use actix_web::{
    HttpRequest, HttpResponse, Responder, delete, get, put,
    web::{Data, Path},
};
use portico_kernel::{List, Scope, SiteId, money::Money};
use portico_runtime::context;
use portico_sites::{
    sale::{Offer, Sales},
    site::Site,
};
use portico_web::{
    body::Body,
    caller::Caller,
    conditional,
    list::Listed,
    problem::{Problem, ProblemBody},
    query::{Paged, Paging},
    routing::{READ, Routes, WRITE},
    write::WithJson,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::sites::SiteView;
use crate::state::App;

/// Adds the routes.
pub fn configure(config: &mut Routes<'_, '_>) {
    config
        .service(READ.for_anyone(), list)
        .service(READ.for_anyone(), read)
        .service(WRITE, offer)
        .service(WRITE, withdraw);
}

/// The public view of a site on offer.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct OfferView {
    /// Display name.
    #[schema(example = "Panadería Luz")]
    name: String,
    /// Its subdomain, which names it in paths.
    #[schema(example = "panaderia-luz")]
    slug: String,
    /// URL of the site that is sold.
    #[schema(example = "http://panaderia-luz.localhost:7600")]
    url: String,
    /// Price.
    price: Option<Money>,
    /// Language of its pages, BCP 47.
    #[schema(example = "es")]
    language: String,
}

impl OfferView {
    fn new(app: &App, site: Site) -> Self {
        Self {
            url: app.hosting.addresses.site_address(&site),
            name: site.name,
            slug: site.subdomain.into_string(),
            price: site.price,
            language: site.language,
        }
    }
}

/// Query of the list of sites for sale.
#[derive(Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
struct ListOffers {
    /// A part of the name or the subdomain.
    #[param(example = "luz")]
    q: Option<String>,
}

/// List sites for sale
///
/// Newest first. Public: no sign-in is needed.
#[utoipa::path(
    tag = "Sites for sale",
    operation_id = "listOffers",
    params(ListOffers, Paging),
    responses((status = 200, body = List<OfferView>)),
)]
#[get("/offers")]
async fn list(app: Data<App>, query: Paged<ListOffers>) -> Result<impl Responder, Problem> {
    let Paged(ListOffers { q }, paging) = query;
    let request = paging.request()?;
    let scope = Scope::anonymous(context::info());
    let mut repositories = app.core.reader();
    let sites = Sales::new(&mut *repositories, &scope, &app.core.env).on_offer(q, request).await?;
    let items: Vec<OfferView> = sites.items.into_iter().map(|site| OfferView::new(&app, site)).collect();
    Ok(Listed(List::new(items, request, sites.total)))
}

/// Read a site for sale
///
/// Public: no sign-in is needed.
#[utoipa::path(
    tag = "Sites for sale",
    operation_id = "getOffer",
    params(("siteSlug" = String, Path, description = "Subdomain of the site.", example = "panaderia-luz")),
    responses((status = 200, body = OfferView)),
)]
#[get("/offers/{siteSlug}")]
async fn read(app: Data<App>, path: Path<String>) -> Result<HttpResponse, Problem> {
    let scope = Scope::anonymous(context::info());
    let mut repositories = app.core.reader();
    let site = Sales::new(&mut *repositories, &scope, &app.core.env).on_offer_at(&path).await?;
    Ok(HttpResponse::Ok().with_json(&OfferView::new(&app, site)))
}

/// Offer a site for sale
///
/// Or change its price. The site must be published and belong to the active tenant; from now on only staff can change it,
/// so that a buyer gets what was shown.
#[utoipa::path(
    tag = "Sites for sale",
    operation_id = "updateSiteOffer",
    params(("siteId" = SiteId, Path), ("If-Match" = Option<String>, Header)),
    request_body(content = Offer, example = json!({"amount": 35900, "currency": "usd"})),
    responses(
        (status = 200, body = SiteView, headers(("ETag" = String))),
        (status = 409, description = "The site is not published, sold or suspended, or another request changed it at the same moment.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 412, description = "Changed since it was read.", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["platform:sites"])),
)]
#[put("/admin/sites/{siteId}/offer")]
async fn offer(
    app: Data<App>,
    caller: Caller,
    path: Path<SiteId>,
    request: HttpRequest,
    body: Body<Offer>,
) -> Result<HttpResponse, Problem> {
    let expected = conditional::expected_version(&request);
    caller
        .write(&app.core, async |work| {
            let site =
                Sales::new(&mut *work, &caller.0, &app.core.env).offer(*path, body.0, expected).await?;
            let version = site.version;
            Ok(conditional::updated(version, &SiteView::new(&app, site)))
        })
        .await
}

/// Withdraw an offer
///
/// The site is an ordinary published one again.
#[utoipa::path(
    tag = "Sites for sale",
    operation_id = "deleteSiteOffer",
    params(("siteId" = SiteId, Path), ("If-Match" = Option<String>, Header)),
    responses(
        (status = 204, description = "Withdrawn."),
        (status = 409, description = "The site is not for sale, or another request changed it at the same moment.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 412, description = "Changed since it was read.", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["platform:sites"])),
)]
#[delete("/admin/sites/{siteId}/offer")]
async fn withdraw(
    app: Data<App>,
    caller: Caller,
    path: Path<SiteId>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let expected = conditional::expected_version(&request);
    caller
        .write(&app.core, async |work| {
            Sales::new(&mut *work, &caller.0, &app.core.env).withdraw(*path, expected).await?;
            Ok(HttpResponse::NoContent().finish())
        })
        .await
}
