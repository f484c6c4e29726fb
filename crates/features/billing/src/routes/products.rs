//! Products on sale.

use actix_web::{Responder, get, http::header, web::Data};
use portico_billing::product::{Product, Products};
use portico_kernel::List;
use portico_runtime::core::Core;
use portico_web::{
    list::Listed,
    problem::Problem,
    query::{Paging, Query},
    routing::{READ, Routes},
};

/// Adds the routes.
pub fn configure(config: &mut Routes<'_, '_>) {
    config.service(READ.for_anyone(), list);
}

/// List products
///
/// What is sold for a single payment, with what it costs now, in the order in which it was made. Public: no sign-in is needed.
#[utoipa::path(
    tag = "Billing",
    operation_id = "listProducts",
    params(Paging),
    responses((status = 200, body = List<Product>)),
)]
#[get("/products")]
async fn list(core: Data<Core>, query: Query<Paging>) -> Result<impl Responder, Problem> {
    let page = query.0.request()?;
    let products = Products::new(&mut *core.reader()).list(page).await?;
    Ok(Listed(products).customize().insert_header((header::CACHE_CONTROL, "public, max-age=300")))
}
