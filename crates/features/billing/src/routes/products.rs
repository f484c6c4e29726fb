//! Products on sale.

use actix_web::{HttpResponse, get, http::header, web::Data};
use portico_billing::product::{Product, Products};
use portico_kernel::{List, PageRequest};
use portico_runtime::core::Core;
use portico_web::{
    problem::Problem,
    routing::{READ, Routes},
};

/// Adds the routes.
pub fn configure(config: &mut Routes<'_, '_>) {
    config.service(READ.for_anyone(), list);
}

/// List products
///
/// What is sold for a single payment, with what it costs now. Public: no sign-in is needed.
#[utoipa::path(tag = "Billing", operation_id = "listProducts", responses((status = 200, body = List<Product>)))]
#[get("/products")]
async fn list(core: Data<Core>) -> Result<HttpResponse, Problem> {
    let products = Products::new(&mut *core.reader()).list().await?;
    let (request, total) = (PageRequest { page: 1, limit: PageRequest::MAX_LIMIT }, products.len() as u64);
    Ok(HttpResponse::Ok()
        .insert_header((header::CACHE_CONTROL, "public, max-age=300"))
        .json(List::new(products, request, total)))
}
