//! Purchases of a tenant.

use actix_web::{
    HttpResponse, Responder, get,
    web::{Data, Path},
};
use portico_billing::purchase::{Purchase, Purchases};
use portico_kernel::{List, PurchaseId};
use portico_runtime::core::Core;
use portico_web::{
    caller::Caller,
    list::Listed,
    problem::Problem,
    query::{Query, page_request},
    routing::{READ, Routes},
};
use serde::Deserialize;
use utoipa::IntoParams;

/// Adds the routes.
pub fn configure(config: &mut Routes<'_, '_>) {
    config.service(READ, list).service(READ, read);
}

/// Query of the list of purchases.
#[derive(Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
struct ListPurchases {
    /// From 1.
    #[param(minimum = 1, maximum = 1_000_000)]
    page: Option<u64>,
    /// Items on a page, 20 where absent.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u64>,
}

/// List purchases
///
/// What the active tenant has bought, newest first, also what is not paid yet and what was never paid.
#[utoipa::path(
    tag = "Purchases",
    operation_id = "listPurchases",
    params(ListPurchases),
    responses((status = 200, body = List<Purchase>)),
    security(("bearer" = ["billing:read"])),
)]
#[get("/purchases")]
async fn list(
    core: Data<Core>,
    caller: Caller,
    query: Query<ListPurchases>,
) -> Result<impl Responder, Problem> {
    let page = page_request(query.0.page, query.0.limit)?;
    let mut repositories = core.reader();
    let purchases = Purchases::new(&mut *repositories, &caller.0).list(page).await?;
    Ok(Listed(purchases))
}

/// Read a purchase
#[utoipa::path(
    tag = "Purchases",
    operation_id = "getPurchase",
    params(("purchaseId" = PurchaseId, Path, description = "Id of the purchase.")),
    responses((status = 200, body = Purchase)),
    security(("bearer" = ["billing:read"])),
)]
#[get("/purchases/{purchaseId}")]
async fn read(core: Data<Core>, caller: Caller, path: Path<PurchaseId>) -> Result<HttpResponse, Problem> {
    let mut repositories = core.reader();
    let purchase = Purchases::new(&mut *repositories, &caller.0).get(*path).await?;
    Ok(HttpResponse::Ok().json(purchase))
}
