//! Products as staff make and change them, and what licenses of them allow.

use actix_web::{
    HttpResponse, Responder, get,
    http::header,
    post, put,
    web::{Data, Path},
};
use portico_billing::{
    product::Product,
    product_edit::{ProductAdministration, ProductHistory},
    product_input::{ProductInput, ProductUpdate},
};
use portico_kernel::List;
use portico_licensing::{
    policy::LicensePolicy,
    policy_edit::{LicensePolicyInput, PolicyAdministration},
};
use portico_runtime::core::Core;
use portico_web::{
    body::Body,
    caller::Caller,
    list::Listed,
    problem::{Problem, ProblemBody},
    query::{Paging, Query},
    routing::{KEYED, MERGE, READ, Routes, WRITE},
    write::WithJson,
};

/// Adds the routes.
pub fn configure(config: &mut Routes<'_, '_>) {
    config
        .service(READ, list)
        .service(KEYED, create)
        .service(READ, read)
        .service(MERGE, update)
        .service(READ, read_policy)
        .service(WRITE, set_policy);
}

/// List all products
///
/// For staff: in the order in which they were made, also those that are not on sale.
#[utoipa::path(
    tag = "Billing",
    operation_id = "listAllProducts",
    params(Paging),
    responses((status = 200, body = List<Product>)),
    security(("bearer" = ["platform:products"])),
)]
#[get("/admin/products")]
async fn list(core: Data<Core>, caller: Caller, query: Query<Paging>) -> Result<impl Responder, Problem> {
    let page = query.0.request()?;
    let mut repositories = core.reader();
    let products = ProductAdministration::new(&mut *repositories, &caller.0, &core.env).list(page).await?;
    Ok(Listed(products))
}

/// Create a product
///
/// For staff. It is on sale at once, unless `isActive` is false. There are no licenses for it until its license policy is set.
#[utoipa::path(
    tag = "Billing",
    operation_id = "createProduct",
    request_body = ProductInput,
    responses(
        (status = 201, body = Product, headers(("Location" = String))),
        (status = 409, description = "Another product has the id (`product_exists`).", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["platform:products"])),
)]
#[post("/admin/products")]
async fn create(core: Data<Core>, caller: Caller, body: Body<ProductInput>) -> Result<HttpResponse, Problem> {
    caller
        .write(&core, async |work| {
            let made = ProductAdministration::new(&mut *work, &caller.0, &core.env).create(body.0).await?;
            Ok(HttpResponse::Created()
                .insert_header((header::LOCATION, format!("/api/v1/admin/products/{}", made.id)))
                .with_json(&made))
        })
        .await
}

/// Read a product with its prices
///
/// For staff: with the prices that it has and had, the newest first.
#[utoipa::path(
    tag = "Billing",
    operation_id = "getProduct",
    params(("productType" = String, Path, description = "Id of the product.", example = "base_product")),
    responses((status = 200, body = ProductHistory)),
    security(("bearer" = ["platform:products"])),
)]
#[get("/admin/products/{productType}")]
async fn read(core: Data<Core>, caller: Caller, path: Path<String>) -> Result<HttpResponse, Problem> {
    let mut repositories = core.reader();
    let product = ProductAdministration::new(&mut *repositories, &caller.0, &core.env).get(&path).await?;
    Ok(HttpResponse::Ok().with_json(&product))
}

/// Update a product
///
/// For staff. Another amount is the next version of the price in its currency; who has bought has paid, or pays, what it cost then. A
/// product is not deleted: with `isActive` false it is off sale, and what was bought stays.
#[utoipa::path(
    tag = "Billing",
    operation_id = "updateProduct",
    params(("productType" = String, Path, description = "Id of the product.", example = "base_product")),
    request_body = ProductUpdate,
    responses((status = 200, body = Product)),
    security(("bearer" = ["platform:products"])),
)]
#[put("/admin/products/{productType}")]
async fn update(
    core: Data<Core>,
    caller: Caller,
    path: Path<String>,
    body: Body<ProductUpdate>,
) -> Result<HttpResponse, Problem> {
    caller
        .write(&core, async |work| {
            let product =
                ProductAdministration::new(&mut *work, &caller.0, &core.env).update(&path, body.0).await?;
            Ok(HttpResponse::Ok().with_json(&product))
        })
        .await
}

/// Read the license policy of a product
///
/// For staff: what licenses allow that are issued now. 404 where there are no licenses of the product.
#[utoipa::path(
    tag = "Licenses",
    operation_id = "getLicensePolicy",
    params(("productType" = String, Path, description = "Id of the product.", example = "base_product")),
    responses((status = 200, body = LicensePolicy)),
    security(("bearer" = ["platform:products"])),
)]
#[get("/admin/products/{productType}/license-policy")]
async fn read_policy(core: Data<Core>, caller: Caller, path: Path<String>) -> Result<HttpResponse, Problem> {
    let mut repositories = core.reader();
    ProductAdministration::new(&mut *repositories, &caller.0, &core.env).check(&path).await?;
    let policy = PolicyAdministration::new(&mut *repositories, &caller.0, &core.env).get(&path).await?;
    Ok(HttpResponse::Ok().with_json(&policy))
}

/// Update the license policy of a product
///
/// For staff: as a whole, for licenses that are issued from now on. Those that were issued keep what was in force. What is bought of a
/// product without a policy has no licenses.
#[utoipa::path(
    tag = "Licenses",
    operation_id = "updateLicensePolicy",
    params(("productType" = String, Path, description = "Id of the product.", example = "base_product")),
    request_body = LicensePolicyInput,
    responses((status = 200, body = LicensePolicy)),
    security(("bearer" = ["platform:products"])),
)]
#[put("/admin/products/{productType}/license-policy")]
async fn set_policy(
    core: Data<Core>,
    caller: Caller,
    path: Path<String>,
    body: Body<LicensePolicyInput>,
) -> Result<HttpResponse, Problem> {
    caller
        .write(&core, async |work| {
            ProductAdministration::new(&mut *work, &caller.0, &core.env).check(&path).await?;
            let policy =
                PolicyAdministration::new(&mut *work, &caller.0, &core.env).set(&path, &body.0).await?;
            Ok(HttpResponse::Ok().with_json(&policy))
        })
        .await
}
