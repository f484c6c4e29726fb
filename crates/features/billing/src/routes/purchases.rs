//! Purchases of a tenant.

use actix_web::{
    HttpResponse, Responder, get,
    web::{Data, Path},
};
use portico_billing::purchase::{Purchase, Purchases};
use portico_kernel::{List, PurchaseId, Scope};
use portico_licensing::owned::PurchasedLicense;
use portico_runtime::store::Repositories;
use portico_web::{
    caller::Caller,
    list::Listed,
    problem::Problem,
    query::{Paging, Query},
    routing::{READ, Routes},
    write::WithJson,
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{flows::licenses, state::App};

/// Adds the routes.
pub fn configure(config: &mut Routes<'_, '_>) {
    config.service(READ, list).service(READ, read);
}

/// A purchase with its licenses.
#[derive(Serialize, ToSchema)]
pub struct PurchaseDetails {
    /// The purchase.
    #[serde(flatten)]
    purchase: Purchase,
    /// One for each unit of each item, once it is paid; absent for callers without `licenses:read`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, value_type = Vec<PurchasedLicense>)]
    licenses: Option<Vec<PurchasedLicense>>,
}

/// Purchases with their licenses, as far as the caller may see them.
pub async fn detailed(
    app: &App,
    repositories: &mut dyn Repositories,
    scope: &Scope,
    purchases: Vec<Purchase>,
) -> Result<Vec<PurchaseDetails>, Problem> {
    let ids: Vec<PurchaseId> = purchases.iter().map(|purchase| purchase.id).collect();
    let found = licenses::of_purchases(app, repositories, scope, &ids).await?;
    let of = |id: PurchaseId| {
        let all = found.as_ref()?.iter().filter(|(purchase, _)| *purchase == id);
        Some(all.map(|(_, license)| license.clone()).collect())
    };
    Ok(purchases
        .into_iter()
        .map(|purchase| PurchaseDetails { licenses: of(purchase.id), purchase })
        .collect())
}

/// List purchases
///
/// What the active tenant has bought, newest first, also what is not paid yet and what was never paid.
#[utoipa::path(
    tag = "Purchases",
    operation_id = "listPurchases",
    params(Paging),
    responses((status = 200, body = List<PurchaseDetails>)),
    security(("bearer" = ["billing:read"])),
)]
#[get("/purchases")]
async fn list(app: Data<App>, caller: Caller, query: Query<Paging>) -> Result<impl Responder, Problem> {
    let page = query.0.request()?;
    let mut repositories = app.core.reader();
    let found = Purchases::new(&mut *repositories, &caller.0).list(page).await?;
    let items = detailed(&app, &mut *repositories, &caller.0, found.items).await?;
    Ok(Listed(List::new(items, page, found.total)))
}

/// Read a purchase
#[utoipa::path(
    tag = "Purchases",
    operation_id = "getPurchase",
    params(("purchaseId" = PurchaseId, Path, description = "Id of the purchase.")),
    responses((status = 200, body = PurchaseDetails)),
    security(("bearer" = ["billing:read"])),
)]
#[get("/purchases/{purchaseId}")]
async fn read(app: Data<App>, caller: Caller, path: Path<PurchaseId>) -> Result<HttpResponse, Problem> {
    let mut repositories = app.core.reader();
    let purchase = Purchases::new(&mut *repositories, &caller.0).get(*path).await?;
    let mut found = detailed(&app, &mut *repositories, &caller.0, vec![purchase]).await?;
    Ok(HttpResponse::Ok().with_json(&found.pop()))
}
