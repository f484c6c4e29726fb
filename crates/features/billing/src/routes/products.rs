//! Products on sale.

use actix_web::{Responder, get, http::header, web::Data};
use portico_billing::product::{Product, Products};
use portico_kernel::List;
use portico_runtime::core::Core;
use portico_web::{
    list::Listed,
    problem::Problem,
    query::{Query, page_request},
    routing::{READ, Routes},
};
use serde::Deserialize;
use utoipa::IntoParams;

/// Adds the routes.
pub fn configure(config: &mut Routes<'_, '_>) {
    config.service(READ.for_anyone(), list);
}

/// Query of the list of products on sale.
#[derive(Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
struct ListProducts {
    /// From 1.
    #[param(minimum = 1, maximum = 1_000_000)]
    page: Option<u64>,
    /// Items on a page, 20 where absent.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u64>,
}

/// List products
///
/// What is sold for a single payment, with what it costs now, in the order in which it was made. Public: no sign-in is needed.
#[utoipa::path(
    tag = "Billing",
    operation_id = "listProducts",
    params(ListProducts),
    responses((status = 200, body = List<Product>)),
)]
#[get("/products")]
async fn list(core: Data<Core>, query: Query<ListProducts>) -> Result<impl Responder, Problem> {
    let page = page_request(query.0.page, query.0.limit)?;
    let products = Products::new(&mut *core.reader()).list(page).await?;
    Ok(Listed(products).customize().insert_header((header::CACHE_CONTROL, "public, max-age=300")))
}
